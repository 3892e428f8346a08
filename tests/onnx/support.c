/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/io.h"

/* ---- protobuf ----------------------------------------------------------------------------------- */

void pb_raw(pb *b, const void *data, size_t n) {
    b->data = mem_grow(b->data, &b->cap, b->n + n, 1);
    if (n > 0) {
        memcpy(b->data + b->n, data, n);
    }
    b->n += n;
}

void pb_varint(pb *b, uint64_t v) {
    do {
        uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        pb_raw(b, &byte, 1);
        v >>= 7;
    } while (v != 0);
}

void pb_tag(pb *b, unsigned field, unsigned type) {
    pb_varint(b, (uint64_t)field << 3 | type);
}

void pb_int(pb *b, unsigned field, uint64_t v) {
    pb_tag(b, field, 0);
    pb_varint(b, v);
}

void pb_float(pb *b, unsigned field, float v) {
    pb_tag(b, field, 5);
    pb_raw(b, &v, sizeof v);
}

void pb_bytes(pb *b, unsigned field, const void *data, size_t n) {
    pb_tag(b, field, 2);
    pb_varint(b, n);
    pb_raw(b, data, n);
}

void pb_str(pb *b, unsigned field, const char *s) {
    pb_bytes(b, field, s, strlen(s));
}

void pb_msg(pb *b, unsigned field, pb *sub) {
    pb_bytes(b, field, sub->data, sub->n);
    pb_free(sub);
}

void pb_free(pb *b) {
    mem_free(b->data);
    *b = (pb){0};
}

static void value_info(pb *graph, unsigned field, const char *name, const int64_t *shape, size_t n) {
    pb dims = {0}, tensor = {0}, type = {0}, info = {0};
    for (size_t i = 0; i < n; i++) {
        pb dim = {0};
        if (shape[i] < 0) {
            pb_str(&dim, 2, "N");
        } else {
            pb_int(&dim, 1, (uint64_t)shape[i]);
        }
        pb_msg(&dims, 1, &dim);
    }
    pb_int(&tensor, 1, 1);
    if (shape != NULL) {
        pb_msg(&tensor, 2, &dims);
    }
    pb_msg(&type, 1, &tensor);
    pb_str(&info, 1, name);
    pb_msg(&info, 2, &type);
    pb_msg(graph, field, &info);
}

void onnx_input(pb *graph, const char *name, const int64_t *shape, size_t n) {
    value_info(graph, 11, name, shape, n);
}

void onnx_output(pb *graph, const char *name) {
    value_info(graph, 12, name, NULL, 0);
}

static void initialiser(pb *graph, const char *name, uint64_t type, const int64_t *shape, size_t n, const void *data,
                        size_t item) {
    pb t = {0};
    size_t count = 1;
    for (size_t i = 0; i < n; i++) {
        pb_int(&t, 1, (uint64_t)shape[i]);
        count *= (size_t)shape[i];
    }
    pb_int(&t, 2, type);
    pb_str(&t, 8, name);
    pb_bytes(&t, 9, data, count * item);
    pb_msg(graph, 5, &t);
}

void onnx_f32(pb *graph, const char *name, const int64_t *shape, size_t n, const float *data) {
    initialiser(graph, name, 1, shape, n, data, sizeof *data);
}

void onnx_i64(pb *graph, const char *name, const int64_t *shape, size_t n, const int64_t *data) {
    initialiser(graph, name, 7, shape, n, data, sizeof *data);
}

static void names(pb *node, unsigned field, const char *list) {
    while (*list != '\0') {
        size_t n = strcspn(list, " ");
        pb_bytes(node, field, list, n == 1 && list[0] == '-' ? 0 : n);
        list += n + (list[n] == ' ');
    }
}

void onnx_node(pb *graph, const char *op, const char *name, const char *in, const char *out, pb *attrs) {
    pb node = {0};
    names(&node, 1, in);
    names(&node, 2, out);
    pb_str(&node, 3, name);
    pb_str(&node, 4, op);
    if (attrs != NULL) {
        pb_raw(&node, attrs->data, attrs->n);
        pb_free(attrs);
    }
    pb_msg(graph, 1, &node);
}

void onnx_attr_int(pb *attrs, const char *name, int64_t v) {
    pb a = {0};
    pb_str(&a, 1, name);
    pb_int(&a, 3, (uint64_t)v);
    pb_int(&a, 20, 2);
    pb_msg(attrs, 5, &a);
}

pb onnx_model(pb *graph, int opset, const char *const *meta) {
    pb m = {0}, o = {0};
    pb_int(&m, 1, 7);
    pb_str(&o, 1, "");
    pb_int(&o, 2, (uint64_t)opset);
    pb_msg(&m, 8, &o);
    for (size_t i = 0; meta != NULL && meta[i] != NULL; i += 2) {
        pb e = {0};
        pb_str(&e, 1, meta[i]);
        pb_str(&e, 2, meta[i + 1]);
        pb_msg(&m, 14, &e);
    }
    pb_msg(&m, 7, graph);
    return m;
}

/* ---- files -------------------------------------------------------------------------------------- */

const char *source_path(char buf[512], const char *relative) {
    const char *root = getenv("ASSAY_SOURCE_DIR");
    (void)snprintf(buf, 512, "%s/%s", root != NULL ? root : ".", relative);
    return buf;
}

uint8_t *read_whole(const char *path, size_t *n) {
    char *text = NULL;
    return io_read_file(path, (size_t)1 << 30, &text, n, NULL) == STATUS_OK ? (uint8_t *)text : NULL;
}

char *write_temp(const pb *b, char path[64]) {
    (void)snprintf(path, 64, "/tmp/assay-onnx-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, b->data, b->n, NULL), STATUS_OK);
    (void)close(fd);
    return path;
}

/* The header is a Python dict; of it `descr` and `shape` are read. */
static bool npy_header(const char *h, npy *out, char type[4]) {
    const char *d = strstr(h, "'descr': '"), *s = strstr(h, "'shape': (");
    if (d == NULL || s == NULL || strstr(h, "'fortran_order': False") == NULL) {
        return false;
    }
    (void)memcpy(type, d + 10, 3);
    type[3] = '\0';
    out->n = 1;
    const char *at = s + 10;
    while (*at != ')' && *at != '\0' && out->n_dims < 8) {
        char *end = NULL;
        int64_t v = strtoll(at, &end, 10);
        if (end == at) {
            return false;
        }
        out->shape[out->n_dims++] = v;
        out->n *= (size_t)v;
        at = end + strspn(end, ", ");
    }
    return true;
}

static float npy_value(const uint8_t *p, const char *type) {
    float f = 0;
    double d = 0;
    int32_t i = 0;
    int64_t l = 0;
    if (strcmp(type, "<f4") == 0) {
        memcpy(&f, p, sizeof f);
        return f;
    }
    if (strcmp(type, "<f8") == 0) {
        memcpy(&d, p, sizeof d);
        return (float)d;
    }
    if (strcmp(type, "<i4") == 0) {
        memcpy(&i, p, sizeof i);
        return (float)i;
    }
    if (strcmp(type, "<i8") == 0) {
        memcpy(&l, p, sizeof l);
        return (float)l;
    }
    return type[1] == 'i' ? (float)(int8_t)p[0] : (float)p[0];
}

bool npy_read(const char *path, npy *out) {
    size_t n = 0;
    uint8_t *file = read_whole(path, &n);
    *out = (npy){0};
    if (file == NULL) {
        return false;
    }
    char type[4] = "";
    assert_true(n > 10 && memcmp(file, "\x93NUMPY\x01", 7) == 0);
    size_t header = 10 + (size_t)file[8] + ((size_t)file[9] << 8);
    assert_true(header <= n && npy_header((const char *)file + 10, out, type));
    size_t item = (size_t)(type[2] - '0');
    assert_int_equal(n - header, out->n * item);
    out->data = mem_zalloc(out->n * sizeof *out->data);
    for (size_t i = 0; i < out->n; i++) {
        out->data[i] = npy_value(file + header + i * item, type);
    }
    mem_free(file);
    return true;
}

void npy_free(npy *a) {
    mem_free(a->data);
    *a = (npy){0};
}

float *fashion_images(size_t at, size_t n) {
    gzFile f = gzopen("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", "rb");
    if (f == NULL) {
        return NULL;
    }
    uint8_t *bytes = mem_zalloc(n * 784);
    bool ok = gzseek(f, (z_off_t)(16 + at * 784), SEEK_SET) >= 0 && gzread(f, bytes, (unsigned)(n * 784)) > 0;
    (void)gzclose(f);
    float *x = ok ? mem_zalloc(n * 784 * sizeof *x) : NULL;
    for (size_t i = 0; ok && i < n * 784; i++) {
        x[i] = (float)bytes[i] / 255.0f;
    }
    mem_free(bytes);
    return x;
}

/* ---- the plug-in -------------------------------------------------------------------------------- */

static void read_ports(rig *r) {
    const assay_io *io = r->api->capability(r->model, ASSAY_IO_1);
    r->in.struct_size = r->out[0].struct_size = r->out[1].struct_size = sizeof(assay_port);
    assert_int_equal(io->n_ports(r->model, ASSAY_DIRECTION_INPUT), 1);
    assert_int_equal(io->port(r->model, ASSAY_DIRECTION_INPUT, 0, &r->in, NULL), ASSAY_OK);
    r->n_ports = io->n_ports(r->model, ASSAY_DIRECTION_OUTPUT);
    for (uint32_t i = 0; i < r->n_ports; i++) {
        assert_int_equal(io->port(r->model, ASSAY_DIRECTION_OUTPUT, i, &r->out[i], NULL), ASSAY_OK);
    }
    r->n_features = r->n_outputs = 1;
    for (uint32_t i = 1; i < r->in.n_dims; i++) {
        r->n_features *= (size_t)r->in.shape[i];
    }
    for (uint32_t i = 1; i < r->out[0].n_dims; i++) {
        r->n_outputs *= (size_t)r->out[0].shape[i];
    }
}

assay_status rig_open(rig *r, const char *path, const assay_option *options, uint32_t n_options) {
    *r = (rig){.api = ox_api_get(ASSAY_MODEL_1)};
    r->err = (assay_error){.struct_size = sizeof r->err, .capacity = sizeof r->text, .text = r->text};
    assay_open_args a = {.struct_size = sizeof a, .n_options = n_options, .path = path, .options = options};
    assay_status s = r->api->open(&a, &r->model, &r->err);
    assert_true((s == ASSAY_OK) == (r->model != NULL));
    if (s == ASSAY_OK) {
        read_ports(r);
    }
    return s;
}

assay_status rig_open_pb(rig *r, pb *model, const assay_option *options, uint32_t n_options) {
    char path[64];
    assay_status s = rig_open(r, write_temp(model, path), options, n_options);
    (void)unlink(path);
    pb_free(model);
    return s;
}

void rig_close(rig *r) {
    r->api->close(r->model);
    r->model = NULL;
}

assay_session *rig_session(rig *r, uint32_t tile, uint32_t flags) {
    assay_session *s = NULL;
    assay_session_args a = {.struct_size = sizeof a, .tile = tile, .n_threads = 1, .flags = flags};
    assert_int_equal(r->api->session_open(r->model, &a, &s, &r->err), ASSAY_OK);
    return s;
}

assay_tensor rig_tensor(const assay_port *p, const float *data, size_t n) {
    assay_tensor t = {.struct_size = sizeof t, .dtype = ASSAY_F32, .n_dims = p->n_dims, .size_bytes = n * 4};
    t.shape[0] = (int64_t)n;
    for (uint32_t i = 1; i < p->n_dims; i++) {
        t.shape[i] = p->shape[i];
        t.size_bytes *= (uint64_t)p->shape[i];
    }
    t.data = (void *)(uintptr_t)data;
    return t;
}

void rig_predict(rig *r, assay_session *s, const float *x, size_t n, float *out) {
    const assay_predict *p = r->api->capability(r->model, ASSAY_PREDICT_1);
    assay_tensor in = rig_tensor(&r->in, x, n);
    assay_tensor o[2] = {rig_tensor(&r->out[0], out, n), rig_tensor(&r->out[1], NULL, n)};
    if (p->predict(s, &in, 1, o, r->n_ports, &r->err) != ASSAY_OK) {
        fail_msg("%s", r->text);
    }
}

void rig_vjp(rig *r, assay_session *s, const float *x, size_t n, const float *cotangent, uint32_t mode, float *out,
             float *gradient) {
    const assay_vjp *v = r->api->capability(r->model, ASSAY_VJP_1);
    assay_tensor in = rig_tensor(&r->in, x, n), g = rig_tensor(&r->in, gradient, n);
    assay_tensor c[2] = {rig_tensor(&r->out[0], cotangent, n), rig_tensor(&r->out[1], NULL, n)};
    assay_tensor o[2] = {rig_tensor(&r->out[0], out, n), rig_tensor(&r->out[1], NULL, n)};
    if (v->vjp(s, &in, 1, c, r->n_ports, out != NULL ? o : NULL, &g, mode, &r->err) != ASSAY_OK) {
        fail_msg("%s", r->text);
    }
}
