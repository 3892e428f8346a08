/* SPDX-License-Identifier: Apache-2.0
 * Opening and closing: the writer's lock, the connection's settings, whose file it is, WAL. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "store/store_internal.h"

#define SQLITE_SMALLEST_FILE 512 /* the smallest page: anything shorter is not a database */

/* ---- one writer --------------------------------------------------------------------------------- */

/* An flock on PATH.lock, not on the database: closing any descriptor of the database would drop the locks that
 * SQLite holds on it. The file holds the writer's process id and goes away with it. */
static status lock_busy(const store *s, int fd, error *err) {
    char pid[32] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, STATUS_IO,
                     "%s: another assay (process %s) is writing to this store; wait until it has finished or choose "
                     "another store path",
                     s->path, pid[0] != '\0' ? pid : "unknown");
}

/* One try: *retry is set when the file was removed between open and lock. */
static status lock_once(store *s, bool *retry, error *err) {
    *retry = false;
    int fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return error_set(err, STATUS_IO, "%s: cannot create the writer's lock %s: %s", s->path, s->lock_path,
                         strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status st = STATUS_OK;
        if (errno == EWOULDBLOCK) {
            st = lock_busy(s, fd, err);
        } else {
            snprintf(s->warning, sizeof s->warning, "%s: no file locks here (%s): start no second writer", s->path,
                     strerror(errno));
        }
        (void)close(fd);
        return st;
    }
    struct stat mine, there;
    if (fstat(fd, &mine) != 0 || stat(s->lock_path, &there) != 0 || mine.st_ino != there.st_ino ||
        mine.st_dev != there.st_dev) {
        (void)close(fd);
        *retry = true;
        return STATUS_OK;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    bool named = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n;
    if (!named && ftruncate(fd, 0) != 0) {
        s->lock_fd = fd; /* the id is a courtesy: a full disk does not take the lock away */
        return STATUS_OK;
    }
    s->lock_fd = fd;
    return STATUS_OK;
}

static status lock_writer(store *s, error *err) {
    char *real = realpath(s->path, NULL); /* two names of one file share one lock */
    strbuf name = {0};
    strbuf_addf(&name, "%s.lock", real != NULL ? real : s->path);
    free(real);
    s->lock_path = mem_strdup(strbuf_str(&name));
    strbuf_free(&name);
    bool retry = true;
    for (int i = 0; i < 100 && retry; i++) {
        TRY(lock_once(s, &retry, err));
    }
    return retry ? error_set(err, STATUS_IO, "%s: cannot take the writer's lock", s->path) : STATUS_OK;
}

static void unlock_writer(store *s) {
    if (s->lock_fd >= 0) {
        (void)unlink(s->lock_path);
        (void)close(s->lock_fd);
        s->lock_fd = -1;
    }
    mem_free(s->lock_path);
    s->lock_path = NULL;
}

/* ---- the connection ----------------------------------------------------------------------------- */

/* Looks without opening (see lock_writer). *n_bytes: -1 if there is no file. */
static status look(const store *s, store_mode mode, int64_t *n_bytes, error *err) {
    struct stat st;
    *n_bytes = -1;
    if (stat(s->path, &st) != 0) {
        if (errno == ENOENT && mode == STORE_WRITE) {
            return STATUS_OK;
        }
        return error_set(err, STATUS_IO, "%s: %s", s->path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, STATUS_IO, "%s: is not a regular file", s->path);
    }
    *n_bytes = st.st_size;
    if ((st.st_size > 0 || mode == STORE_READ) && st.st_size < SQLITE_SMALLEST_FILE) {
        return error_set(err, STATUS_IO, "%s: has only %lld bytes: not a database, or one cut off", s->path,
                         (long long)st.st_size);
    }
    return STATUS_OK;
}

static status open_connection(store *s, int flags, const char *name, error *err) {
    int rc = sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        return store_sql_error(s, rc, err, "cannot open");
    }
    const int off[] = {SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_TRUSTED_SCHEMA};
    const int on[] = {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        sqlite3_db_config(s->db, off[i], 0, NULL);
    }
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        sqlite3_db_config(s->db, on[i], 1, NULL);
    }
    sqlite3_busy_timeout(s->db, 10000);
    rc = store_json_register(s->db);
    if (rc != SQLITE_OK) {
        return store_sql_error(s, rc, err, "cannot open");
    }
    TRY(store_sql_exec(s, "PRAGMA foreign_keys = ON", err));
    TRY(store_sql_exec(s, "PRAGMA trusted_schema = OFF", err));
    return store_sql_exec(s, "PRAGMA cell_size_check = ON", err);
}

/* file: URI with everything escaped that could end the path. */
static void immutable_uri(const char *path, strbuf *uri) {
    strbuf_add(uri, path[0] == '/' ? "file://" : "file:");
    for (const char *p = path; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                     c == '.' || c == '_' || c == '-';
        strbuf_addf(uri, plain ? "%c" : "%%%02x", c);
    }
    strbuf_add(uri, "?immutable=1");
}

static int64_t wal_bytes(const store *s) {
    struct stat st;
    strbuf name = {0};
    strbuf_addf(&name, "%s-wal", s->path);
    int64_t n = stat(strbuf_str(&name), &st) == 0 ? st.st_size : 0;
    strbuf_free(&name);
    return n;
}

/* Readers of a WAL file need its -shm. In a read-only directory it cannot be made; with nothing in the WAL the file
 * alone is complete and nobody can be writing, so it may be read as immutable. */
static status open_reader(store *s, error *err) {
    TRY(open_connection(s, SQLITE_OPEN_READONLY, s->path, err));
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA schema_version", -1, &q, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(q) : rc;
    sqlite3_finalize(q);
    if ((rc & 0xff) != SQLITE_CANTOPEN && (rc & 0xff) != SQLITE_READONLY) {
        return STATUS_OK; /* other errors come back, with their text, from the next statement */
    }
    if (wal_bytes(s) > 0) {
        return error_set(err, STATUS_IO,
                         "%s: its last writer was cut off and the directory is read-only: copy the file and its -wal "
                         "to a writable directory first",
                         s->path);
    }
    sqlite3_close(s->db);
    s->db = NULL;
    strbuf uri = {0};
    immutable_uri(s->path, &uri);
    status st = open_connection(s, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, strbuf_str(&uri), err);
    strbuf_free(&uri);
    return st;
}

/* ---- whose file, and how new -------------------------------------------------------------------- */

typedef struct identity {
    int64_t application_id, user_version, n_objects;
} identity;

/* A file that was cut off opens well as long as nobody reads the missing pages: compare with its header first. */
static status check_length(store *s, error *err) {
    if (s->memory || wal_bytes(s) > 0) {
        return STATUS_OK;
    }
    int64_t n_pages, page_bytes;
    struct stat st;
    TRY(store_sql_int(s, "PRAGMA page_count", &n_pages, err));
    TRY(store_sql_int(s, "PRAGMA page_size", &page_bytes, err));
    if (stat(s->path, &st) == 0 && wal_bytes(s) == 0 && st.st_size / page_bytes < n_pages) {
        return error_set(err, STATUS_IO, "%s: truncated: the file has %lld of %lld bytes", s->path,
                         (long long)st.st_size, (long long)n_pages * (long long)page_bytes);
    }
    return STATUS_OK;
}

static status identify(store *s, identity *id, error *err) {
    TRY(store_sql_int(s, "PRAGMA application_id", &id->application_id, err));
    TRY(store_sql_int(s, "PRAGMA user_version", &id->user_version, err));
    TRY(store_sql_int(s, "SELECT count(*) FROM sqlite_schema", &id->n_objects, err));
    return check_length(s, err);
}

static status admit(const store *s, const identity *id, store_mode mode, error *err) {
    bool blank = id->application_id == 0 && id->user_version == 0 && id->n_objects == 0;
    if (blank && mode == STORE_WRITE) {
        return STATUS_OK;
    }
    if (blank) {
        return error_set(err, STATUS_IO, "%s: an empty database: nothing was stored in it yet", s->path);
    }
    if (id->application_id != STORE_APPLICATION_ID) {
        return error_set(err, STATUS_REFUSED,
                         "%s: a database of another application (application_id 0x%08" PRIx64
                         ", assay's is 0x%08x), left as it is; choose another store path",
                         s->path, (uint64_t)id->application_id & 0xffffffffu, STORE_APPLICATION_ID);
    }
    if (id->user_version > STORE_SCHEMA) {
        return error_set(err, STATUS_REFUSED,
                         "%s: written by a newer assay (schema %lld; this one knows up to %d): upgrade assay", s->path,
                         (long long)id->user_version, STORE_SCHEMA);
    }
    if (id->user_version < 0 || (mode == STORE_READ && id->user_version < STORE_SCHEMA)) {
        return error_set(err, STATUS_REFUSED,
                         "%s: has the older schema %lld (this assay reads %d); any `assay run` into it migrates it, "
                         "keeping a copy",
                         s->path, (long long)id->user_version, STORE_SCHEMA);
    }
    return STATUS_OK;
}

/* WAL does not work on network file systems; SQLite then answers with the mode it kept. */
static status set_journal(store *s, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, "PRAGMA journal_mode = WAL", &q, err));
    bool row;
    status st = store_sql_step(s, q, &row, err);
    bool wal = st == STATUS_OK && row && sqlite3_stricmp((const char *)sqlite3_column_text(q, 0), "wal") == 0;
    sqlite3_finalize(q);
    TRY(st);
    if (!wal && !s->memory) {
        TRY(store_sql_exec(s, "PRAGMA journal_mode = TRUNCATE", err));
        snprintf(s->warning, sizeof s->warning,
                 "%s: write-ahead logging does not work here (a network file system?): readers wait for the writer",
                 s->path);
    }
    return store_sql_exec(s, "PRAGMA synchronous = FULL", err);
}

static status open_steps(store *s, store_mode mode, error *err) {
    int64_t n_bytes = -1;
    identity id;
    if (!s->memory) {
        TRY(look(s, mode, &n_bytes, err));
    }
    if (mode == STORE_READ) {
        TRY(open_reader(s, err));
        TRY(identify(s, &id, err));
        return admit(s, &id, mode, err);
    }
    if (!s->memory) {
        TRY(lock_writer(s, err));
    }
    TRY(open_connection(s, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, s->path, err));
    TRY(identify(s, &id, err));
    TRY(admit(s, &id, mode, err));
    TRY(set_journal(s, err)); /* only now: a foreign file stays as it was, byte for byte */
    s->writable = true;
    return store_migrate(s, id.user_version, id.application_id == 0, err);
}

status store_open(const char *path, store_mode mode, store **out, error *err) {
    *out = NULL;
    if (path == NULL || path[0] == '\0') {
        return error_set(err, STATUS_USAGE, "the store path is empty");
    }
    store *s = mem_zalloc(sizeof *s);
    s->path = mem_strdup(path);
    s->lock_fd = -1;
    s->memory = strcmp(path, ":memory:") == 0;
    status st = open_steps(s, mode, err);
    if (st != STATUS_OK) {
        s->writable = false; /* nothing of ours to checkpoint */
        store_close(s);
        return st;
    }
    *out = s;
    return STATUS_OK;
}

void store_close(store *s) {
    if (s == NULL) {
        return;
    }
    if (s->db != NULL) {
        error ignored;
        bool committed = store_commit(s, &ignored) == STATUS_OK;
        for (int i = 0; i < SQL_COUNT; i++) {
            sqlite3_finalize(s->stmt[i]);
        }
        if (s->writable && committed) {
            sqlite3_exec(s->db, "PRAGMA optimize", NULL, NULL, NULL);
            sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        }
        sqlite3_close(s->db);
    }
    unlock_writer(s);
    mem_free(s->swap);
    mem_free(s->path);
    mem_free(s);
}

const char *store_warning(const store *s) {
    return s->warning;
}
