/* SPDX-License-Identifier: Apache-2.0 */
#include "external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 4096u /* each costs a map */

typedef struct place {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} place;

static status read_number(const Onnx__StringStringEntryProto *e, uint64_t *v, error *err) {
    const char *text = e->value != NULL ? e->value : "";
    char *end = NULL;
    errno = 0;
    unsigned long long u = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return error_set(err, STATUS_MODEL, "external data: %s is \"%.40s\"", e->key, text);
    }
    *v = u;
    return STATUS_OK;
}

static status read_place(const Onnx__TensorProto *p, place *at, error *err) {
    *at = (place){.location = ""};
    for (size_t i = 0; i < p->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = p->external_data[i];
        const char *key = e->key != NULL ? e->key : "";
        if (strcmp(key, "location") == 0) {
            at->location = e->value != NULL ? e->value : "";
        } else if (strcmp(key, "offset") == 0) {
            TRY(read_number(e, &at->offset, err));
        } else if (strcmp(key, "length") == 0) {
            TRY(read_number(e, &at->length, err));
            at->has_length = true;
        } /* others, as checksum, say nothing that we need */
    }
    if (at->location[0] == '\0') {
        return error_set(err, STATUS_MODEL, "its data are in another file, but no location is given");
    }
    return STATUS_OK;
}

/* Relative and without "..": component by component it is opened without following links. */
static status check_location(const char *location, error *err) {
    if (location[0] == '/') {
        return error_set(err, STATUS_MODEL, "external data: \"%.200s\" is an absolute path", location);
    }
    for (const char *part = location; *part != '\0'; part += strcspn(part, "/") + (strchr(part, '/') != NULL)) {
        size_t n = strcspn(part, "/");
        if (n == 2 && memcmp(part, "..", 2) == 0) {
            return error_set(err, STATUS_MODEL, "external data: \"%.200s\" leaves the model's folder", location);
        }
    }
    return STATUS_OK;
}

static status cannot_open(const char *location, error *err) {
    if (errno == ELOOP || errno == ENOTDIR) {
        return error_set(err, STATUS_MODEL, "external data: \"%.200s\" is or passes a symbolic link or no folder",
                         location);
    }
    return error_set(err, STATUS_IO, "external data: \"%.200s\": %s", location, strerror(errno));
}

/* Opens `location` below `folder` (a descriptor that stays open). Takes `copy` apart. */
static int open_below(int folder, char *copy) {
    int at = folder;
    char *rest = copy;
    for (;;) {
        while (*rest == '/') {
            rest++;
        }
        char *slash = strchr(rest, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (slash != NULL ? O_DIRECTORY : 0);
        int next = openat(at, rest, flags);
        int saved = errno;
        if (at != folder) {
            (void)close(at);
        }
        errno = saved;
        if (next < 0 || slash == NULL) {
            return next;
        }
        at = next;
        rest = slash + 1;
    }
}

static status map_regular(int fd, const char *location, io_map *out, error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return error_set(err, STATUS_IO, "external data: \"%.200s\" is not a regular file", location);
    }
    *out = (io_map){.n = (size_t)st.st_size};
    if (out->n > 0) {
        void *p = mmap(NULL, out->n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            return cannot_open(location, err);
        }
        out->data = p;
    }
    return STATUS_OK;
}

static status open_file(const ox_external *e, const char *location, io_map *out, error *err) {
    TRY(check_location(location, err));
    arena names = {0};
    const char *folder_path = io_dirname(&names, e->model);
    int folder = open(folder_path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    int fd = folder < 0 ? -1 : open_below(folder, arena_strdup(&names, location));
    status s = fd < 0 ? cannot_open(location, err) : map_regular(fd, location, out, err);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    arena_free(&names);
    return s;
}

static status find_file(ox_external *e, const char *location, const io_map **map, error *err) {
    if (e->last < e->n_files && strcmp(e->files[e->last].location, location) == 0) {
        *map = &e->files[e->last].map;
        return STATUS_OK;
    }
    for (size_t i = 0; i < e->n_files; i++) {
        if (strcmp(e->files[i].location, location) == 0) {
            e->last = i;
            *map = &e->files[i].map;
            return STATUS_OK;
        }
    }
    if (e->n_files == MAX_FILES) {
        return error_set(err, STATUS_UNSUPPORTED, "external data: more than %u files", MAX_FILES);
    }
    io_map m = {0};
    TRY(open_file(e, location, &m, err));
    e->files = mem_grow(e->files, &e->cap_files, e->n_files + 1, sizeof *e->files);
    e->last = e->n_files++;
    e->files[e->last] = (ox_external_file){location, m};
    *map = &e->files[e->last].map;
    return STATUS_OK;
}

status ox_external_find(ox_external *e, const Onnx__TensorProto *p, const uint8_t **data, size_t *n, error *err) {
    if (e->model == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "its data are in another file, and this model is read from memory");
    }
    if (p->raw_data.len > 0) {
        return error_set(err, STATUS_MODEL, "its data are in another file and in this one");
    }
    place at;
    const io_map *map = NULL;
    TRY(read_place(p, &at, err));
    TRY(find_file(e, at.location, &map, err));
    if (at.offset > map->n || (at.has_length && at.length > map->n - at.offset)) {
        return error_set(err, STATUS_MODEL,
                         "external data: offset %llu and length %llu reach beyond the %zu bytes of \"%.200s\"",
                         (unsigned long long)at.offset, (unsigned long long)at.length, map->n, at.location);
    }
    *n = at.has_length ? (size_t)at.length : map->n - (size_t)at.offset;
    *data = map->data == NULL ? NULL : map->data + at.offset;
    return STATUS_OK;
}

void ox_external_close(ox_external *e) {
    for (size_t i = 0; i < e->n_files; i++) {
        io_unmap(&e->files[i].map);
    }
    mem_free(e->files);
    *e = (ox_external){0};
}
