#include "storage/writer.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "storage/aside.h"
#include "storage/lock.h"
#include "storage/mount.h"
#include "storage/queue.h"

enum { ITEM_SAMPLE, ITEM_GROUPS, ITEM_DECISION, ITEM_PIECE, ITEM_GAP };

/*
 * So many hours of samples are packed after each commit, or rounds of what happened rolled up, unless they take longer than commits
 * are apart: after a pause, or in a file of an older brim, there may be many.
 */
enum { PACKS_AT_ONCE = 4 };

/* Where that fails it is tried again after an interval, and then ever later. */
#define PACK_RETRY_MOST_US (INT64_C(600) * US_PER_S)

/* How long a file is looked over for damage after it was opened: 256 MiB take a second, from a slow disk some. */
#define CHECK_US (INT64_C(10) * US_PER_S)

/* For so long a disk that refuses to read is waited for; then what it keeps back counts as damaged. */
#define UNREADABLE_US (INT64_C(600) * US_PER_S)

/* A clock that leaps may be wrong, and so what it says is too old: nothing is forgotten until it has stood for a while. */
#define LEAP_US   (INT64_C(86400) * US_PER_S)
#define STEADY_US (INT64_C(3600) * US_PER_S)

/* How often what is too old is looked for, besides whenever a chunk begins. */
#define FORGET_EVERY_US (INT64_C(3600) * US_PER_S)

/* Who frees the writer: whoever of the two threads is done with it last. */
enum { OWNED, ENDED, LEFT };

struct lost_decisions {
    int64_t first_ms, last_ms, count;
};

struct request {
    writer_run_fn *run;
    void *self;
};

struct writer {
    struct writer_options options;
    struct clock clock;
    pthread_t thread;
    sem_t wake;
    struct queue *queue;
    atomic_bool stop;
    atomic_int fate;
    atomic_bool refuse; /* a piece was lost on the disk's side: the journal must begin a segment */

    /* The loop's alone. */
    struct sample held[WRITER_MAX_POLICIES];
    size_t n_held;
    struct groups_sample *held_groups[WRITER_MAX_POLICIES]; /* on the heap */
    size_t n_held_groups;
    struct lost_decisions lost;

    /* The disk thread's alone. */
    struct history history;
    struct lock *file_lock; /* NULL: not ours yet */
    uint64_t id_shift;
    int64_t not_before_us, forget_at_us, settle_at_us;
    int64_t pack_at_us, pack_retry_us; /* mono; how long was waited last; 0: packing did not fail */
    uint64_t damaged_before;           /* in files that are closed */
    bool checked;
    int64_t check_until_us;
    int64_t unreadable_us; /* mono; since when the disk refuses to read; 0: it does not */
    int64_t ahead_us,
        not_steady_until_us; /* wall clock before mono, when it was looked at last; mono */

    _Atomic uint64_t merged, dropped, dropped_pieces;

    pthread_mutex_t lock; /* of all below; held for copying only */
    pthread_cond_t tried;
    bool was_tried, ids_given;
    uint64_t last_id;
    struct writer_status status;
    struct request requests[WRITER_MAX_REQUESTS];
    size_t n_requests;
};

static int64_t mono_us(const struct writer *w)
{
    return w->clock.mono(w->clock.self).us;
}

static struct wall wall(const struct writer *w)
{
    return w->clock.wall(w->clock.self);
}

static void note_error(struct writer *w, const struct err *err)
{
    (void)pthread_mutex_lock(&w->lock);
    w->status.errors++;
    if (w->status.failing_since.us == 0)
        w->status.failing_since = wall(w);
    (void)snprintf(w->status.error, sizeof w->status.error, "%s", err->text);
    (void)pthread_mutex_unlock(&w->lock);
}

static void note_commit(struct writer *w)
{
    int64_t bytes = db_bytes(w->history.db);

    (void)pthread_mutex_lock(&w->lock);
    w->status.commits++;
    w->status.bytes = bytes;
    w->status.written_at = wall(w);
    w->status.damaged = w->damaged_before + (uint64_t)history_damage_met(&w->history);
    w->status.failing_since = (struct wall){0};
    w->status.error[0] = '\0';
    (void)pthread_mutex_unlock(&w->lock);
}

static void note_leap(struct writer *w, int64_t leap_us)
{
    if (leap_us > LEAP_US || leap_us < -LEAP_US)
        w->not_steady_until_us = mono_us(w) + STEADY_US;
}

static void look_at_clock(struct writer *w)
{
    int64_t ahead_us = wall(w).us - mono_us(w);

    note_leap(w, ahead_us - w->ahead_us);
    w->ahead_us = ahead_us;
}

/* The time in which nothing was written because no agent ran. */
static bool mark_start(struct writer *w, struct err *err)
{
    struct history_gap gap = {.why = sv_from(gap_why_name(GAP_START)),
                              .last_ms = wall(w).us / 1000};
    int64_t first;

    if (!samples_span(w->history.samples, &first, &gap.first_ms, err))
        return false;
    /* An agent that was away for a day is as careful as one whose clock leapt. */
    if (gap.first_ms != 0)
        note_leap(w, (gap.last_ms - gap.first_ms) * US_PER_MS);
    return gap.first_ms == 0 || gap.first_ms >= gap.last_ms ||
           history_add_gap(&w->history, &gap, err);
}

static void close_history(struct writer *w)
{
    if (w->history.samples != NULL)
        w->damaged_before += (uint64_t)history_damage_met(&w->history);
    history_close(&w->history);
}

/* Leaves the file to others, or to what comes in its place. */
static void let_go(struct writer *w)
{
    close_history(w);
    lock_release(w->file_lock);
    w->file_lock = NULL;
}

/* Of what is too long the end, which tells more of a path than its begin. */
static void copy_end(char *to, size_t size, const char *text)
{
    size_t len = strlen(text), skip = len < size ? 0 : len - size + 1;

    memcpy(to, text + skip, len - skip + 1);
}

/* Is it damaged, or is it a disk that does not give it now? */
static bool is_readable(struct writer *w, struct err *err)
{
    if (aside_can_read(w->options.path, err)) {
        w->unreadable_us = 0;
        return true;
    }
    if (w->unreadable_us == 0)
        w->unreadable_us = mono_us(w);
    return mono_us(w) - w->unreadable_us >= UNREADABLE_US;
}

/* Puts the damaged file, which nothing has open, out of the way. */
static bool set_aside(struct writer *w, const char *damage, struct err *err)
{
    char name[PATH_MAX + 64];

    if (!is_readable(w, err) || !aside_move(w->options.path, wall(w), name, sizeof name, err))
        return false;
    w->unreadable_us = 0;
    (void)pthread_mutex_lock(&w->lock);
    w->status.set_aside++;
    copy_end(w->status.aside, sizeof w->status.aside, name);
    (void)snprintf(w->status.damage, sizeof w->status.damage, "%s", damage);
    (void)pthread_mutex_unlock(&w->lock);
    let_go(w);
    return true;
}

/* Where locks may not hold, who is named in the lock is given the time to answer. */
static bool settle(struct writer *w, struct err *err)
{
    if (mount_network(w->options.path) == NULL || lock_is_settled(w->file_lock, err))
        return true;
    if (!lock_stands(w->file_lock, err)) {
        let_go(w);
        return false;
    }
    if (mono_us(w) < w->settle_at_us)
        return false;
    lock_settle(w->file_lock);
    return true;
}

static bool lock_file(struct writer *w, struct err *err)
{
    if (w->file_lock == NULL) {
        if (!lock_take(w->options.path, &w->file_lock, err))
            return false;
        w->settle_at_us = mono_us(w) + LOCK_ANSWER_US;
    }
    return settle(w, err);
}

/* Opens the file, or, where a damaged one was, a new one. */
static bool open_file(struct writer *w, struct err *err)
{
    const struct db_options options = {
        .path = w->options.path, .max_bytes = w->options.max_bytes, .vfs = w->options.vfs};
    struct err damage;

    if (!lock_file(w, err))
        return false;
    if (history_open(&options, &w->history, err))
        return true;
    damage = *err;
    if ((damage.code != DB_CORRUPT && damage.code != DB_NOT_A_DB) ||
        !aside_is_history(w->options.path) || !set_aside(w, damage.text, err))
        return false;
    return lock_file(w, err) && history_open(&options, &w->history, err);
}

static bool replace_damaged(struct writer *w, struct err *err);

static bool open_history(struct writer *w, struct err *err)
{
    uint64_t last_id = 0;

    if (!open_file(w, err))
        return false;
    w->checked = false;
    if (!decisions_last_id(w->history.decisions, &last_id, err) || !mark_start(w, err)) {
        if (db_damage(w->history.db) != NULL)
            return replace_damaged(w, err);
        close_history(w);
        return false;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->status.open = true;
    w->status.network = db_network(w->history.db);
    w->last_id = last_id;
    w->id_shift = w->ids_given ? last_id : 0;
    (void)pthread_mutex_unlock(&w->lock);
    return true;
}

/* Opens the history if it is not, or no longer where it should be. */
static bool have_history(struct writer *w, struct err *err)
{
    if (w->history.db != NULL && !lock_stands(w->file_lock, err)) {
        note_error(w, err);
        let_go(w);
    }
    return w->history.db != NULL || open_history(w, err);
}

/* What was found to be damaged is not written any more: a new file is begun, ASIDE_MAX times at most. */
static bool replace_damaged(struct writer *w, struct err *err)
{
    char damage[240];

    (void)snprintf(damage, sizeof damage, "%s", db_damage(w->history.db));
    close_history(w);
    return set_aside(w, damage, err) && open_history(w, err);
}

static bool add_decision(struct writer *w, const struct decision_entry *entry, struct err *err)
{
    struct decision_entry raised = *entry;

    raised.id += w->id_shift;
    return decisions_add(w->history.decisions, &raised, err);
}

static bool add_gap(struct writer *w, const struct lost_decisions *lost, struct err *err)
{
    const struct history_gap gap = {.first_ms = lost->first_ms,
                                    .last_ms = lost->last_ms,
                                    .why = sv_from(gap_why_name(GAP_LOST)),
                                    .decisions = lost->count};

    return history_add_gap(&w->history, &gap, err);
}

static bool add_item(struct writer *w, struct queue_item item, struct err *err)
{
    switch (item.kind) {
    case ITEM_SAMPLE:
        return samples_add(w->history.samples, item.data, err);
    case ITEM_GROUPS:
        return groups_add(w->history.groups, item.data, err);
    case ITEM_DECISION:
        return add_decision(w, item.data, err);
    case ITEM_PIECE:
        return chunks_add(w->history.chunks, item.data, err);
    default:
        return add_gap(w, item.data, err);
    }
}

/* Would the same thing fail again on a healthy disk? Then it is given up, so that it does not hold up all others. */
static bool hopeless(const struct err *err)
{
    enum { ERROR = 1, TOO_BIG = 18, CONSTRAINT = 19, MISMATCH = 20 };

    return err->code == 0 || err->code == ERROR || err->code == TOO_BIG ||
           err->code == CONSTRAINT || err->code == MISMATCH;
}

static void give_up(struct writer *w, struct queue_item item, const struct err *err)
{
    note_error(w, err);
    if (item.kind == ITEM_PIECE) {
        atomic_fetch_add(&w->dropped_pieces, 1);
        atomic_store(&w->refuse, true);
    } else if (item.kind == ITEM_DECISION) {
        atomic_fetch_add(&w->dropped, 1);
    }
}

/* One transaction with the n oldest things. */
static bool write_batch(struct writer *w, size_t n, bool *ret_chunk, struct err *err)
{
    struct db *db = w->history.db;
    bool ok = db_begin(db, err);

    if (!ok)
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        struct queue_item item = queue_peek(w->queue, i);

        ok = add_item(w, item, err);
        if (!ok && hopeless(err)) {
            give_up(w, item, err);
            ok = true;
        }
        if (item.kind == ITEM_PIECE && ((const struct journal_piece *)item.data)->offset == 0)
            *ret_chunk = true;
    }
    ok = ok && db_commit(db, err);
    if (!ok)
        db_rollback(db);
    return ok;
}

static void forget_old(struct writer *w)
{
    struct err err = {0};

    if (mono_us(w) < w->not_steady_until_us)
        return;
    w->forget_at_us = mono_us(w) + FORGET_EVERY_US;
    if (!history_forget(&w->history, &w->options.keep, wall(w).us / 1000, &err))
        note_error(w, &err);
}

/* At the limit of size old history makes room. */
static bool made_room(struct writer *w, struct err *err)
{
    return err->code == DB_FULL && db_at_limit(w->history.db) && history_shrink(&w->history, err);
}

static int64_t burst_us(const struct writer *w)
{
    return w->options.interval_us / WRITER_BURST_PART;
}

static void pack_later(struct writer *w, const struct err *err)
{
    note_error(w, err);
    w->pack_retry_us = w->pack_retry_us == 0 ? w->options.interval_us
                                             : min_i64(2 * w->pack_retry_us, PACK_RETRY_MOST_US);
    w->pack_at_us = mono_us(w) + w->pack_retry_us;
}

/*
 * Packs samples whose hour has passed. What was committed is safe in any case: so the next commit is not kept waiting for long, and the
 * end of the thread for no more than the round under way. Is something left?
 */
static bool pack_old(struct writer *w, int64_t now_ms)
{
    int64_t begun_us = mono_us(w);
    struct err err = {0};
    bool left = true;

    if (begun_us < w->pack_at_us)
        return false;
    for (int i = 0; i < PACKS_AT_ONCE && left && !atomic_load(&w->stop); i++) {
        if (i > 0 && mono_us(w) - begun_us >= burst_us(w))
            break;
        if (!history_pack(&w->history, now_ms, &left, &err) &&
            !(made_room(w, &err) && history_pack(&w->history, now_ms, &left, &err))) {
            pack_later(w, &err);
            return false;
        }
        w->pack_retry_us = 0;
    }
    return left;
}

/* What reading or tidying up has found to be damaged. */
static void leave_damaged(struct writer *w)
{
    struct err err = {0};

    if (w->history.db != NULL && db_damage(w->history.db) != NULL && !replace_damaged(w, &err))
        note_error(w, &err);
}

static bool may_check(void *self)
{
    const struct writer *w = self;

    return !atomic_load(&w->stop) && mono_us(w) < w->check_until_us;
}

/* Looks over a file that was opened, once and before it is written: damage is better found than met by whoever needs what is lost. */
static void check_file(struct writer *w)
{
    struct err err = {0};
    bool whole;

    if (w->history.db == NULL || w->checked)
        return;
    w->checked = true;
    w->check_until_us = mono_us(w) + CHECK_US;
    if (!db_quick_check(w->history.db, may_check, w, &whole, &err) &&
        db_damage(w->history.db) == NULL)
        note_error(w, &err);
    leave_damaged(w);
}

/* Writes what is queued. At the limit of size old history makes room, once. */
static bool flush(struct writer *w, struct err *err)
{
    size_t n = queue_len(w->queue);
    int64_t sampled_ms = INT64_MIN;
    bool chunk = false, left, ok;

    if (!have_history(w, err))
        return false;
    if (n == 0)
        return true;
    ok = write_batch(w, n, &chunk, err);
    if (!ok && made_room(w, err))
        ok = write_batch(w, n, &chunk, err);
    if (!ok && db_damage(w->history.db) != NULL && replace_damaged(w, err))
        ok = write_batch(w, n, &chunk, err);
    if (!ok)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct queue_item item = queue_peek(w->queue, i);

        if (item.kind == ITEM_SAMPLE)
            sampled_ms = ((const struct sample *)item.data)->t_ms;
    }
    queue_pop(w->queue, n);
    note_commit(w);
    look_at_clock(w);
    left = sampled_ms != INT64_MIN && pack_old(w, sampled_ms);
    /* What is not rolled up yet is the oldest. */
    if (!left && (chunk || mono_us(w) >= w->forget_at_us))
        forget_old(w);
    leave_damaged(w);
    return true;
}

static void answer(struct writer *w)
{
    struct request requests[WRITER_MAX_REQUESTS];
    size_t n;

    (void)pthread_mutex_lock(&w->lock);
    n = w->n_requests;
    memcpy(requests, w->requests, n * sizeof *requests);
    w->n_requests = 0;
    (void)pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < n; i++) {
        struct err err = {0};
        bool stopping = atomic_load(&w->stop);

        if (stopping)
            (void)err_set(&err, ERR_STORAGE, 0, "the history is being closed");
        else
            (void)!have_history(w, &err);
        requests[i].run(requests[i].self, w->history.db != NULL && !stopping ? &w->history : NULL,
                        &err);
        leave_damaged(w);
    }
}

static struct timespec in_us(int64_t us)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    us += t.tv_nsec / 1000;
    t.tv_sec += us / US_PER_S;
    t.tv_nsec = us % US_PER_S * 1000;
    return t;
}

/* Sleeps until there may be something to do. */
static void wait_for_work(struct writer *w)
{
    int64_t left =
        queue_len(w->queue) != 0 ? w->not_before_us - mono_us(w) : w->options.interval_us;
    struct timespec until;

    if (left > w->options.interval_us)
        left = w->options.interval_us;
    if (left <= 0)
        return;
    until = in_us(left);
    (void)sem_clockwait(&w->wake, CLOCK_MONOTONIC, &until);
    while (sem_trywait(&w->wake) == 0)
        continue;
}

/* For writer_first_id(): the file is open, or status says why not. */
static void tell_tried(struct writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->was_tried = true;
    (void)pthread_cond_broadcast(&w->tried);
    (void)pthread_mutex_unlock(&w->lock);
}

static bool write_queued(struct writer *w)
{
    struct err err = {0};
    bool ok = flush(w, &err);

    if (!ok)
        note_error(w, &err);
    return ok;
}

static void work(struct writer *w)
{
    struct err err = {0};
    bool ok = have_history(w, &err);

    if (!ok)
        note_error(w, &err);
    tell_tried(w);
    check_file(w);
    ok = ok && write_queued(w);
    w->not_before_us = mono_us(w) + (ok ? burst_us(w) : w->options.interval_us);
}

static void free_writer(struct writer *w)
{
    for (size_t i = 0; i < w->n_held_groups; i++)
        free(w->held_groups[i]);
    queue_free(w->queue);
    (void)pthread_cond_destroy(&w->tried);
    (void)pthread_mutex_destroy(&w->lock);
    (void)sem_destroy(&w->wake);
    free((char *)(uintptr_t)w->options.path);
    free(w);
}

/*
 * Signals are the loop's. SIGXFSZ comes to the thread that wrote beyond a limit of file sizes, and would end the process; blocked,
 * the write fails with EFBIG like any other.
 */
static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void *run(void *self)
{
    struct writer *w = self;

    block_signals();
    work(w);
    while (!atomic_load(&w->stop)) {
        wait_for_work(w);
        answer(w);
        if (queue_len(w->queue) != 0 && mono_us(w) >= w->not_before_us)
            work(w);
    }
    answer(w);
    work(w);
    let_go(w);
    if (atomic_exchange(&w->fate, ENDED) == LEFT)
        free_writer(w);
    return NULL;
}

bool writer_start(const struct writer_options *options, struct writer **ret_writer, struct err *err)
{
    struct writer *w = xcalloc(1, sizeof *w);
    pthread_condattr_t attr;
    int code;

    w->options = *options;
    w->options.path = xstrdup(options->path);
    if (w->options.interval_us <= 0)
        w->options.interval_us = WRITER_INTERVAL_US;
    w->clock = options->clock.mono != NULL ? options->clock : clock_system();
    w->ahead_us = wall(w).us - mono_us(w);
    w->queue = queue_new(WRITER_SLOTS, WRITER_PIECE_BYTES);
    (void)sem_init(&w->wake, 0, 0);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->tried, &attr);
    (void)pthread_condattr_destroy(&attr);
    code = pthread_create(&w->thread, NULL, run, w);
    if (code != 0) {
        free_writer(w);
        return err_set(err, ERR_SYSTEM, code, "a thread for the history: %s", strerror(code));
    }
    *ret_writer = w;
    return true;
}

static bool push(struct writer *w, int kind, const void *data, size_t size)
{
    void *copy = xmalloc(size);

    memcpy(copy, data, size);
    if (queue_push(w->queue, (struct queue_item){.kind = kind, .data = copy}))
        return true;
    free(copy);
    return false;
}

static void push_held_groups(struct writer *w)
{
    size_t done = 0;

    while (done < w->n_held_groups &&
           push(w, ITEM_GROUPS, w->held_groups[done], groups_sample_bytes(w->held_groups[done])))
        free(w->held_groups[done++]);
    memmove(w->held_groups, w->held_groups + done,
            (w->n_held_groups - done) * sizeof(struct groups_sample *));
    w->n_held_groups -= done;
}

/* What was kept back while the queue was full goes first. */
static void push_held(struct writer *w)
{
    size_t done = 0;

    if (w->lost.count != 0 && push(w, ITEM_GAP, &w->lost, sizeof w->lost))
        w->lost = (struct lost_decisions){0};
    while (done < w->n_held && push(w, ITEM_SAMPLE, &w->held[done], sizeof w->held[done]))
        done++;
    memmove(w->held, w->held + done, (w->n_held - done) * sizeof *w->held);
    w->n_held -= done;
    push_held_groups(w);
}

/* Waits for the thread; false if it did not end in time. */
static bool join(struct writer *w)
{
    struct timespec until;

    if (w->options.stop_us <= 0)
        return pthread_join(w->thread, NULL) == 0;
    until = in_us(w->options.stop_us);
    return pthread_clockjoin_np(w->thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}

bool writer_stop(struct writer *w)
{
    if (w == NULL)
        return true;
    push_held(w);
    atomic_store(&w->stop, true);
    (void)sem_post(&w->wake);
    if (join(w)) {
        free_writer(w);
        return true;
    }
    (void)pthread_detach(w->thread);
    if (atomic_exchange(&w->fate, LEFT) == ENDED)
        free_writer(w);
    return false;
}

uint64_t writer_first_id(struct writer *w, int64_t wait_us)
{
    const struct timespec until = in_us(wait_us);
    uint64_t id;

    (void)pthread_mutex_lock(&w->lock);
    while (!w->was_tried && pthread_cond_timedwait(&w->tried, &w->lock, &until) == 0)
        continue;
    id = w->status.open ? w->last_id + 1 : 1;
    w->ids_given = !w->status.open;
    (void)pthread_mutex_unlock(&w->lock);
    return id;
}

static struct sample *held_of(struct writer *w, const char *policy)
{
    for (size_t i = 0; i < w->n_held; i++) {
        if (strcmp(w->held[i].policy, policy) == 0)
            return &w->held[i];
    }
    return NULL;
}

void writer_sample(struct writer *w, const struct sample *sample)
{
    struct sample *held;

    push_held(w);
    held = held_of(w, sample->policy);
    if (held != NULL) {
        sample_merge(held, sample);
        atomic_fetch_add(&w->merged, 1);
        return;
    }
    if (w->n_held == 0 && push(w, ITEM_SAMPLE, sample, sizeof *sample))
        return;
    if (w->n_held < WRITER_MAX_POLICIES)
        w->held[w->n_held++] = *sample;
    atomic_fetch_add(&w->merged, 1);
}

static struct groups_sample *held_groups_of(struct writer *w, const char *policy)
{
    for (size_t i = 0; i < w->n_held_groups; i++) {
        if (strcmp(w->held_groups[i]->policy, policy) == 0)
            return w->held_groups[i];
    }
    return NULL;
}

void writer_groups(struct writer *w, const struct groups_sample *sample)
{
    struct groups_sample *held;

    push_held(w);
    held = held_groups_of(w, sample->policy);
    if (held != NULL)
        groups_merge(held, sample);
    else if (w->n_held_groups == 0 && push(w, ITEM_GROUPS, sample, groups_sample_bytes(sample)))
        return;
    else if (w->n_held_groups < WRITER_MAX_POLICIES) {
        w->held_groups[w->n_held_groups] = xmalloc(sizeof *sample);
        memcpy(w->held_groups[w->n_held_groups++], sample, groups_sample_bytes(sample));
    }
    atomic_fetch_add(&w->merged, 1);
}

void writer_decision(struct writer *w, const struct decision_entry *entry)
{
    push_held(w);
    if (w->lost.count == 0 && push(w, ITEM_DECISION, entry, sizeof *entry)) {
        writer_wake(w);
        return;
    }
    if (w->lost.count == 0)
        w->lost.first_ms = entry->t_ms;
    w->lost.last_ms = entry->t_ms;
    w->lost.count++;
    atomic_fetch_add(&w->dropped, 1);
}

static bool take_piece(void *self, struct journal_piece *piece)
{
    struct writer *w = self;
    const struct queue_item item = {
        .kind = ITEM_PIECE, .bytes = sizeof *piece + piece->len, .data = piece};

    if (!atomic_exchange(&w->refuse, false) && queue_push(w->queue, item))
        return true;
    atomic_fetch_add(&w->dropped_pieces, 1);
    return false;
}

static size_t room_for_pieces(void *self)
{
    const struct writer *w = self;

    /* Nothing goes in without a slot; a keyframe takes one for each chunk. */
    return queue_len(w->queue) < WRITER_SLOTS / 2 ? queue_room(w->queue) : 0;
}

struct journal_sink writer_sink(struct writer *w)
{
    return (struct journal_sink){
        .take = take_piece, .room = room_for_pieces, .self = w, .limit = WRITER_PIECE_BYTES};
}

void writer_wake(struct writer *w)
{
    (void)sem_post(&w->wake);
}

void writer_status(struct writer *w, struct writer_status *ret_status)
{
    (void)pthread_mutex_lock(&w->lock);
    *ret_status = w->status;
    (void)pthread_mutex_unlock(&w->lock);
    ret_status->queued = queue_len(w->queue);
    ret_status->merged = atomic_load(&w->merged);
    ret_status->dropped = atomic_load(&w->dropped);
    ret_status->dropped_pieces = atomic_load(&w->dropped_pieces);
}

bool writer_ask(struct writer *w, writer_run_fn *run_fn, void *self)
{
    bool ok;

    (void)pthread_mutex_lock(&w->lock);
    ok = w->n_requests < WRITER_MAX_REQUESTS && !atomic_load(&w->stop);
    if (ok)
        w->requests[w->n_requests++] = (struct request){.run = run_fn, .self = self};
    (void)pthread_mutex_unlock(&w->lock);
    if (ok)
        writer_wake(w);
    return ok;
}
