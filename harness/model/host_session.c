/* SPDX-License-Identifier: Apache-2.0
 * Sessions: predict and vjp behind the guards. The plug-in sees only buffers of the session: inputs are copied in
 * (which also aligns them and gathers columns) and compared afterwards, outputs lie between canaries. */
#include <stdio.h>
#include <string.h>

#include "model/host_internal.h"

status session_open(model *m, const session_options *o, session **out, error *err) {
    *out = NULL;
    if (o->tile != 1 && o->tile != 8 && o->tile != 32) {
        return error_set(err, STATUS_USAGE, "tile must be 1, 8 or 32, not %u", o->tile);
    }
    if (o->n_threads < 1) {
        return error_set(err, STATUS_USAGE, "a session needs at least one thread");
    }
    plugin *p = m->plugin;
    guard_state g;
    host_error e;
    host_error_init(&e);
    session *s = mem_zalloc(sizeof *s);
    s->model = m;
    assay_session_args args = {.struct_size = sizeof args,
                               .tile = o->tile,
                               .n_threads = o->n_threads,
                               .flags = o->unpadded ? ASSAY_SESSION_UNPADDED : 0};
    guard_enter(&g);
    assay_status rc = p->api.session_open(m->raw, &args, &s->raw, &e.e);
    host_note(p, guard_leave(&g), "session_open");
    status st = host_status(p, rc, &e, "session_open", STATUS_MODEL, err);
    if (st == STATUS_OK && s->raw == NULL) {
        st = error_set(err, STATUS_MODEL, "plug-in \"%s\": session_open reports success but gives no session",
                       p->entry.name);
    } else if (st != STATUS_OK) {
        s->raw = NULL;
    }
    if (st != STATUS_OK) {
        session_close(s);
        return st;
    }
    *out = s;
    return STATUS_OK;
}

void session_close(session *s) {
    if (s == NULL) {
        return;
    }
    if (s->raw != NULL) {
        guard_state g;
        guard_enter(&g);
        s->model->plugin->api.session_close(s->raw);
        host_note(s->model->plugin, guard_leave(&g), "session_close");
    }
    guard_buffer_free(&s->x);
    guard_buffer_free(&s->out);
    guard_buffer_free(&s->cotangent);
    guard_buffer_free(&s->gradient);
    mem_free(s);
}

assay_tensor host_tensor(const host_port *p, size_t batch, void *data) {
    assay_tensor t = {.struct_size = sizeof t, .dtype = p->port.dtype, .n_dims = p->port.n_dims, .data = data};
    memcpy(t.shape, p->port.shape, sizeof t.shape);
    for (uint32_t d = t.n_dims; d < ASSAY_MAX_DIMS; d++) {
        t.shape[d] = 0;
    }
    t.shape[0] = (int64_t)batch;
    t.size_bytes = (uint64_t)batch * p->n_values * host_dtype_bytes(p->port.dtype);
    return t;
}

/* ---- copies ------------------------------------------------------------------------------------- */

/* x: (n, n_features) -> (n, n_model_features). */
static void gather(const model *m, const float *x, size_t n, float *to) {
    size_t width = m->facts.n_features;
    size_t k = m->facts.n_model_features;
    if (m->gather == NULL) {
        memcpy(to, x, n * k * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) {
            to[i * k + j] = x[i * width + m->gather[j]];
        }
    }
}

/* gradient: (n, n_model_features) -> (n, n_features); a column that the model does not read has gradient 0, one that
 * it reads twice the sum. */
static void scatter(const model *m, const float *from, size_t n, float *gradient) {
    size_t width = m->facts.n_features;
    size_t k = m->facts.n_model_features;
    if (m->gather == NULL) {
        memcpy(gradient, from, n * k * sizeof *gradient);
        return;
    }
    memset(gradient, 0, n * width * sizeof *gradient);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) {
            gradient[i * width + m->gather[j]] += from[i * k + j];
        }
    }
}

static uint32_t bits_of(float v) {
    uint32_t u = 0;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* Has the plug-in left its copy of the input alone? Bits are compared, so NaN is fine. */
static bool input_kept(const model *m, const float *x, size_t n, const float *copy) {
    size_t width = m->facts.n_features;
    size_t k = m->facts.n_model_features;
    if (m->gather == NULL) {
        return memcmp(x, copy, n * k * sizeof *x) == 0;
    }
    bool same = true;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) {
            same &= bits_of(x[i * width + m->gather[j]]) == bits_of(copy[i * k + j]);
        }
    }
    return same;
}

/* ---- calls -------------------------------------------------------------------------------------- */

typedef struct call {
    assay_tensor in[1], out[HOST_MAX_PORTS], cotangent[HOST_MAX_PORTS], gradient[1];
} call;

static status reserve(guard_buffer *b, size_t n, size_t per_example, const char *what, error *err) {
    size_t bytes = 0;
    if (!mem_mul(n, per_example, &bytes) || !mem_mul(bytes, sizeof(float), &bytes)) {
        return error_set(err, STATUS_MEMORY, "%s: a batch of %zu is too large", what, n);
    }
    return guard_buffer_reserve(b, bytes, what, err);
}

/* Tensors of a call for n examples, and the input's copy. */
static status prepare(session *s, const float *x, size_t n, bool want_out, call *c, error *err) {
    const model *m = s->model;
    TRY(reserve(&s->x, n, m->facts.n_model_features, "a batch of inputs", err));
    TRY(reserve(&s->out, n, m->facts.n_outputs, "a batch of outputs", err));
    gather(m, x, n, (float *)(void *)s->x.data);
    guard_buffer_poison(&s->out);
    c->in[0] = host_tensor(&m->in[0], n, s->x.data);
    for (uint32_t i = 0; i < m->n_out; i++) {
        c->out[i] = host_tensor(&m->out[i], n, want_out && i == m->i_out ? s->out.data : NULL);
    }
    return STATUS_OK;
}

static status breach(session *s, unsigned bit, const char *what, const char *text, error *err) {
    s->breaches |= bit;
    return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s: %s", s->model->plugin->entry.name, what, text);
}

/* What holds after every call, whatever it returned. */
static status check_buffers(session *s, const float *x, size_t n, const char *what, error *err) {
    if (!guard_buffer_intact(&s->out) || !guard_buffer_intact(&s->gradient)) {
        return breach(s, SESSION_OVERRUN, what, "wrote outside its output buffer", err);
    }
    if (!guard_buffer_intact(&s->x) || !guard_buffer_intact(&s->cotangent) ||
        !input_kept(s->model, x, n, (const float *)(const void *)s->x.data)) {
        return breach(s, SESSION_MUTATED, what, "changed its input", err);
    }
    return STATUS_OK;
}

status session_predict(session *s, const float *x, size_t n, float *out, error *err) {
    static const char what[] = "predict";
    const model *m = s->model;
    if (m->predict.predict == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "the model lacks %s", ASSAY_PREDICT_1);
    }
    if (n == 0) {
        return STATUS_OK;
    }
    call c;
    TRY(prepare(s, x, n, true, &c, err));
    assay_tensor in = c.in[0];
    assay_tensor outs[HOST_MAX_PORTS];
    memcpy(outs, c.out, m->n_out * sizeof outs[0]);
    guard_state g;
    host_error e;
    host_error_init(&e);
    guard_enter(&g);
    assay_status rc = m->predict.predict(s->raw, c.in, m->n_in, c.out, m->n_out, &e.e);
    host_note(m->plugin, guard_leave(&g), what);
    TRY(check_buffers(s, x, n, what, err));
    TRY(host_status(m->plugin, rc, &e, what, STATUS_MODEL, err));
    if (memcmp(&in, c.in, sizeof in) != 0 || memcmp(outs, c.out, m->n_out * sizeof outs[0]) != 0) {
        return breach(s, SESSION_STRUCT, what, "changed a tensor struct", err);
    }
    memcpy(out, s->out.data, n * m->facts.n_outputs * sizeof *out);
    return STATUS_OK;
}

/* The tensors of a vjp beyond those of predict. */
static status prepare_vjp(session *s, const float *cotangent, size_t n, call *c, error *err) {
    const model *m = s->model;
    TRY(reserve(&s->cotangent, n, m->facts.n_outputs, "a batch of cotangents", err));
    TRY(reserve(&s->gradient, n, m->facts.n_model_features, "a batch of gradients", err));
    memcpy(s->cotangent.data, cotangent, n * m->facts.n_outputs * sizeof *cotangent);
    guard_buffer_poison(&s->gradient);
    for (uint32_t i = 0; i < m->n_out; i++) {
        c->cotangent[i] = host_tensor(&m->out[i], n, i == m->i_out ? s->cotangent.data : NULL);
    }
    c->gradient[0] = host_tensor(&m->in[0], n, s->gradient.data);
    return STATUS_OK;
}

status session_vjp(session *s, const float *x, size_t n, const float *cotangent, uint32_t mode, float *out,
                   float *gradient, error *err) {
    static const char what[] = "vjp";
    const model *m = s->model;
    if (m->vjp.vjp == NULL || mode >= 32 || (m->vjp.modes & (1u << mode)) == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "the model lacks %s in mode %u", ASSAY_VJP_1, mode);
    }
    if (n == 0) {
        return STATUS_OK;
    }
    call c;
    TRY(prepare(s, x, n, out != NULL, &c, err));
    TRY(prepare_vjp(s, cotangent, n, &c, err));
    call before = c;
    guard_state g;
    host_error e;
    host_error_init(&e);
    guard_enter(&g);
    assay_status rc =
        m->vjp.vjp(s->raw, c.in, m->n_in, c.cotangent, m->n_out, out != NULL ? c.out : NULL, c.gradient, mode, &e.e);
    host_note(m->plugin, guard_leave(&g), what);
    TRY(check_buffers(s, x, n, what, err));
    TRY(host_status(m->plugin, rc, &e, what, STATUS_MODEL, err));
    size_t bytes = m->n_out * sizeof c.out[0];
    if (memcmp(before.in, c.in, sizeof c.in) != 0 || memcmp(before.gradient, c.gradient, sizeof c.gradient) != 0 ||
        memcmp(before.out, c.out, bytes) != 0 || memcmp(before.cotangent, c.cotangent, bytes) != 0) {
        return breach(s, SESSION_STRUCT, what, "changed a tensor struct", err);
    }
    if (memcmp(cotangent, s->cotangent.data, n * m->facts.n_outputs * sizeof *cotangent) != 0) {
        return breach(s, SESSION_MUTATED, what, "changed its cotangent", err);
    }
    if (out != NULL) {
        memcpy(out, s->out.data, n * m->facts.n_outputs * sizeof *out);
    }
    scatter(m, (const float *)(const void *)s->gradient.data, n, gradient);
    return STATUS_OK;
}

/* ---- several sets of cotangents ----------------------------------------------------------------- */

/* Of n_sets calls in one. Each set begins at a multiple of 64 bytes; between them lies poison. */
typedef struct sets_call {
    call c;
    size_t n, n_sets, n_cotangent, n_gradient; /* values of one set */
    size_t cotangent_stride, gradient_stride;
    assay_tensor *cotangents,
        *gradients; /* (n_sets, n_out) and n_sets; as they were before the call in the rear half */
} sets_call;

static size_t padded(size_t n) {
    size_t floats = MEM_ALIGN / sizeof(float);
    return (n + floats - 1) / floats * floats;
}

static float *floats_of(const guard_buffer *b) {
    return (float *)(void *)b->data;
}

static status prepare_sets(session *s, const float *x, const float *cotangents, bool want_out, sets_call *k,
                           error *err) {
    const model *m = s->model;
    size_t n = k->n;
    TRY(prepare(s, x, n, want_out, &k->c, err));
    k->n_cotangent = n * m->facts.n_outputs; /* no overflow: prepare */
    k->n_gradient = n * m->facts.n_model_features;
    k->cotangent_stride = padded(k->n_cotangent);
    k->gradient_stride = padded(k->n_gradient);
    TRY(reserve(&s->cotangent, k->n_sets, k->cotangent_stride, "sets of cotangents", err));
    TRY(reserve(&s->gradient, k->n_sets, k->gradient_stride, "sets of gradients", err));
    guard_buffer_poison(&s->cotangent);
    guard_buffer_poison(&s->gradient);
    k->cotangents = mem_zalloc(2 * k->n_sets * m->n_out * sizeof *k->cotangents);
    k->gradients = mem_zalloc(2 * k->n_sets * sizeof *k->gradients);
    for (size_t j = 0; j < k->n_sets; j++) {
        float *u = floats_of(&s->cotangent) + j * k->cotangent_stride;
        memcpy(u, cotangents + j * k->n_cotangent, k->n_cotangent * sizeof *u);
        for (uint32_t i = 0; i < m->n_out; i++) {
            k->cotangents[j * m->n_out + i] = host_tensor(&m->out[i], n, i == m->i_out ? u : NULL);
        }
        k->gradients[j] = host_tensor(&m->in[0], n, floats_of(&s->gradient) + j * k->gradient_stride);
    }
    memcpy(k->cotangents + k->n_sets * m->n_out, k->cotangents, k->n_sets * m->n_out * sizeof *k->cotangents);
    memcpy(k->gradients + k->n_sets, k->gradients, k->n_sets * sizeof *k->gradients);
    return STATUS_OK;
}

static status check_sets(session *s, const float *cotangents, const sets_call *k, const call *before, const char *what,
                         error *err) {
    const model *m = s->model;
    size_t n_tensors = k->n_sets * m->n_out;
    if (memcmp(before->in, k->c.in, sizeof k->c.in) != 0 ||
        memcmp(before->out, k->c.out, m->n_out * sizeof k->c.out[0]) != 0 ||
        memcmp(k->cotangents, k->cotangents + n_tensors, n_tensors * sizeof *k->cotangents) != 0 ||
        memcmp(k->gradients, k->gradients + k->n_sets, k->n_sets * sizeof *k->gradients) != 0) {
        return breach(s, SESSION_STRUCT, what, "changed a tensor struct", err);
    }
    for (size_t j = 0; j < k->n_sets; j++) {
        const float *u = floats_of(&s->cotangent) + j * k->cotangent_stride;
        const float *g = floats_of(&s->gradient) + j * k->gradient_stride;
        size_t between = k->gradient_stride - k->n_gradient;
        if (memcmp(cotangents + j * k->n_cotangent, u, k->n_cotangent * sizeof *u) != 0) {
            return breach(s, SESSION_MUTATED, what, "changed its cotangent", err);
        }
        if (guard_count_poison(g + k->n_gradient, between) != between) {
            return breach(s, SESSION_OVERRUN, what, "wrote between its gradients", err);
        }
    }
    return STATUS_OK;
}

static status call_sets(session *s, const float *x, const float *cotangents, uint32_t mode, float *out, sets_call *k,
                        error *err) {
    static const char what[] = "vjp of several sets";
    const model *m = s->model;
    TRY(prepare_sets(s, x, cotangents, out != NULL, k, err));
    call before = k->c;
    guard_state g;
    host_error e;
    host_error_init(&e);
    guard_enter(&g);
    assay_status rc = m->vjp_sets.vjp(s->raw, k->c.in, m->n_in, k->cotangents, m->n_out, (uint32_t)k->n_sets,
                                      out != NULL ? k->c.out : NULL, k->gradients, mode, &e.e);
    host_note(m->plugin, guard_leave(&g), what);
    TRY(check_buffers(s, x, k->n, what, err));
    TRY(host_status(m->plugin, rc, &e, what, STATUS_MODEL, err));
    return check_sets(s, cotangents, k, &before, what, err);
}

static status one_by_one(session *s, const float *x, size_t n, const float *cotangents, size_t n_sets, uint32_t mode,
                         float *out, float *gradients, error *err) {
    const model_facts *f = &s->model->facts;
    for (size_t j = 0; j < n_sets; j++) {
        TRY(session_vjp(s, x, n, cotangents + j * n * f->n_outputs, mode, j == 0 ? out : NULL,
                        gradients + j * n * f->n_features, err));
    }
    return STATUS_OK;
}

status session_vjp_sets(session *s, const float *x, size_t n, const float *cotangents, size_t n_sets, uint32_t mode,
                        float *out, float *gradients, error *err) {
    const model *m = s->model;
    if (n_sets < 1 || n_sets > HOST_MAX_SETS) {
        return error_set(err, STATUS_USAGE, "%zu sets of cotangents; 1 to %u are possible", n_sets, HOST_MAX_SETS);
    }
    if (n_sets == 1 || n == 0 || m->vjp_sets.vjp == NULL || mode >= 32 || (m->vjp_sets.modes & (1u << mode)) == 0) {
        return one_by_one(s, x, n, cotangents, n_sets, mode, out, gradients, err);
    }
    sets_call *k = mem_zalloc(sizeof *k);
    k->n = n;
    k->n_sets = n_sets;
    status st = call_sets(s, x, cotangents, mode, out, k, err);
    for (size_t j = 0; j < n_sets && st == STATUS_OK; j++) {
        scatter(m, floats_of(&s->gradient) + j * k->gradient_stride, n, gradients + j * n * m->facts.n_features);
    }
    if (st == STATUS_OK && out != NULL) {
        memcpy(out, s->out.data, n * m->facts.n_outputs * sizeof *out);
    }
    mem_free(k->cotangents);
    mem_free(k->gradients);
    mem_free(k);
    return st;
}
