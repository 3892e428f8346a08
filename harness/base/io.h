/* SPDX-License-Identifier: Apache-2.0
 * Files: whole-file reads with a size limit, read-only maps, atomic writes, path joining. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"

typedef struct io_map {
    const uint8_t *data; /* NULL when n == 0 */
    size_t n;
} io_map;

/* Only regular files (a FIFO would block). A file that another process truncates while mapped raises SIGBUS;
 * workers turn that into an outcome. */
status io_map_file(const char *path, io_map *out, error *err);
void io_unmap(io_map *m);

/* Reads at most `limit` bytes (more is STATUS_DATA); NUL-terminated; free with mem_free. */
status io_read_file(const char *path, size_t limit, char **text, size_t *n, error *err);
/* Writes to a temporary name beside it, syncs, renames: readers never see half a file. */
status io_write_atomic(const char *path, const void *data, size_t n, error *err);
/* Writes all or fails, through EINTR and short writes. */
status io_write_all(int fd, const void *data, size_t n, error *err);

bool io_exists(const char *path);
/* `path` if absolute, else relative to the directory of `base_file`. */
char *io_join_dir(arena *a, const char *base_file, const char *path);
char *io_dirname(arena *a, const char *path);
const char *io_basename(const char *path); /* a pointer into path */
status io_make_dirs(const char *path, error *err);

#endif
