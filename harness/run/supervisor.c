/* SPDX-License-Identifier: Apache-2.0 */
#include "run/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/rng.h"
#include "base/str.h"
#include "run/item_request.h"
#include "run/register.h"

enum { MAX_ATTEMPTS = 3, TICK_MS = 50, CLOSED_TICK_MS = 1 };
static const int64_t CLOSED_GRACE_NS = 1000000000; /* between the end of the channel and that of the worker */

/* What becomes of one planned item. */
typedef struct task {
    const plan_item *item;
    int64_t item_id;
    bool verify; /* compare with the store instead of writing to it */
    bool retry;  /* it has a final outcome, which stays until it begins */
    int n_interrupted;
    size_t n_same; /* further items of the run under the same key */
    uint8_t *seen; /* one byte per example of the item: its row is stored */
    size_t n_seen;
    size_t n_nonfinite;   /* among the rows that came in this process */
    bool resumed;         /* others are in the store from before */
    bool different;       /* verify: some row is not what the store holds */
    store_columns stored; /* verify */
    arena mem;
} task;

/* One worker process and what it is doing. */
typedef struct slot {
    worker_proc proc;
    const char *plugin; /* path of the plug-in that it has loaded; NULL: none yet */
    bool bound;         /* it has a model loaded */
    size_t i_model;
    task *task; /* NULL: idle */
    int64_t started_ns, started_wall_ns, deadline_ns;
    int64_t closed_ns; /* when the channel ended; 0: it is open */
    outcome verdict;   /* why we killed it; NONE: we did not */
    char reason[256];
} slot;

typedef struct supervisor {
    plan *plan;
    store *store;
    const run_options *o;
    registered ids;
    int64_t run_id;
    task *tasks;
    size_t n_tasks, cap_tasks;
    size_t n_begun; /* all tasks before this one are taken */
    bool *taken;
    slot *slots;
    size_t n_slots;
    run_progress progress;
    run_result *result;
    int signal_fd;
    int64_t last_tick_ns;
} supervisor;

static void note(const supervisor *s, const char *level, const char *text) {
    if (s->o->observer.note != NULL) {
        s->o->observer.note(s->o->observer.context, level, text);
    }
}

static void tick(supervisor *s) {
    int64_t now = clock_ns();
    if (s->o->observer.tick != NULL && now - s->last_tick_ns >= 100000000) {
        s->o->observer.tick(s->o->observer.context, &s->progress);
        s->last_tick_ns = now;
    }
}

/* ---- ending an item ----------------------------------------------------------------------------- */

static bool keeps_logits(const supervisor *s) {
    return s->plan->config->logits != KEEP_NONE;
}

static void report_outcome(supervisor *s, const task *t, outcome o, const char *reason) {
    if (o != OUTCOME_OK) {
        arena a = {0};
        note(s, "warn",
             arena_printf(&a, "%s: %s%s%s", plan_item_title(s->plan, t->item, &a), outcome_name(o),
                          reason[0] ? ": " : "", reason));
        arena_free(&a);
    }
}

static status end_verification(supervisor *s, const task *t, outcome o, const char *reason) {
    if (o == OUTCOME_NONE) {
        return STATUS_OK; /* interrupted: it runs again */
    }
    bool different = t->different || o != OUTCOME_OK;
    s->result->n_verified++;
    s->result->n_different += different;
    if (different) {
        arena a = {0};
        note(s, "warn",
             arena_printf(&a, "%s: run again, it is not what the store holds%s%s",
                          plan_item_title(s->plan, t->item, &a), reason[0] ? ": " : "", reason));
        arena_free(&a);
    }
    return STATUS_OK;
}

/* o == NONE: interrupted, the item stays open. */
static status end_item(supervisor *s, task *t, outcome o, const char *reason, const slot *sl, worker_exit e,
                       error *err) {
    store_attempt at = {.host_id = s->ids.host_id,
                        .started_ns = sl == NULL ? clock_wall_ns() : sl->started_wall_ns,
                        .ended_ns = clock_wall_ns(),
                        .signal = e.signal,
                        .max_rss_bytes = e.max_rss_bytes,
                        .user_us = e.user_us,
                        .system_us = e.system_us,
                        .outcome = o,
                        .reason = reason};
    if (t->verify) {
        return end_verification(s, t, o, reason);
    }
    TRY(store_item_end(s->store, t->item_id, o, reason, &at, err));
    if (o != OUTCOME_NONE) {
        s->result->n_outcome[o] += 1 + t->n_same;
        s->progress.n_done++;
        report_outcome(s, t, o, reason);
    }
    return STATUS_OK;
}

static status give_work(supervisor *s, slot *sl, error *err);

/* The worker said it is done: is it true? */
static status finish_item(supervisor *s, slot *sl, outcome o, const char *reason, error *err) {
    task *t = sl->task;
    arena a = {0};
    size_t n = t->item->n_index;
    if (o == OUTCOME_OK && t->n_seen < n) {
        o = OUTCOME_FAILED;
        reason = arena_printf(&a, "the suite ended after %zu of %zu examples", t->n_seen, n);
    } else if (o == OUTCOME_OK) {
        int64_t bad = 0;
        status st = STATUS_OK;
        if (t->resumed) {
            st = store_item_count_flag(s->store, t->item_id, OBS_NONFINITE, &bad, err);
        } else {
            bad = t->verify ? 0 : (int64_t)t->n_nonfinite;
        }
        if (st != STATUS_OK) {
            arena_free(&a);
            return st;
        }
        if (bad > 0) {
            o = OUTCOME_UNTRUSTWORTHY;
            reason = arena_printf(&a, "the model gave NaN or Inf for %lld of %zu examples", (long long)bad, n);
        }
    }
    /* the worker gets its next item before this one is committed: it need not wait for the disk */
    slot ended = *sl;
    sl->task = NULL;
    status st = give_work(s, sl, err);
    if (st == STATUS_OK) {
        st = end_item(s, t, o, reason, &ended, (worker_exit){0}, err);
    }
    arena_free(&a);
    return st;
}

/* ---- frames from a worker ------------------------------------------------------------------------ */

static int by_u32(const void *a, const void *b) {
    const uint32_t *x = a;
    const uint32_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The row must be one of the item's examples: a worker runs foreign code and is not trusted. */
static status check_row(const supervisor *s, const task *t, const observation *r, size_t *at, error *err) {
    uint32_t key = (uint32_t)r->i_example;
    const uint32_t *hit = r->i_example < 0 || r->i_example > UINT32_MAX
                              ? NULL
                              : bsearch(&key, t->item->index, t->item->n_index, sizeof key, by_u32);
    if (hit == NULL || r->i_condition != 0 || r->i_repeat != 0) {
        return error_set(err, STATUS_MODEL, "the worker sent a row that is not the item's (example %lld)",
                         (long long)r->i_example);
    }
    const int32_t *labels = s->plan->datasets[t->item->i_dataset].data->label;
    if (labels != NULL && r->label != labels[r->i_example]) {
        return error_set(err, STATUS_MODEL, "the worker sent another label for example %lld", (long long)r->i_example);
    }
    *at = (size_t)(hit - t->item->index);
    if (t->seen[*at] != 0) {
        return error_set(err, STATUS_MODEL, "the worker sent example %lld twice", (long long)r->i_example);
    }
    return STATUS_OK;
}

static int by_i64(const void *a, const void *b) {
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool same_as_stored(const task *t, const observation *r) {
    const store_columns *c = &t->stored;
    const int64_t *hit =
        c->n == 0 ? NULL : bsearch(&r->i_example, c->i_example, c->n, sizeof *c->i_example, by_i64); /* ascending */
    if (hit == NULL) {
        return false;
    }
    size_t i = (size_t)(hit - c->i_example);
    bool same_logits =
        c->logits == NULL || (r->n_logits == c->n_classes &&
                              memcmp(c->logits + i * c->n_classes, r->logits, c->n_classes * sizeof(float)) == 0);
    return c->pred[i] == r->pred && c->label[i] == r->label && c->flags[i] == r->flags &&
           observation_same_score(c->score[i], r->score) && same_logits;
}

static void count_row(supervisor *s, task *t, size_t at, const observation *r) {
    t->n_seen++;
    t->seen[at] = 1;
    t->n_nonfinite += (r->flags & OBS_NONFINITE) != 0;
    s->progress.n_examples_done++;
    s->progress.n_seen++;
    s->progress.n_correct += r->label >= 0 && r->label == r->pred;
    s->result->n_examples_run++;
    s->result->first_row_ns = s->result->first_row_ns == 0 ? clock_ns() : s->result->first_row_ns;
}

static status take_rows(supervisor *s, slot *sl, const frame *f, error *err) {
    observation *rows = NULL;
    size_t n = 0;
    task *t = sl->task;
    TRY(frame_rows(f, &rows, &n, err));
    status st = STATUS_OK;
    for (size_t i = 0; st == STATUS_OK && i < n; i++) {
        size_t at = 0;
        st = check_row(s, t, &rows[i], &at, err);
        if (st == STATUS_OK) {
            t->different = t->different || (t->verify && !same_as_stored(t, &rows[i]));
            count_row(s, t, at, &rows[i]);
        }
    }
    if (st == STATUS_OK && !t->verify) {
        st = store_append(s->store, t->item_id, &s->ids.clean_id, rows, n, err);
    }
    mem_free(rows);
    return st;
}

static status take_done(supervisor *s, slot *sl, const frame *f, error *err) {
    json_t *o = frame_json(f, err);
    const char *word = json_string_value(json_object_get(o, "outcome"));
    const char *reason = json_string_value(json_object_get(o, "reason"));
    outcome out = word == NULL ? OUTCOME_NONE : outcome_parse(word);
    if (out == OUTCOME_NONE) {
        json_decref(o);
        return error_set(err, STATUS_MODEL, "the worker sent garbage");
    }
    status st = finish_item(s, sl, out, reason == NULL ? "" : reason, err);
    json_decref(o);
    return st;
}

/* STATUS_MODEL: this worker is not to be trusted any longer; STATUS_IO and others end the run. */
static status take_frame(supervisor *s, slot *sl, const frame *f, error *err) {
    if (sl->task == NULL) {
        return error_set(err, STATUS_MODEL, "the worker spoke out of turn");
    }
    switch (f->type) {
    case FRAME_ROWS: return take_rows(s, sl, f, err);
    case FRAME_DONE: return take_done(s, sl, f, err);
    case FRAME_FACTS: return registered_facts(&s->ids, s->plan, s->store, sl->task->item->i_model, f, err);
    default: return error_set(err, STATUS_MODEL, "the worker sent garbage");
    }
}

/* ---- the end of a worker ------------------------------------------------------------------------- */

static bool own_fault(int sig) {
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT || sig == SIGFPE || sig == SIGILL || sig == SIGSYS ||
           sig == SIGTRAP || sig == SIGXFSZ || sig == SIGXCPU || sig == SIGPIPE || sig == SIGALRM;
}

/* A signal that neither the worker nor we raised is an interruption: the item runs again, up to MAX_ATTEMPTS. */
static status bury_worker(supervisor *s, slot *sl, error *err) {
    task *t = sl->task;
    worker_exit e = worker_stop(&sl->proc, sl->verdict != OUTCOME_NONE);
    sl->bound = false;
    sl->plugin = NULL;
    sl->task = NULL;
    if (t == NULL) {
        return STATUS_OK;
    }
    char reason[320];
    if (sl->verdict != OUTCOME_NONE) {
        return end_item(s, t, sl->verdict, sl->reason, sl, e, err);
    }
    if (!e.signalled || own_fault(e.signal)) {
        (void)snprintf(reason, sizeof reason, e.signalled ? "%s (signal %d)" : "%s %d",
                       e.signalled ? proc_signal_name(e.signal) : "the model ended the process, exit status",
                       e.signalled ? e.signal : e.exit_status);
        return end_item(s, t, OUTCOME_CRASHED, reason, sl, e, err);
    }
    (void)snprintf(reason, sizeof reason, "the worker was ended from outside by %s", proc_signal_name(e.signal));
    t->n_interrupted++;
    if (t->n_interrupted >= MAX_ATTEMPTS) {
        (void)snprintf(reason, sizeof reason, "the worker was ended from outside by %s, %d times",
                       proc_signal_name(e.signal), MAX_ATTEMPTS);
        return end_item(s, t, OUTCOME_CRASHED, reason, sl, e, err);
    }
    note(s, "warn", reason);
    s->taken[t - s->tasks] = false;
    s->n_begun = 0;
    return end_item(s, t, OUTCOME_NONE, reason, sl, e, err);
}

static status condemn(supervisor *s, slot *sl, outcome o, const char *reason, error *err) {
    sl->verdict = o;
    (void)snprintf(sl->reason, sizeof sl->reason, "%.255s", reason);
    return bury_worker(s, sl, err);
}

static status check_limits(supervisor *s, slot *sl, error *err) {
    const config *c = s->plan->config;
    char reason[160];
    if (sl->task == NULL) {
        return STATUS_OK;
    }
    if (clock_ns() > sl->deadline_ns) {
        (void)snprintf(reason, sizeof reason, "no result after %g s (limits.timeout_s)", c->timeout_s);
        return condemn(s, sl, OUTCOME_TIMEOUT, reason, err);
    }
    int64_t rss = c->memory_mib > 0 ? proc_rss_bytes(sl->proc.pid) : 0;
    if (rss > c->memory_mib * 1048576) {
        (void)snprintf(reason, sizeof reason,
                       "used %lld MiB of memory, more than the limit of %lld (limits.memory_mib)",
                       (long long)(rss / 1048576), (long long)c->memory_mib);
        return condemn(s, sl, OUTCOME_FAILED, reason, err);
    }
    return STATUS_OK;
}

/* ---- giving out work ----------------------------------------------------------------------------- */

/* The first waiting task, preferably of the model that the worker has loaded. */
static task *next_task(supervisor *s, const slot *sl) {
    task *first = NULL;
    while (s->n_begun < s->n_tasks && s->taken[s->n_begun]) {
        s->n_begun++;
    }
    for (size_t i = s->n_begun; i < s->n_tasks; i++) {
        if (s->taken[i]) {
            continue;
        }
        if (!sl->bound || s->tasks[i].item->i_model == sl->i_model) {
            return &s->tasks[i];
        }
        first = first == NULL ? &s->tasks[i] : first;
    }
    return first;
}

static status known_examples(supervisor *s, task *t, error *err) {
    if (t->verify) {
        return STATUS_OK;
    }
    arena a = {0};
    int64_t *have = NULL;
    size_t n = 0;
    status st = store_item_examples(s->store, t->item_id, &a, &have, &n, err);
    for (size_t i = 0; st == STATUS_OK && i < n; i++) {
        uint32_t key = (uint32_t)have[i];
        const uint32_t *hit = bsearch(&key, t->item->index, t->item->n_index, sizeof key, by_u32);
        if (hit != NULL && t->seen[hit - t->item->index] == 0) {
            t->seen[hit - t->item->index] = 1;
            t->n_seen++;
            t->resumed = true;
        }
    }
    arena_free(&a);
    return st;
}

static status send_task(supervisor *s, slot *sl, task *t, error *err) {
    if (t->retry) {
        t->retry = false;
        TRY(store_item_reset(s->store, t->item_id, err));
    }
    TRY(known_examples(s, t, err));
    s->progress.n_examples -= t->n_interrupted == 0 ? t->n_seen : 0; /* work that an earlier run has done */
    uint32_t *todo = arena_alloc(&t->mem, (t->item->n_index + 1) * sizeof *todo);
    size_t n = 0;
    for (size_t i = 0; i < t->item->n_index; i++) {
        if (t->seen[i] == 0) {
            todo[n++] = t->item->index[i];
        }
    }
    sl->task = t;
    sl->verdict = OUTCOME_NONE;
    sl->closed_ns = 0;
    sl->started_ns = clock_ns();
    sl->started_wall_ns = clock_wall_ns();
    sl->deadline_ns = sl->started_ns + (int64_t)(s->plan->config->timeout_s * 1e9);
    if (s->progress.model != s->plan->models[t->item->i_model].config->name) {
        s->progress.model = s->plan->models[t->item->i_model].config->name;
        s->progress.n_seen = 0;
        s->progress.n_correct = 0;
    }
    error ignored = {0};
    /* a worker that is already gone shows as end of file in the loop */
    status st = item_request_send(s->plan, t->item, todo, n, keeps_logits(s), sl->proc.fd, &ignored);
    return st == STATUS_IO ? STATUS_OK : st == STATUS_OK ? STATUS_OK : error_set(err, st, "%s", ignored.text);
}

/* One that is slow to end must not cost the others their time. */
static void retire_worker(supervisor *s, slot *sl) {
    int64_t before_ns = clock_ns();
    (void)worker_stop(&sl->proc, false);
    sl->bound = false;
    sl->plugin = NULL;
    for (size_t i = 0; i < s->n_slots; i++) {
        s->slots[i].deadline_ns += clock_ns() - before_ns;
    }
}

/* Every model has a process of its own; one that knows only its plug-in may take any model of it. */
static bool may_serve(const supervisor *s, const slot *sl, const task *t) {
    const char *wanted = s->plan->models[t->item->i_model].config->plugin_path;
    return sl->bound ? sl->i_model == t->item->i_model : sl->plugin == NULL || strcmp(sl->plugin, wanted) == 0;
}

static status give_work(supervisor *s, slot *sl, error *err) {
    task *t = next_task(s, sl);
    if (t == NULL) {
        return STATUS_OK;
    }
    if (sl->proc.pid != 0 && !may_serve(s, sl, t)) {
        retire_worker(s, sl);
    }
    if (sl->proc.pid == 0) {
        TRY(worker_start(&sl->proc, s->o->env, err));
    }
    sl->bound = true;
    sl->i_model = t->item->i_model;
    sl->plugin = s->plan->models[sl->i_model].config->plugin_path;
    s->taken[t - s->tasks] = true;
    return send_task(s, sl, t, err);
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static status serve_slot(supervisor *s, slot *sl, error *err) {
    bool eof = false;
    const pid_t pid = sl->proc.pid; /* another worker may be in the slot afterwards */
    status st = frame_buffer_fill(&sl->proc.in, sl->proc.fd, &eof, err);
    for (bool have = true; st == STATUS_OK && have;) {
        frame f;
        st = frame_buffer_next(&sl->proc.in, &f, &have, err);
        if (st == STATUS_OK && have) {
            st = take_frame(s, sl, &f, err);
        }
    }
    if (st == STATUS_MODEL) {
        error garbage = *err;
        *err = (error){0}; /* the item's outcome, not an error of the run */
        return condemn(s, sl, OUTCOME_FAILED, garbage.text, err);
    }
    TRY(st);
    sl->closed_ns = eof && sl->proc.pid == pid ? clock_ns() : 0;
    return STATUS_OK;
}

/* A process that the model started may hold the channel open after the worker's end, so that no end of file comes; and
 * a model may close the channel of a worker that goes on living. */
static status notice_end(supervisor *s, slot *sl, error *err) {
    struct pollfd p = {.fd = sl->closed_ns == 0 ? sl->proc.fd : -1, .events = POLLIN};
    if (sl->task == NULL) {
        return STATUS_OK;
    }
    if (worker_ended(&sl->proc)) {
        return poll(&p, 1, 0) == 0 ? bury_worker(s, sl, err) : STATUS_OK;
    }
    return sl->closed_ns != 0 && clock_ns() - sl->closed_ns > CLOSED_GRACE_NS
               ? condemn(s, sl, OUTCOME_CRASHED, "the model closed the worker's channel", err)
               : STATUS_OK;
}

static bool interrupted(const supervisor *s) {
    struct signalfd_siginfo si;
    return read(s->signal_fd, &si, sizeof si) == (ssize_t)sizeof si;
}

static status turn(supervisor *s, bool *working, error *err) {
    struct pollfd fds[257] = {0};
    int wait_ms = TICK_MS;
    *working = false;
    for (size_t i = 0; i < s->n_slots; i++) {
        slot *sl = &s->slots[i];
        if (sl->task == NULL) {
            TRY(give_work(s, sl, err));
        }
        *working = *working || sl->task != NULL;
        bool open = sl->task != NULL && sl->closed_ns == 0;
        fds[i] = (struct pollfd){.fd = open ? sl->proc.fd : -1, .events = POLLIN};
        wait_ms = open || sl->task == NULL ? wait_ms : CLOSED_TICK_MS;
    }
    if (!*working) {
        return STATUS_OK;
    }
    fds[s->n_slots] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
    (void)poll(fds, s->n_slots + 1, wait_ms);
    if (fds[s->n_slots].revents != 0 && interrupted(s)) {
        return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
    for (size_t i = 0; i < s->n_slots; i++) {
        if (fds[i].revents != 0) {
            TRY(serve_slot(s, &s->slots[i], err));
        } else {
            TRY(notice_end(s, &s->slots[i], err));
        }
        TRY(check_limits(s, &s->slots[i], err));
    }
    tick(s);
    return store_tick(s->store, err);
}

static status loop(supervisor *s, error *err) {
    for (bool working = true; working;) {
        TRY(turn(s, &working, err));
    }
    return store_flush(s->store, err);
}

/* ---- laying out the tasks ------------------------------------------------------------------------ */

static bool final_outcome(outcome o, bool retry_failed) {
    bool failed = o == OUTCOME_FAILED || o == OUTCOME_CRASHED || o == OUTCOME_TIMEOUT;
    return o != OUTCOME_NONE && !(failed && retry_failed);
}

static void add_task(supervisor *s, const plan_item *it, int64_t item_id, bool verify) {
    s->tasks = mem_grow(s->tasks, &s->cap_tasks, s->n_tasks + 1, sizeof *s->tasks);
    task *t = &s->tasks[s->n_tasks++];
    *t = (task){.item = it, .item_id = item_id, .verify = verify};
    t->seen = mem_zalloc(it->n_index + 1);
    s->progress.n_examples += it->n_index;
}

static status verify_task(supervisor *s, const plan_item *it, int64_t item_id, error *err) {
    rng r = rng_at((uint64_t)s->plan->config->seed, "verify-cache@1", (uint64_t)(it - s->plan->items),
                   (uint64_t)clock_wall_ns(), 0);
    if (rng_unit(&r) >= s->o->verify_cache) {
        return STATUS_OK;
    }
    add_task(s, it, item_id, true);
    task *t = &s->tasks[s->n_tasks - 1];
    return store_load_item_columns(s->store, item_id, "clean", keeps_logits(s), &t->mem, &t->stored, err);
}

static status lay_out_item(supervisor *s, plan_item *it, error *err) {
    const plan_model *m = &s->plan->models[it->i_model];
    char key[DIGEST_HEX];
    digest_hex(&it->key, key);
    store_item_state have;
    TRY(store_item_find(s->store, key, &have, err));
    int64_t item_id = have.item_id;
    if (item_id == 0) {
        TRY(registered_item(&s->ids, s->plan, s->store, it, key, &item_id, err));
    }
    bool cached = final_outcome(have.outcome, s->o->retry_failed);
    TRY(store_run_item(s->store, s->run_id, item_id, m->config->name, cached, err));
    if (cached) {
        it->cached = true;
        s->result->n_cached++;
        s->result->n_outcome[have.outcome]++;
        s->progress.n_cached++;
        s->progress.n_done++;
        bool comparable = have.outcome == OUTCOME_OK || have.outcome == OUTCOME_UNTRUSTWORTHY;
        return s->o->verify_cache > 0 && comparable ? verify_task(s, it, item_id, err) : STATUS_OK;
    }
    s->result->n_run++;
    bool retry = have.outcome != OUTCOME_NONE;
    if (m->fault[0] != '\0') {
        TRY(retry ? store_item_reset(s->store, item_id, err) : STATUS_OK);
        task t = {.item = it, .item_id = item_id};
        return end_item(s, &t, m->fault_outcome, m->fault, NULL, (worker_exit){0}, err);
    }
    add_task(s, it, item_id, false);
    s->tasks[s->n_tasks - 1].retry = retry;
    return STATUS_OK;
}

static int by_item(const void *a, const void *b) {
    const task *const *x = a;
    const task *const *y = b;
    if ((*x)->item_id != (*y)->item_id) {
        return (*x)->item_id < (*y)->item_id ? -1 : 1;
    }
    return (*x)->verify != (*y)->verify ? (*x)->verify - (*y)->verify : (*x > *y) - (*x < *y);
}

/* The same model may stand in a config under two names: its items are one, and run once. */
static void drop_duplicates(supervisor *s) {
    task **sorted = mem_zalloc((s->n_tasks + 1) * sizeof *sorted);
    for (size_t i = 0; i < s->n_tasks; i++) {
        sorted[i] = &s->tasks[i];
    }
    qsort(sorted, s->n_tasks, sizeof *sorted, by_item);
    task *first = s->n_tasks > 0 ? sorted[0] : NULL;
    for (size_t i = 1; i < s->n_tasks; i++) {
        task *t = sorted[i];
        if (t->item_id != first->item_id || t->verify != first->verify) {
            first = t;
            continue;
        }
        s->taken[t - s->tasks] = true;
        first->n_same++;
        s->progress.n_examples -= t->item->n_index;
        s->result->n_run -= t->verify ? 0 : 1;
        s->result->n_cached += t->verify ? 0 : 1;
        s->progress.n_done++;
    }
    mem_free(sorted);
}

static status lay_out(supervisor *s, error *err) {
    s->progress.n_items = s->plan->n_items;
    for (size_t i = 0; i < s->plan->config->n_models; i++) {
        const config_model *m = &s->plan->config->models[i];
        TRY(store_run_model(s->store, s->run_id, m->name, m->variant_of, err));
    }
    for (size_t i = 0; i < s->plan->n_items; i++) {
        TRY(lay_out_item(s, &s->plan->items[i], err));
    }
    s->taken = mem_zalloc((s->n_tasks + 1) * sizeof *s->taken);
    drop_duplicates(s);
    return store_flush(s->store, err);
}

static void clean_up(supervisor *s, const sigset_t *old) {
    for (size_t i = 0; i < s->n_slots; i++) {
        (void)worker_stop(&s->slots[i].proc, s->slots[i].task != NULL || !s->slots[i].bound);
    }
    for (size_t i = 0; i < s->n_tasks; i++) {
        mem_free(s->tasks[i].seen);
        arena_free(&s->tasks[i].mem);
    }
    mem_free(s->tasks);
    mem_free(s->taken);
    mem_free(s->slots);
    registered_free(&s->ids);
    while (interrupted(s)) { /* an impatient second one must not kill us before we have told how to resume */
    }
    (void)close(s->signal_fd);
    (void)sigprocmask(SIG_SETMASK, old, NULL);
}

static status start(supervisor *s, error *err) {
    TRY(registered_make(&s->ids, s->plan, s->store, s->o->blas_core, err));
    TRY(registered_run(&s->ids, s->plan, s->store, s->o->command_line, s->o->git_revision, &s->run_id, err));
    s->result->run_id = s->run_id;
    return lay_out(s, err);
}

status run_collect(plan *p, store *st, const run_options *o, run_result *out, error *err) {
    sigset_t set;
    sigset_t old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    struct sigaction hup;
    if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN) { /* nohup: a blocked signal is not ignored */
        (void)sigaddset(&set, SIGHUP);
    }
    (void)sigprocmask(SIG_BLOCK, &set, &old);
    *out = (run_result){0};
    supervisor s = {.plan = p, .store = st, .o = o, .result = out, .n_slots = (size_t)p->config->workers};
    s.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s.slots = mem_zalloc(s.n_slots * sizeof *s.slots);
    if (p->probes[0].pid != 0) { /* the planner's worker has the plug-in and the first data already */
        s.slots[0].proc = p->probes[0];
        s.slots[0].plugin = p->config->models[0].plugin_path;
        p->probes[0] = (worker_proc){.fd = -1};
    }
    s.progress.started_ns = clock_ns();
    status rc = s.signal_fd < 0 ? error_set(err, STATUS_IO, "signalfd: %s", strerror(errno)) : start(&s, err);
    if (rc == STATUS_OK) {
        rc = loop(&s, err);
    }
    out->elapsed_ns = clock_ns() - s.progress.started_ns;
    out->rows_ns = out->first_row_ns == 0 ? 0 : clock_ns() - out->first_row_ns;
    out->verify = o->verify_cache > 0;
    out->interrupted = rc == STATUS_INTERRUPTED;
    if (rc != STATUS_OK && s.run_id != 0) {
        error ignored = {0}; /* the first error is the one to tell */
        (void)store_run_end(st, s.run_id, out->interrupted ? "interrupted" : "failed", "", "", "", &ignored);
    }
    clean_up(&s, &old);
    return rc;
}

/* ---- one example ---------------------------------------------------------------------------------- */

static status one_answer(worker_proc *w, int64_t deadline_ns, observation *out, float **logits, bool *late,
                         error *err) {
    for (;;) {
        frame f;
        TRY(worker_await(w, deadline_ns, &f, late, err));
        observation *rows = NULL;
        size_t n = 0;
        if (f.type == FRAME_ROWS) {
            TRY(frame_rows(&f, &rows, &n, err));
        }
        if (n == 1 && *logits == NULL) {
            *out = rows[0];
            *logits = mem_zalloc((rows[0].n_logits + 1) * sizeof(float));
            if (rows[0].n_logits > 0) {
                memcpy(*logits, rows[0].logits, rows[0].n_logits * sizeof(float));
            }
            out->logits = *logits;
        }
        mem_free(rows);
        if (f.type == FRAME_DONE) {
            return *logits != NULL
                       ? STATUS_OK
                       : error_set(err, STATUS_MODEL, "no result: %.*s", (int)f.n_bytes, (const char *)f.payload);
        }
    }
}

status run_one(const plan *p, const plan_item *item, uint32_t example, worker_env env, observation *out, float **logits,
               error *err) {
    worker_proc w;
    *logits = NULL;
    TRY(worker_start(&w, env, err));
    bool late = false;
    status st = item_request_send(p, item, &example, 1, true, w.fd, err);
    if (st == STATUS_OK) {
        st = one_answer(&w, clock_ns() + (int64_t)(p->config->timeout_s * 1e9), out, logits, &late, err);
    }
    worker_exit e = worker_stop(&w, st != STATUS_OK && st != STATUS_IO);
    if (late) {
        return error_set(err, STATUS_MODEL, "no result after %g s (limits.timeout_s)", p->config->timeout_s);
    }
    if (st == STATUS_IO) {
        return error_set(err, STATUS_MODEL, "the model ended the worker (%s)",
                         e.signalled ? proc_signal_name(e.signal) : "it exited");
    }
    return st;
}
