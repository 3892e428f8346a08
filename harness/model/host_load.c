/* SPDX-License-Identifier: Apache-2.0
 * Plug-ins: dlopen, checks of the entry, init, environment text, warnings. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/host_internal.h"

#define MAX_NAME 64u
#define MAX_LINE 512u

#ifdef ASSAY_VERSION /* set by the build */
#define HOST_VERSION "assay " ASSAY_VERSION
#else
#define HOST_VERSION "assay"
#endif

void host_error_init(host_error *e) {
    memset(e->text, 0, sizeof e->text);
    e->e = (assay_error){.struct_size = sizeof e->e, .capacity = sizeof e->text, .text = e->text};
}

static status map_status(assay_status rc, status on_argument) {
    switch ((int)rc) {
    case ASSAY_OK: return STATUS_OK;
    case ASSAY_ERR_ARGUMENT: return on_argument;
    case ASSAY_ERR_UNSUPPORTED: return STATUS_UNSUPPORTED;
    case ASSAY_ERR_IO: return STATUS_IO;
    default: return STATUS_MODEL; /* also out of memory: it is the item that failed, not assay */
    }
}

status host_status(const plugin *p, assay_status rc, host_error *e, const char *what, status on_argument, error *err) {
    if (rc == ASSAY_OK) {
        return STATUS_OK;
    }
    static const char *const names[] = {"",
                                        "wrong argument",
                                        "the model is malformed",
                                        "not supported",
                                        "out of memory",
                                        "a file cannot be read",
                                        "a defect of the plug-in"};
    e->text[sizeof e->text - 1] = '\0';
    e->text[str_utf8_valid(e->text, strlen(e->text))] = '\0';
    const char *name = p->entry.name;
    if ((unsigned)rc >= sizeof names / sizeof names[0]) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s: returned the unknown status %d", name, what, (int)rc);
    }
    return error_set(err, map_status(rc, on_argument), "plug-in \"%s\": %s: %s", name, what,
                     e->text[0] != '\0' ? e->text : names[(unsigned)rc]);
}

static void note_once(plugin *p, const char *text, const char *where) {
    char line[MAX_LINE];
    (void)snprintf(line, sizeof line, "%s in %s", text, where);
    (void)pthread_mutex_lock(&p->lock);
    if (strstr(strbuf_str(&p->warnings), line) == NULL) {
        strbuf_addf(&p->warnings, "%s%s", p->warnings.len > 0 ? "\n" : "", line);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

void host_note(plugin *p, unsigned breaches, const char *where) {
    if ((breaches & GUARD_FP_MODE) != 0) {
        note_once(p, "changed the floating-point environment", where);
    }
    if ((breaches & GUARD_LOCALE) != 0) {
        note_once(p, "changed the locale", where);
    }
}

bool host_copy_table(const void *table, void *out, size_t size, size_t min) {
    uint32_t n = 0;
    memcpy(&n, table, sizeof n);
    if (n < min) {
        return false;
    }
    memset(out, 0, size);
    memcpy(out, table, n < size ? n : size);
    return true;
}

/* One line of a plug-in's text: its length is bounded, control characters and broken UTF-8 go. */
static const char *line_copy(arena *a, const char *text, size_t max) {
    if (text == NULL) {
        return "";
    }
    size_t n = str_utf8_valid(text, strnlen(text, max));
    char *copy = arena_strndup(a, text, n);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f) {
            copy[i] = ' ';
        }
    }
    return copy;
}

/* The host's log callback, [any]. Warnings always, the rest by ASSAY_LOG=info or debug. */
static void log_line(void *context, assay_log_level level, const char *text) {
    const plugin *p = context;
    const char *wanted = getenv("ASSAY_LOG");
    int least = ASSAY_LOG_WARN;
    if (wanted != NULL && strcmp(wanted, "debug") == 0) {
        least = ASSAY_LOG_DEBUG;
    } else if (wanted != NULL && strcmp(wanted, "info") == 0) {
        least = ASSAY_LOG_INFO;
    }
    if ((int)level < least || text == NULL) {
        return;
    }
    arena a = {0};
    (void)fprintf(stderr, "plug-in %s: %s\n", p->entry.name, line_copy(&a, text, HOST_ERROR_BYTES));
    arena_free(&a);
}

/* What the ELF symbol table says about the size of the entry: a struct_size beyond it would make us read a neighbour.
 */
static bool symbol_holds(const void *symbol, size_t n) {
    Dl_info info;
    void *extra = NULL;
    if (dladdr1(symbol, &info, &extra, RTLD_DL_SYMENT) == 0 || extra == NULL) {
        return true; /* no symbol information: nothing to check against */
    }
    const ElfW(Sym) *sym = extra;
    return sym->st_size == 0 || sym->st_size >= n;
}

static bool name_ok(const char *s, const char *allowed) {
    size_t n = s == NULL ? 0 : strnlen(s, MAX_NAME + 1);
    return n > 0 && n <= MAX_NAME && strspn(s, allowed) == n;
}

static status check_entry(plugin *p, error *err) {
    static const char id[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    static const char version[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+._~";
    const char *path = p->path;
    uint32_t size = p->raw->struct_size;
    const uint32_t min = offsetof(assay_plugin, get_api) + sizeof p->entry.get_api;
    if (!symbol_holds(p->raw, 2 * sizeof(uint32_t)) || size < min || !symbol_holds(p->raw, size)) {
        return error_set(err, STATUS_MODEL, "%s: assay_plugin_entry: wrong struct_size %u (at least %u)", path, size,
                         min);
    }
    if (p->raw->abi_version != ASSAY_ABI_VERSION) {
        return error_set(err, STATUS_MODEL, "%s: built for plug-in ABI %u; this assay has ABI %u", path,
                         p->raw->abi_version, ASSAY_ABI_VERSION);
    }
    (void)host_copy_table(p->raw, &p->entry, sizeof p->entry, min);
    if (p->entry.init == NULL || p->entry.deinit == NULL || p->entry.get_api == NULL) {
        return error_set(err, STATUS_MODEL, "%s: assay_plugin_entry: init, deinit or get_api is NULL", path);
    }
    if (!name_ok(p->entry.name, id)) {
        return error_set(err, STATUS_MODEL, "%s: assay_plugin_entry: name must be 1 to %u of a-z, 0-9, '-'", path,
                         MAX_NAME);
    }
    if (!name_ok(p->entry.version, version)) {
        return error_set(err, STATUS_MODEL,
                         "%s: assay_plugin_entry: version must be 1 to %u letters, digits or '-+._~'", path, MAX_NAME);
    }
    p->entry.name = arena_strdup(&p->arena, p->entry.name);
    p->entry.version = arena_strdup(&p->arena, p->entry.version);
    p->entry.description = line_copy(&p->arena, p->entry.description, MAX_LINE);
    return STATUS_OK;
}

static status check_api(plugin *p, error *err) {
    guard_state g;
    guard_enter(&g);
    const void *api = p->entry.get_api(ASSAY_MODEL_1);
    host_note(p, guard_leave(&g), "get_api");
    if (api == NULL) {
        return error_set(err, STATUS_MODEL, "%s: get_api(\"%s\") gives NULL", p->path, ASSAY_MODEL_1);
    }
    if (!host_copy_table(api, &p->api, sizeof p->api, host_table_min(ASSAY_MODEL_1))) {
        return error_set(err, STATUS_MODEL, "%s: %s: struct_size is too small", p->path, ASSAY_MODEL_1);
    }
    if (p->api.open == NULL || p->api.close == NULL || p->api.session_open == NULL || p->api.session_close == NULL ||
        p->api.capability == NULL) {
        return error_set(err, STATUS_MODEL, "%s: %s: a function is NULL", p->path, ASSAY_MODEL_1);
    }
    return STATUS_OK;
}

static void read_environment(plugin *p) {
    guard_state g;
    char text[MAX_LINE] = "";
    assay_environment e;
    guard_enter(&g);
    const void *table = p->entry.get_api(ASSAY_ENVIRONMENT_1);
    if (table != NULL && host_copy_table(table, &e, sizeof e, host_table_min(ASSAY_ENVIRONMENT_1)) &&
        e.describe != NULL) {
        (void)e.describe(text, sizeof text);
        text[sizeof text - 1] = '\0';
    }
    host_note(p, guard_leave(&g), "describe");
    p->environment = line_copy(&p->arena, text, sizeof text);
}

static status load_object(plugin *p, error *err) {
    guard_state g;
    guard_enter(&g);
    p->handle = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
    host_note(p, guard_leave(&g), "its loader code");
    if (p->handle == NULL) {
        return error_set(err, STATUS_MODEL, "%s: cannot be loaded: %s", p->path, dlerror());
    }
    p->raw = dlsym(p->handle, "assay_plugin_entry");
    if (p->raw == NULL) {
        return error_set(err, STATUS_MODEL, "%s: not an assay plug-in: it has no symbol assay_plugin_entry", p->path);
    }
    return check_entry(p, err);
}

static status init_plugin(plugin *p, error *err) {
    guard_state g;
    host_error e;
    host_error_init(&e);
    p->host = (assay_host){.struct_size = sizeof p->host,
                           .abi_version = ASSAY_ABI_VERSION,
                           .host_version = HOST_VERSION,
                           .context = p,
                           .log = log_line};
    guard_enter(&g);
    assay_status rc = p->entry.init(&p->host, &e.e);
    host_note(p, guard_leave(&g), "init");
    TRY(host_status(p, rc, &e, "init", STATUS_MODEL, err));
    p->inited = true;
    TRY(check_api(p, err));
    read_environment(p);
    return STATUS_OK;
}

status plugin_load(const char *path, plugin **out, error *err) {
    *out = NULL;
    if (strchr(path, '/') == NULL) {
        return error_set(err, STATUS_USAGE, "plug-in \"%s\": an explicit path is needed (./%s)", path, path);
    }
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* reading a FIFO would block */
        return error_set(err, STATUS_IO, "%s: not a regular file", path);
    }
    digest_value sha;
    TRY(digest_file(path, &sha, NULL, err));
    plugin *p = mem_zalloc(sizeof *p);
    p->sha256 = sha;
    p->path = arena_strdup(&p->arena, path);
    p->environment = "";
    (void)pthread_mutex_init(&p->lock, NULL);
    status s = load_object(p, err);
    if (s == STATUS_OK) {
        s = init_plugin(p, err);
    }
    if (s != STATUS_OK) {
        plugin_unload(p);
        return s;
    }
    *out = p;
    return STATUS_OK;
}

void plugin_unload(plugin *p) {
    if (p == NULL) {
        return;
    }
    guard_state g;
    guard_enter(&g);
    if (p->inited) {
        p->entry.deinit();
    }
    if (p->handle != NULL) {
        (void)dlclose(p->handle);
    }
    (void)guard_leave(&g);
    (void)pthread_mutex_destroy(&p->lock);
    strbuf_free(&p->warnings);
    arena_free(&p->arena);
    mem_free(p);
}

const char *plugin_name(const plugin *p) {
    return p->entry.name;
}

const char *plugin_version(const plugin *p) {
    return p->entry.version;
}

const char *plugin_description(const plugin *p) {
    return p->entry.description;
}

const digest_value *plugin_sha256(const plugin *p) {
    return &p->sha256;
}

const char *plugin_environment(const plugin *p) {
    return p->environment;
}

const char *plugin_warnings(const plugin *p) {
    return strbuf_str(&p->warnings);
}
