/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static status os_error(error *err, const char *path) {
    return error_set(err, STATUS_IO, "%s: %s", path, strerror(errno));
}

static status open_regular(const char *path, int *fd, size_t *n, error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) {
        return os_error(err, path);
    }
    struct stat st;
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(*fd);
        return error_set(err, STATUS_IO, "%s: is not a regular file", path);
    }
    *n = (size_t)st.st_size;
    return STATUS_OK;
}

status io_map_file(const char *path, io_map *out, error *err) {
    *out = (io_map){0};
    int fd = -1;
    size_t n = 0;
    TRY(open_regular(path, &fd, &n, err));
    status s = STATUS_OK;
    if (n > 0) {
        void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            s = os_error(err, path);
        } else {
            *out = (io_map){.data = p, .n = n};
        }
    }
    (void)close(fd);
    return s;
}

void io_unmap(io_map *m) {
    if (m->data != NULL) {
        /* munmap wants a non-const pointer to the same mapping */
        (void)munmap((void *)(uintptr_t)m->data, m->n);
    }
    *m = (io_map){0};
}

status io_read_file(const char *path, size_t limit, char **text, size_t *n, error *err) {
    *text = NULL;
    int fd = -1;
    size_t size = 0;
    TRY(open_regular(path, &fd, &size, err));
    if (size > limit) {
        (void)close(fd);
        return error_set(err, STATUS_DATA, "%s: %zu bytes, more than the limit of %zu", path, size, limit);
    }
    char *p = mem_try(size + 1, 1, path, err);
    status s = p == NULL ? STATUS_MEMORY : STATUS_OK;
    size_t got = 0;
    while (s == STATUS_OK && got < size) {
        ssize_t k = read(fd, p + got, size - got);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            s = os_error(err, path);
        }
        if (k <= 0) {
            break;
        }
        got += (size_t)k;
    }
    (void)close(fd);
    if (s != STATUS_OK) {
        mem_free(p);
        return s;
    }
    *text = p;
    *n = got;
    return STATUS_OK;
}

status io_write_all(int fd, const void *data, size_t n, error *err) {
    const char *p = data;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            return error_set(err, STATUS_IO, "write: %s", strerror(errno));
        }
        p += k;
        n -= (size_t)k;
    }
    return STATUS_OK;
}

/* A device or a pipe is written to: a rename would put a file in its place. */
static status write_special(const char *path, const void *data, size_t n, error *err) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return os_error(err, path);
    }
    status s = io_write_all(fd, data, n, err);
    if (s != STATUS_OK) {
        (void)error_prefix(err, "%s: ", path);
    }
    return close(fd) != 0 && s == STATUS_OK ? os_error(err, path) : s;
}

status io_write_atomic(const char *path, const void *data, size_t n, error *err) {
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        return write_special(path, data, n, err);
    }
    arena a = {0};
    char *tmp = arena_printf(&a, "%s.tmp.%ld", path, (long)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    status s = fd < 0 ? os_error(err, path) : io_write_all(fd, data, n, err);
    if (s != STATUS_OK && fd >= 0) {
        (void)error_prefix(err, "%s: ", path);
    }
    if (fd >= 0 && s == STATUS_OK && fsync(fd) != 0) {
        s = os_error(err, path);
    }
    if (fd >= 0 && close(fd) != 0 && s == STATUS_OK) {
        s = os_error(err, path);
    }
    if (s == STATUS_OK && rename(tmp, path) != 0) {
        s = os_error(err, path);
    }
    if (s != STATUS_OK && fd >= 0) {
        (void)unlink(tmp);
    }
    arena_free(&a);
    return s;
}

bool io_exists(const char *path) {
    return access(path, F_OK) == 0;
}

char *io_dirname(arena *a, const char *path) {
    return arena_strdup(a, dirname(arena_strdup(a, path)));
}

const char *io_basename(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *io_join_dir(arena *a, const char *base_file, const char *path) {
    if (path[0] == '/' || strchr(base_file, '/') == NULL) {
        return arena_strdup(a, path);
    }
    return arena_printf(a, "%s/%s", io_dirname(a, base_file), path);
}

status io_make_dirs(const char *path, error *err) {
    arena a = {0};
    char *p = arena_strdup(&a, path);
    status s = STATUS_OK;
    for (char *c = p + 1; s == STATUS_OK; c++) {
        char was = *c;
        if (was == '/' || was == '\0') {
            *c = '\0';
            struct stat st;
            if (mkdir(p, 0777) != 0 && errno != EEXIST) {
                s = os_error(err, p);
            } else if (stat(p, &st) != 0 || !S_ISDIR(st.st_mode)) {
                s = error_set(err, STATUS_IO, "%s: is not a folder", p);
            }
            *c = was;
        }
        if (was == '\0') {
            break;
        }
    }
    arena_free(&a);
    return s;
}
