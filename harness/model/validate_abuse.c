/* SPDX-License-Identifier: Apache-2.0
 * Checks with wrong arguments and wrong files, straight at the plug-in, past the host's own checks; and leaks. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/proc.h"
#include "model/validate_internal.h"

/* ---- wrong calls -------------------------------------------------------------------------------- */

enum { BATCH = 2 };

typedef struct abuse {
    assay_tensor in[2], out[HOST_MAX_PORTS + 1], ct[HOST_MAX_PORTS + 1], grad[2];
    const assay_tensor *p_in, *p_ct;
    assay_tensor *p_out, *p_grad;
    uint32_t n_in, n_out, mode;
} abuse;

static const char *const wrongs[] = {
    "inputs NULL",
    "outputs (or gradients) NULL",
    "no input",
    "one input too many",
    "one output too many",
    "an input of another dtype",
    "an input of rank 1",
    "an input of rank 9",
    "an input that is one value too wide",
    "an input whose size_bytes is 4 too small",
    "an input whose size_bytes is 0",
    "batch 0",
    "batch -1",
    "a huge batch in too little memory",
    "a huge batch whose byte count overflows",
    "an input with struct_size 0",
    "an input whose data is NULL",
    "an output (or cotangent) with struct_size 0",
    "an output (or cotangent) of another dtype",
    "an output (or cotangent) of another batch",
    "an output (or cotangent) whose size_bytes is 4 too small",
    "an unknown mode",
};
#define N_WRONGS (sizeof wrongs / sizeof wrongs[0])

static void spoil_input(abuse *a, size_t i) {
    assay_tensor *t = &a->in[0];
    uint64_t per_example = t->size_bytes / BATCH;
    switch (i) {
    case 5: t->dtype = ASSAY_F64; break;
    case 6: t->n_dims = 1; break;
    case 7: t->n_dims = ASSAY_MAX_DIMS + 1; break;
    case 8: t->shape[t->n_dims - 1] += 1; break;
    case 9: t->size_bytes -= 4; break;
    case 10: t->size_bytes = 0; break;
    case 11: t->shape[0] = 0; break;
    case 12: t->shape[0] = -1; break;
    case 13: t->shape[0] = INT64_MAX; break;
    case 14: t->shape[0] = INT64_C(1) << 62; break;
    case 15: t->struct_size = 0; break;
    case 16: t->data = NULL; break;
    default: break;
    }
    if (i >= 11 && i <= 14) { /* all tensors share the batch; where the product overflows, size_bytes does too */
        for (uint32_t o = 0; o < a->n_out; o++) {
            a->out[o].shape[0] = a->ct[o].shape[0] = a->grad[0].shape[0] = t->shape[0];
        }
        t->size_bytes = i == 14 ? per_example * ((uint64_t)1 << 62) : i == 11 ? 0 : t->size_bytes;
    }
}

static void spoil(abuse *a, size_t i, bool vjp, uint32_t i_out) {
    assay_tensor *o = vjp ? &a->ct[i_out] : &a->out[i_out];
    spoil_input(a, i);
    switch (i) {
    case 0: a->p_in = NULL; break;
    case 1:
        a->p_out = vjp ? a->p_out : NULL;
        a->p_grad = NULL;
        break;
    case 2: a->n_in = 0; break;
    case 3: a->n_in = 2; break;
    case 4: a->n_out++; break;
    case 17: o->struct_size = 0; break;
    case 18: o->dtype = ASSAY_I32; break;
    case 19: o->shape[0]++; break;
    case 20: o->size_bytes -= 4; break;
    case 21: a->mode = 99; break;
    default: break;
    }
}

static abuse make_call(check *c) {
    const model *m = c->m;
    abuse a = {.n_in = 1, .n_out = m->n_out};
    float *x = check_floats(c, BATCH, m->facts.n_model_features);
    check_inputs(c, BATCH, 30, false, x);
    a.in[0] = a.in[1] = host_tensor(&m->in[0], BATCH, x);
    a.grad[0] = a.grad[1] = host_tensor(&m->in[0], BATCH, check_floats(c, BATCH, m->facts.n_model_features));
    for (uint32_t i = 0; i < m->n_out; i++) {
        bool used = i == m->i_out;
        a.out[i] = host_tensor(&m->out[i], BATCH, used ? check_floats(c, BATCH, m->facts.n_outputs) : NULL);
        a.ct[i] = host_tensor(&m->out[i], BATCH, used ? check_floats(c, BATCH, m->facts.n_outputs) : NULL);
    }
    a.out[m->n_out] = a.out[0];
    a.ct[m->n_out] = a.ct[0];
    return a;
}

static assay_status call(check *c, session *s, abuse *a, bool vjp, assay_error *e) {
    return vjp ? c->m->vjp.vjp(s->raw, a->p_in, a->n_in, a->p_ct, a->n_out, a->p_out, a->p_grad, a->mode, e)
               : c->m->predict.predict(s->raw, a->p_in, a->n_in, a->p_out, a->n_out, e);
}

/* One wrong call with an error buffer, without one, and with one of a single byte. */
static bool refused(check *c, session *s, const abuse *good, size_t i, bool vjp) {
    const char *what = vjp ? "vjp" : "predict";
    char tiny[8];
    host_error e;
    for (int round = 0; round < 3; round++) {
        abuse a = *good;
        a.p_in = a.in;
        a.p_ct = a.ct;
        a.p_out = a.out;
        a.p_grad = a.grad;
        spoil(&a, i, vjp, c->m->i_out);
        host_error_init(&e);
        memset(tiny, 'x', sizeof tiny);
        assay_error one = {.struct_size = sizeof one, .capacity = 1, .text = tiny};
        assay_status rc = call(c, s, &a, vjp, round == 0 ? &e.e : round == 1 ? NULL : &one);
        if (rc == ASSAY_OK) {
            (void)check_fail(c, "%s with %s succeeds", what, wrongs[i]);
            return false;
        }
        if (round == 0 && memchr(e.text, 0, sizeof e.text) == NULL) {
            (void)check_fail(c, "%s with %s: the error text is not terminated", what, wrongs[i]);
            return false;
        }
        if (round == 2 && (tiny[0] != '\0' || tiny[1] != 'x')) {
            (void)check_fail(c, "%s with %s: an error buffer of 1 byte must hold just the NUL", what, wrongs[i]);
            return false;
        }
    }
    return true;
}

static validate_outcome abuse_all(check *c, session *s, bool vjp) {
    abuse good = make_call(c);
    for (size_t i = 0; i < N_WRONGS; i++) {
        if (!vjp && i == 21) {
            continue; /* predict has no mode */
        }
        if (!refused(c, s, &good, i, vjp)) {
            return VALIDATE_FAIL;
        }
    }
    good.p_in = good.in;
    good.p_ct = good.ct;
    good.p_out = good.out;
    good.p_grad = good.grad;
    host_error e;
    host_error_init(&e);
    if (call(c, s, &good, vjp, &e.e) != ASSAY_OK) {
        return check_fail(c, "after wrong calls a good %s fails: %s", vjp ? "vjp" : "predict", e.text);
    }
    return VALIDATE_PASS;
}

validate_outcome check_bad_calls(check *c) {
    session *s = check_session(c, 8);
    validate_outcome o = s == NULL ? VALIDATE_FAIL : VALIDATE_PASS;
    if (o == VALIDATE_PASS && c->m->predict.predict != NULL) {
        o = abuse_all(c, s, false);
    }
    if (o == VALIDATE_PASS && check_can_vjp(c)) {
        o = abuse_all(c, s, true);
    }
    session_close(s);
    return o;
}

/* ---- wrong open --------------------------------------------------------------------------------- */

static bool open_refused(check *c, const assay_open_args *args, const char *what) {
    host_error e;
    host_error_init(&e);
    assay_model *raw = NULL;
    assay_status rc = c->p->api.open(args, &raw, &e.e);
    if (rc == ASSAY_OK) {
        c->p->api.close(raw);
        (void)check_fail(c, "open with %s succeeds", what);
    } else if (raw != NULL) {
        (void)check_fail(c, "open with %s fails, but *model is not NULL", what);
    } else if (memchr(e.text, 0, sizeof e.text) == NULL) {
        (void)check_fail(c, "open with %s: the error text is not terminated", what);
    }
    return rc != ASSAY_OK && raw == NULL;
}

validate_outcome check_bad_open(check *c) {
    assay_open_args args = {.struct_size = 0, .path = c->model_path};
    if (!open_refused(c, &args, "struct_size 0")) {
        return VALIDATE_FAIL;
    }
    args = (assay_open_args){.struct_size = sizeof args, .n_options = 1, .path = c->model_path};
    if (!open_refused(c, &args, "one option but options NULL")) {
        return VALIDATE_FAIL;
    }
    host_error e;
    host_error_init(&e);
    assay_session_args sargs = {.struct_size = 0, .tile = 8, .n_threads = 1};
    assay_session *raw = NULL;
    if (c->p->api.session_open(c->m->raw, &sargs, &raw, &e.e) == ASSAY_OK || raw != NULL) {
        return check_fail(c, "session_open with struct_size 0 succeeds, or leaves a session");
    }
    assay_port p;
    memset(&p, 0x5a, sizeof p);
    p.struct_size = 8;
    assay_port before = p;
    (void)c->m->io.port(c->m->raw, ASSAY_DIRECTION_INPUT, 0, &p, &e.e);
    if (memcmp((const char *)&p + 8, (const char *)&before + 8, sizeof p - 8) != 0) {
        return check_fail(c, "port writes beyond the struct_size of the host");
    }
    return VALIDATE_PASS;
}

validate_outcome check_unknown_option(check *c) {
    assay_option *o = arena_alloc(&c->a, (c->n_options + 1) * sizeof *o);
    if (c->n_options > 0) {
        memcpy(o, c->options, c->n_options * sizeof *o);
    }
    o[c->n_options] = (assay_option){"no-such-option", "1"};
    assay_open_args args = {
        .struct_size = sizeof args, .n_options = (uint32_t)c->n_options + 1, .path = c->model_path, .options = o};
    return open_refused(c, &args, "an unknown option") ? VALIDATE_PASS : VALIDATE_FAIL;
}

/* ---- wrong files -------------------------------------------------------------------------------- */

validate_outcome check_missing_file(check *c) {
    if (c->model_path == NULL) {
        return check_skip(c, "no model file was given");
    }
    assay_open_args args = {.struct_size = sizeof args,
                            .n_options = (uint32_t)c->n_options,
                            .path = arena_printf(&c->a, "%s.no-such-file", c->model_path),
                            .options = c->options};
    return open_refused(c, &args, "a missing file") ? VALIDATE_PASS : VALIDATE_FAIL;
}

/* Opens the first n bytes of the model as a file of their own. Must be refused unless `may_work`. */
static bool try_truncated(check *c, const char *path, int fd, const io_map *file, size_t n, bool may_work) {
    error err = {0};
    if (lseek(fd, 0, SEEK_SET) != 0 || ftruncate(fd, 0) != 0 || io_write_all(fd, file->data, n, &err) != STATUS_OK) {
        (void)check_skip(c, "%s: cannot be written", path);
        return true;
    }
    assay_open_args args = {
        .struct_size = sizeof args, .n_options = (uint32_t)c->n_options, .path = path, .options = c->options};
    if (!may_work) {
        return open_refused(c, &args, arena_printf(&c->a, "%zu of %zu bytes of the model", n, file->n));
    }
    assay_model *raw = NULL;
    if (c->p->api.open(&args, &raw, NULL) == ASSAY_OK) { /* a text file may end without its last newline */
        c->p->api.close(raw);
    }
    return true;
}

validate_outcome check_truncated_file(check *c) {
    error err = {0};
    io_map file = {0};
    if (c->model_path == NULL || io_map_file(c->model_path, &file, &err) != STATUS_OK) {
        return check_skip(c, "no model file was given");
    }
    const char *dir = getenv("TMPDIR");
    const char *dot = strrchr(io_basename(c->model_path), '.'); /* some plug-ins look at the ending */
    dot = dot == NULL ? "" : dot;
    char *path = arena_printf(&c->a, "%s/assay-XXXXXX%s", dir == NULL ? "/tmp" : dir, dot);
    int fd = mkstemps(path, (int)strlen(dot));
    if (fd < 0) {
        io_unmap(&file);
        return check_skip(c, "%s: %s", path, strerror(errno));
    }
    bool ok = true;
    for (size_t q = 0; q <= 4 && ok; q++) { /* none, 1/8 ... 1/2 of it */
        ok = try_truncated(c, path, fd, &file, file.n * q / 8, false);
    }
    for (size_t q = 1; q <= 16 && q <= file.n && ok; q++) {
        ok = try_truncated(c, path, fd, &file, file.n - q, true);
    }
    (void)close(fd);
    (void)unlink(path);
    io_unmap(&file);
    return ok ? VALIDATE_PASS : VALIDATE_FAIL;
}

/* ---- leaks -------------------------------------------------------------------------------------- */

#define CYCLES 50
#define WARM_UP 10
#define HEAP_TOLERANCE (40L * 1024) /* over the 40 cycles that count: libraries may still fill small caches */
#ifdef __SANITIZE_ADDRESS__
#define RSS_TOLERANCE                                                                                                  \
    (512LL << 20) /* AddressSanitizer keeps up to 256 MiB of freed memory; its own leak check counts */
#else
#define RSS_TOLERANCE (16LL << 20) /* fragmentation, and what does not come from malloc */
#endif

/* One whole life of a model. */
static bool cycle(check *c) {
    error err = {0};
    model *m = NULL;
    session *s = NULL;
    if (model_open(c->p, c->model_path, c->options, c->n_options, &m, &err) != STATUS_OK ||
        session_open(m, &(session_options){.tile = 8, .n_threads = 1}, &s, &err) != STATUS_OK) {
        model_close(m);
        (void)check_skip(c, "not reached: %s", err.text);
        return false;
    }
    const model_facts *f = model_get_facts(m);
    float *x = mem_zalloc(2 * f->n_features * sizeof *x);
    float *z = mem_zalloc(2 * f->n_outputs * sizeof *z);
    (void)session_predict(s, x, 1, z, &err);
    (void)session_vjp(s, x, 1, z, ASSAY_VJP_EXACT, z + f->n_outputs, x + f->n_features, &err);
    mem_free(x);
    mem_free(z);
    session_close(s);
    model_close(m);
    return true;
}

/* Bytes that malloc has handed out; 0 under sanitizers, which bring their own malloc (and find leaks themselves). */
static int64_t heap_bytes(void) {
    struct mallinfo2 i = mallinfo2();
    return (int64_t)(i.uordblks + i.hblkhd);
}

validate_outcome check_leaks(check *c) {
    int64_t heap = 0;
    int64_t rss = 0;
    for (int i = 0; i < CYCLES; i++) {
        if (i == WARM_UP) {
            heap = heap_bytes();
            rss = proc_rss_bytes(getpid());
        }
        if (!cycle(c)) {
            return VALIDATE_SKIP;
        }
    }
    heap = heap_bytes() - heap;
    rss = proc_rss_bytes(getpid()) - rss;
    check_note(c, "heap grew by %lld bytes, resident memory by %lld KB in %d cycles", (long long)heap,
               (long long)rss / 1024, CYCLES - WARM_UP);
    return heap <= HEAP_TOLERANCE && rss <= RSS_TOLERANCE ? VALIDATE_PASS : VALIDATE_FAIL;
}
