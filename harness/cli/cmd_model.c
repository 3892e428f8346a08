/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "model/info.h"
#include "reports/doc.h"
#include "reports/renderer.h"
#include "run/config.h"

/* ---- values of the document --------------------------------------------------------------------- */

static const char *string_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static long long integer_of(const json_t *o, const char *key) {
    return (long long)json_integer_value(json_object_get(o, key));
}

/* 1234567 -> "1,234,567" */
static char *grouped(arena *a, long long v) {
    char *plain = arena_printf(a, "%lld", v);
    size_t n = strlen(plain), at = 0;
    char *out = arena_alloc(a, n + n / 3 + 2);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && plain[i - 1] != '-') {
            out[at++] = ',';
        }
        out[at++] = plain[i];
    }
    return out;
}

static char *number_of(const json_t *o, const char *key, arena *a) {
    return grouped(a, integer_of(o, key));
}

static char *shape_text(const json_t *o, arena *a) {
    const json_t *shape = json_object_get(o, "shape");
    strbuf b = {0};
    for (size_t i = 0; i < json_array_size(shape); i++) {
        long long d = (long long)json_integer_value(json_array_get(shape, i));
        strbuf_add(&b, i > 0 ? ", " : "(");
        if (d < 0) {
            strbuf_add(&b, "batch");
        } else {
            strbuf_addf(&b, "%lld", d);
        }
    }
    strbuf_add(&b, b.len == 0 ? "()" : ")");
    char *text = arena_strdup(a, strbuf_str(&b));
    strbuf_free(&b);
    return text;
}

static char *bits_text(const json_t *o, arena *a) {
    double bits = json_number_value(json_object_get(o, "weight_bits"));
    return arena_printf(a, bits == floor(bits) ? "%.0f" : "%.2f", bits);
}

static char *share_text(const json_t *o, arena *a) {
    long long n = integer_of(o, "params");
    return n == 0 ? arena_strdup(a, "")
                  : arena_printf(a, "%.1f", 100.0 * (double)integer_of(o, "params_zero") / (double)n);
}

static char *bound_text(const json_t *range, size_t i, arena *a) {
    const json_t *v = json_array_get(range, i);
    char num[STR_DOUBLE_BYTES];
    return arena_strdup(a, json_is_number(v) ? str_from_double(json_number_value(v), num) : i == 0 ? "-inf" : "inf");
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* All values of one fact in one line. */
static void add_fact(report_doc *d, const json_t *doc, const char *key, const char *title) {
    strbuf b = {0};
    size_t i = 0;
    json_t *f = NULL;
    json_array_foreach(json_object_get(doc, "facts"), i, f) {
        if (strcmp(string_of(f, "key"), key) == 0) {
            strbuf_addf(&b, "%s%s", b.len > 0 ? ", " : "", string_of(f, "value"));
        }
    }
    if (b.len > 0) {
        doc_fact(d, title, "%s", strbuf_str(&b));
    }
    strbuf_free(&b);
}

static void add_file(report_doc *d, const json_t *doc) {
    const json_t *p = json_object_get(doc, "plugin");
    doc_heading(d, 1, "%s", string_of(doc, "file"));
    if (p != NULL) {
        doc_fact(d, "plug-in", "%s %s", string_of(p, "name"), string_of(p, "version"));
    }
    add_fact(d, doc, "format", "format");
    add_fact(d, doc, "producer", "producer");
    add_fact(d, doc, "opset", "opsets");
    if (json_object_get(doc, "inputs") == NULL) { /* it did not open: what the file declares */
        add_fact(d, doc, "input", "declared inputs");
        add_fact(d, doc, "output", "declared outputs");
    }
    add_fact(d, doc, "operator", "operators");
}

static void add_unsupported(report_doc *d, const json_t *doc) {
    static const doc_column head[] = {{"unsupported", "", 'l'}};
    bool any = false;
    size_t i = 0;
    json_t *f = NULL;
    json_array_foreach(json_object_get(doc, "facts"), i, f) {
        if (strcmp(string_of(f, "key"), "unsupported") == 0) {
            const char *cells[] = {string_of(f, "value")};
            if (!any) {
                doc_heading(d, 2, "Nodes that are not supported");
                doc_table(d, head, 1);
            }
            any = true;
            doc_row(d, cells);
        }
    }
}

static void add_ports(report_doc *d, const json_t *doc, arena *a) {
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(json_object_get(doc, "inputs"), i, p) {
        const json_t *range = json_object_get(p, "range");
        doc_fact(d, "input", "%s: %s %s, raw range %s to %s", string_of(p, "name"), string_of(p, "dtype"),
                 shape_text(p, a), bound_text(range, 0, a), bound_text(range, 1, a));
    }
    json_array_foreach(json_object_get(doc, "outputs"), i, p) {
        doc_fact(d, "output", "%s: %s %s, %s%s", string_of(p, "name"), string_of(p, "dtype"), shape_text(p, a),
                 string_of(p, "kind"), json_is_true(json_object_get(p, "used")) ? " (used)" : "");
    }
    if (integer_of(doc, "labels") > 0) {
        doc_fact(d, "class names", "%lld", integer_of(doc, "labels"));
    }
    if (integer_of(doc, "columns") > 0) {
        doc_fact(d, "column names", "%lld", integer_of(doc, "columns"));
    }
}

static void add_list(report_doc *d, const json_t *doc, const char *key, const char *title) {
    strbuf b = {0};
    size_t i = 0;
    json_t *v = NULL;
    json_array_foreach(json_object_get(doc, key), i, v) {
        strbuf_addf(&b, "%s%s", i > 0 ? ", " : "", json_string_value(v));
    }
    if (b.len > 0) {
        doc_fact(d, title, "%s", strbuf_str(&b));
    }
    strbuf_free(&b);
}

static void add_memory(report_doc *d, const json_t *doc, arena *a) {
    const char *why = "";
    size_t i = 0;
    json_t *m = NULL;
    json_array_foreach(json_object_get(doc, "memory"), i, m) {
        bool padded = json_is_true(json_object_get(m, "padded"));
        doc_fact(d, padded ? "memory" : "memory, unpadded",
                 "batch %s in steps of %s: activations %s bytes, with gradients %s bytes", number_of(m, "batch", a),
                 number_of(m, "step", a), number_of(m, "forward_bytes", a), number_of(m, "vjp_bytes", a));
        why = string_of(m, "one_by_one");
    }
    if (i > 0) {
        doc_fact(d, "execution", "%s%s", why[0] == '\0' ? "batched" : "one example at a time: ", why);
    }
}

static void add_cost(report_doc *d, const json_t *doc, arena *a) {
    const json_t *c = json_object_get(doc, "cost");
    if (c == NULL) {
        return;
    }
    doc_fact(d, "parameters", "%s in %s bytes, %s bits each, %s %% zero", number_of(c, "params", a),
             number_of(c, "weight_bytes", a), bits_text(c, a), share_text(c, a));
    doc_fact(d, "multiply-accumulates", "%s per example", number_of(c, "macs", a));
    doc_fact(d, "activations", "%s bytes for one example, as the file has it", number_of(c, "peak_bytes", a));
}

static void add_layers(report_doc *d, const json_t *doc, arena *a) {
    static const doc_column head[] = {{"layer", "", 'l'}, {"operator", "", 'l'},   {"output", "", 'l'},
                                      {"MACs", "", 'r'},  {"parameters", "", 'r'}, {"zero", "%", 'r'},
                                      {"bits", "", 'r'}};
    size_t i = 0;
    json_t *l = NULL;
    json_array_foreach(json_object_get(doc, "layers"), i, l) {
        if (i == 0) {
            doc_heading(d, 2, "Layers");
            doc_table(d, head, sizeof head / sizeof head[0]);
        }
        bool weights = integer_of(l, "params") > 0;
        const char *cells[] = {string_of(l, "name"),          string_of(l, "op"),        shape_text(l, a),
                               number_of(l, "macs", a),       number_of(l, "params", a), share_text(l, a),
                               weights ? bits_text(l, a) : ""};
        doc_row(d, cells);
    }
}

static void add_embeddings(report_doc *d, const json_t *doc, arena *a) {
    static const doc_column head[] = {{"embedding", "", 'l'}, {"values", "", 'r'}, {"is", "", 'l'}};
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach(json_object_get(doc, "embeddings"), i, e) {
        if (i == 0) {
            doc_heading(d, 2, "Embeddings");
            doc_table(d, head, sizeof head / sizeof head[0]);
        }
        const char *cells[] = {string_of(e, "name"), number_of(e, "size", a), string_of(e, "alias_of")};
        doc_row(d, cells);
    }
}

static void add_all(report_doc *d, const json_t *doc, arena *a) {
    add_file(d, doc);
    add_ports(d, doc, a);
    add_list(d, doc, "capabilities", "capabilities");
    add_list(d, doc, "vjp_modes", "gradients");
    add_cost(d, doc, a);
    add_memory(d, doc, a);
    add_unsupported(d, doc);
    add_layers(d, doc, a);
    add_embeddings(d, doc, a);
}

/* ---- the verb ----------------------------------------------------------------------------------- */

static status render(const json_t *doc, const char *text, const char *format, strbuf *out, arena *a, error *err) {
    if (strcmp(format, "json") == 0) {
        strbuf_addf(out, "%s\n", text);
        return STATUS_OK;
    }
    report_doc *d = doc_new();
    add_all(d, doc, a);
    status s = renderer_find(format)->report(NULL, d, out, err); /* of text and Markdown: they read the blocks alone */
    doc_free(d);
    return s;
}

static int model_info(const cli_args *args, const char *format, arena *mem, error *err) {
    const char *name = cli_has(args, "plugin") ? cli_get(args, "plugin") : "onnx";
    double timeout_s = 60;
    int64_t memory_mib = 4096;
    assay_option *options = NULL;
    info_spec spec = {.model = args->v[1], .batch = 1, .max_isa = cli_get(args, "max-isa")};
    spec.plugin = config_plugin_path(name, mem);
    if (spec.plugin == NULL) {
        return cli_fail(error_set(err, STATUS_USAGE,
                                  "there is no plug-in \"%s\" (assay list plugins; or give a path with a /)", name));
    }
    CLI_TRY(cli_plugin_options(args, mem, &options, &spec.n_options, err));
    CLI_TRY(cli_real(args, "timeout", 0.1, 1e6, &timeout_s, err));
    CLI_TRY(cli_int(args, "memory-mib", 16, 1 << 24, &memory_mib, err));
    CLI_TRY(cli_int(args, "batch", 1, 1 << 20, &spec.batch, err));
    spec.options = options;
    spec.timeout_s = timeout_s;
    spec.rss_limit = memory_mib * 1048576;
    const char *text = NULL;
    CLI_TRY(info_run(&spec, mem, &text, err));
    json_t *doc = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (doc == NULL) {
        return cli_fail(
            error_set(err, STATUS_MODEL, "%s: what the plug-in's process wrote is no document", spec.model));
    }
    strbuf out = {0};
    status s = render(doc, text, format, &out, mem, err);
    s = s == STATUS_OK ? cli_output(args, &out, err) : s;
    const json_t *failure = json_object_get(doc, "error");
    long long code = integer_of(failure, "code");
    if (s == STATUS_OK && failure != NULL) { /* what could be told has been told */
        s = code > STATUS_OK && code <= STATUS_COUNT - 1 ? (status)code : STATUS_MODEL;
        (void)error_set(err, s, "%s", string_of(failure, "text"));
    }
    strbuf_free(&out);
    json_decref(doc);
    return cli_fail(s);
}

static int run(const cli_args *args, arena *mem, error *err) {
    const char *format = cli_has(args, "format") ? cli_get(args, "format") : "terminal";
    if (strcmp(args->v[0], "info") != 0) {
        return cli_fail(error_set(err, STATUS_USAGE, "usage: assay model info FILE"));
    }
    if (strcmp(format, "terminal") != 0 && strcmp(format, "md") != 0 && strcmp(format, "json") != 0) {
        return cli_fail(error_set(err, STATUS_USAGE, "--format must be terminal, md or json, not \"%.40s\"", format));
    }
    return model_info(args, format, mem, err);
}

static const cli_option options_table[] = {
    {"plugin", 0, "PLUGIN", "name or path of the plug-in (onnx)"},
    CLI_PLUGIN_OPTIONS,
    {"batch", 0, "N", "examples of the call whose memory is told (1)"},
    {"format", 0, "FORMAT", "terminal (default), md or json (docs/report-schema.md)"},
    CLI_OUTPUT_OPTION,
    {"timeout", 0, "SECONDS", "deadline of the process that opens the model (60)"},
    {"memory-mib", 0, "MIB", "its memory limit (4096)"},
    CLI_ISA_OPTION,
};

const command command_model = {
    .info = {.id = "model", .summary = "Show inputs, outputs, layers, cost and unsupported nodes of a model"},
    .usage = "info FILE",
    .details =
        "The model is opened in a process of its own. Of a file that cannot be run, what it declares and all nodes "
        "that are not supported are printed, and the exit code is that of the error.",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
