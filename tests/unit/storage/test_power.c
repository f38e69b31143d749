/* Power loss: what was acknowledged is there afterwards, whatever the disk lost of what was not synced (lossy_vfs.h). */
#include "storage/writer.h"

#include "tests/unit/storage/folder.h"
#include "tests/unit/storage/lossy_vfs.h"
#include "tests/unit/storage/world.h"

enum {
    CUTS = 1000,
    FRESH_EVERY = 40, /* cuts that one file lives through */
    LIFE_STEPS = 400, /* batches until a life is given up as one that is not cut */
    KEEP_STEPS = 600, /* what is older is forgotten */
    LOOK_EVERY = 20,  /* cuts between looks through the system's own VFS */
};

static const char path[] = "history.db";

/* What the file must hold. A batch is decision and sample `step`, and what the journal had to tell. */
struct owed {
    int64_t steps; /* acknowledged: 1 … steps */
    int64_t
        tried; /* steps, or one more: the power went before it was acknowledged, so it may be there as a whole */
    int64_t events, events_tried;
    int64_t forgotten; /* steps below may be gone */
};

/* The journal's pieces wait here for the batch's end. */
struct pieces {
    struct journal_piece *at[256];
    size_t n;
};

struct life {
    struct random *random;
    struct owed *owed;
    struct history history;
    struct world world;
    struct pieces pieces;
    const char *pragma; /* in force from the opening on; NULL: as the agent has it */
};

static bool take(void *self, struct journal_piece *piece)
{
    struct pieces *p = self;

    cr_assert_lt(p->n, COUNT_OF(p->at));
    p->at[p->n++] = piece;
    return true;
}

static size_t room(void *self)
{
    (void)self;
    return SIZE_MAX / 2;
}

static int64_t time_of(int64_t step)
{
    return INT64_C(1790000000000) + step * SAMPLES_STEP_MS;
}

static bool add_step(struct life *l, int64_t step, struct err *err)
{
    struct sample s = {.policy = "miner", .t_ms = time_of(step), .at = {[SAMPLE_PAID] = step}};
    struct decision_entry d = {.id = (uint64_t)step,
                               .t_ms = time_of(step),
                               .policy = "miner",
                               .reason = "yield",
                               .bound = "fit",
                               .at = {[DECISION_REPLICAS] = step}};

    (void)snprintf(d.detail, sizeof d.detail, "%0*lld", (int)(step % 200), (long long)step);
    return samples_add(l->history.samples, &s, err) && decisions_add(l->history.decisions, &d, err);
}

static bool add_pieces(struct life *l, int64_t *ret_events, struct err *err)
{
    bool ok = true;

    *ret_events = 0;
    for (size_t i = 0; i < l->pieces.n; i++) {
        ok = ok && chunks_add(l->history.chunks, l->pieces.at[i], err);
        *ret_events += l->pieces.at[i]->events;
        free(l->pieces.at[i]);
    }
    l->pieces.n = 0;
    return ok;
}

/* One batch as the writer writes it; false when the power went. */
static bool write_step(struct life *l, struct err *err)
{
    struct owed *o = l->owed;
    int64_t events, n = random_in(l->random, 1, 40);
    struct db *db = l->history.db;

    for (int64_t i = 0; i < n; i++)
        world_step(&l->world);
    journal_cut(l->world.journal, l->world.now_ms);
    o->tried = o->steps + 1;
    o->events_tried = o->events;
    if (!db_begin(db, err) || !add_pieces(l, &events, err) || !add_step(l, o->tried, err))
        return false;
    o->events_tried = o->events + events;
    if (!db_commit(db, err))
        return false;
    o->steps = o->tried;
    o->events = o->events_tried;
    return true;
}

static bool forget(struct life *l, struct err *err)
{
    const struct history_keep keep = {.samples_ms = KEEP_STEPS * SAMPLES_STEP_MS};

    l->owed->forgotten = l->owed->steps - KEEP_STEPS;
    return history_forget(&l->history, &keep, time_of(l->owed->steps), err);
}

static bool open_life(struct life *l, struct err *err)
{
    const struct db_options options = {.path = path, .vfs = LOSSY_VFS};

    if (!history_open(&options, &l->history, err))
        return false;
    /* Half of the lives fold the log back all the time. */
    return (!random_percent(l->random, 50) ||
            db_exec(l->history.db, "PRAGMA wal_autocheckpoint=12", err)) &&
           (l->pragma == NULL || db_exec(l->history.db, l->pragma, err));
}

static void begin_journal(struct life *l)
{
    const struct journal_sink sink = {
        .take = take, .room = room, .self = &l->pieces, .limit = SIZE_MAX / 2};

    journal_free(l->world.journal);
    for (size_t i = 0; i < l->pieces.n; i++)
        free(l->pieces.at[i]);
    l->pieces.n = 0;
    l->world.journal = journal_new(&l->world.names, &sink);
    world_list(&l->world);
}

/* Opens, writes, forgets, packs, closes and opens again until the power goes; false if it did not. */
static bool live(struct life *l)
{
    struct err err = {0};
    bool ok = open_life(l, &err), more;

    begin_journal(l);
    for (int i = 0; ok && i < LIFE_STEPS; i++) {
        ok = write_step(l, &err);
        if (ok && random_percent(l->random, 5))
            ok = forget(l, &err);
        if (ok && random_percent(l->random, 5))
            ok = history_pack(&l->history, time_of(l->owed->steps), &more, &err);
        if (ok && random_percent(l->random, 3)) {
            history_close(&l->history);
            ok = !lossy_is_cut() && open_life(l, &err);
            begin_journal(l);
        }
    }
    cr_assert(ok || lossy_is_cut(), "without a cut: %s", err.text);
    history_close(&l->history);
    return lossy_is_cut();
}

/* What was found of the steps: how many, the last, and whether each is what it was. */
struct seen {
    int64_t n, first, last;
    bool right;
};

static void see(struct seen *s, int64_t step, bool right)
{
    s->first = s->n == 0 || step < s->first ? step : s->first;
    s->last = step > s->last ? step : s->last;
    s->n++;
    s->right = s->right && right;
}

static bool see_decision(void *self, const struct decision_entry *d)
{
    see(self, (int64_t)d->id,
        d->t_ms == time_of((int64_t)d->id) && d->at[DECISION_REPLICAS] == (int64_t)d->id);
    return true;
}

static bool see_sample(void *self, const struct sample *s)
{
    see(self, (s->t_ms - time_of(0)) / SAMPLES_STEP_MS,
        s->t_ms == time_of(s->at[SAMPLE_PAID]) && s->merged == 0);
    return true;
}

static bool see_event(void *self, const struct event *event)
{
    (void)self;
    (void)event;
    return true;
}

/* All of `steps`, from the first that was not forgotten. */
static bool complete(const struct seen *s, int64_t steps, int64_t forgotten)
{
    return s->right && s->last == steps && (s->n == 0 || s->n == s->last - s->first + 1) &&
           (steps == 0 || s->first <= (forgotten > 0 ? forgotten + 1 : 1));
}

enum verdict { WHOLE, LOST, DAMAGED };

/* Looks at what the power left. What was tried last is then either acknowledged or forgotten. */
static enum verdict judge(struct owed *o, const struct db_options *options, struct err *err)
{
    struct seen decisions = {.right = true}, samples = {.right = true};
    const struct decisions_filter all = {0};
    struct history h = {0};
    struct chunks_totals totals;
    int64_t damaged = 0;
    bool ok = history_open(options, &h, err) && db_integrity(h.db, err) &&
              decisions_each(h.decisions, &all, see_decision, &decisions, err) &&
              samples_each(h.samples, SV("miner"), 0, INT64_MAX, see_sample, &samples, err) &&
              chunks_totals(h.chunks, &totals, err) &&
              chunks_read(h.chunks, 0, INT64_MAX, see_event, NULL, &damaged, err);

    history_close(&h);
    if (!ok || damaged != 0)
        return DAMAGED;
    if (decisions.last != o->steps && decisions.last == o->tried) {
        o->steps = o->tried;
        o->events = o->events_tried;
    }
    if (complete(&decisions, o->steps, o->forgotten) &&
        complete(&samples, o->steps, o->forgotten) && totals.events == o->events)
        return WHOLE;
    (void)err_set(err, ERR_STORAGE, 0,
                  "%lld steps and %lld events were acknowledged; decisions %lld (%lld to %lld), "
                  "samples %lld (%lld to %lld), %lld events",
                  (long long)o->steps, (long long)o->events, (long long)decisions.n,
                  (long long)decisions.first, (long long)decisions.last, (long long)samples.n,
                  (long long)samples.first, (long long)samples.last, (long long)totals.events);
    return LOST;
}

/* Some cuts come while a file is made or opened, some long after. */
static int64_t next_cut(struct random *r)
{
    static const int64_t longest[] = {8, 60, 400, 2000};

    return random_in(r, 1, longest[random_in(r, 0, COUNT_OF(longest) - 1)]);
}

static void look_with_system(const struct folder *f, const struct owed *owed, int cut)
{
    const struct db_options options = {.path = f->file};
    struct owed copy = *owed;
    struct err err = {0};

    lossy_copy_out(path, f->file);
    cr_assert_eq(judge(&copy, &options, &err), WHOLE, "cut %d, through the system: %s", cut,
                 err.text);
}

struct tally {
    int cuts, lost, damaged;
};

/* Cuts the power `cuts` times; ends at the first failure unless a `pragma` makes them likely. */
static struct tally cut_often(const char *test, int cuts, const char *pragma)
{
    const struct db_options options = {.path = path, .vfs = LOSSY_VFS};
    struct folder f = folder_new();
    struct owed owed = {0};
    struct tally tally = {0};
    static struct life l;
    struct random r;
    bool fresh = true;

    memset(&l, 0, sizeof l);
    world_init(&l.world, test);
    r = l.world.random;
    l.random = &r;
    l.owed = &owed;
    l.pragma = pragma;
    while (tally.cuts < cuts) {
        struct err err = {0};
        enum verdict verdict;

        if (fresh || tally.cuts % FRESH_EVERY == 0) {
            lossy_start(random_u64(&r), random_percent(&r, 50) ? 512 : 4096);
            owed = (struct owed){0};
        }
        lossy_cut_after(next_cut(&r));
        if (!live(&l)) {
            fresh = false;
            continue;
        }
        tally.cuts++;
        lossy_power_on();
        if (pragma == NULL && tally.cuts % LOOK_EVERY == 0)
            look_with_system(&f, &owed, tally.cuts);
        verdict = judge(&owed, &options, &err);
        fresh = verdict != WHOLE;
        tally.lost += verdict == LOST;
        tally.damaged += verdict == DAMAGED;
        cr_assert(!fresh || pragma != NULL, "cut %d: %s", tally.cuts, err.text);
    }
    begin_journal(&l);
    world_done(&l.world);
    for (size_t i = 0; i < l.pieces.n; i++)
        free(l.pieces.at[i]);
    lossy_done();
    folder_done(&f);
    return tally;
}

Test(power, what_was_acknowledged_is_there_after_a_thousand_cuts)
{
    struct tally t = cut_often("power", CUTS, NULL);

    cr_assert(t.cuts == CUTS && t.lost == 0 && t.damaged == 0);
}

/* What the disk above takes away is what synchronous=FULL guards against. */
Test(power, less_syncing_would_lose_what_was_acknowledged)
{
    struct tally normal = cut_often("power, NORMAL", 60, "PRAGMA synchronous=NORMAL");
    struct tally off = cut_often("power, OFF", 60, "PRAGMA synchronous=OFF");

    cr_assert(normal.lost > 0 && normal.damaged == 0, "%d lost, %d damaged", normal.lost,
              normal.damaged);
    cr_assert_gt(off.damaged, 0);
}

/* The power goes while the disk thread writes: what had left its queue is there. */
static int64_t write_until_cut(const char *file, int64_t from)
{
    const struct writer_options options = {.path = file, .vfs = LOSSY_VFS, .interval_us = 1000};
    struct writer_status status = {0};
    struct err err = {0};
    struct writer *w;
    int64_t acknowledged = from;

    cr_assert(writer_start(&options, &w, &err), "%s", err.text);
    (void)writer_first_id(w, INT64_C(10000000));
    for (int64_t id = from + 1; !lossy_is_cut(); id++) {
        struct decision_entry d = {
            .id = (uint64_t)id, .policy = "miner", .t_ms = id, .at = {[DECISION_REPLICAS] = id}};

        writer_decision(w, &d);
        do {
            (void)usleep(200);
            writer_status(w, &status);
        } while (status.queued != 0 && !lossy_is_cut());
        if (status.queued == 0)
            acknowledged = id;
    }
    cr_assert(writer_stop(w));
    return acknowledged;
}

Test(power, what_the_writer_acknowledged_is_there)
{
    struct folder f = folder_new();
    const struct db_options options = {.path = f.file, .vfs = LOSSY_VFS};
    struct random r = random_start("power, writer");
    int64_t last = 0;

    lossy_start(random_u64(&r), 4096);
    for (int cut = 0; cut < 50; cut++) {
        struct err err = {0};
        struct history h = {0};
        uint64_t found = 0;
        int64_t acknowledged;

        lossy_cut_after(random_in(&r, 1, 150));
        acknowledged = write_until_cut(f.file, last);
        lossy_power_on();
        cr_assert(history_open(&options, &h, &err) && db_integrity(h.db, &err) &&
                      decisions_last_id(h.decisions, &found, &err),
                  "cut %d: %s", cut, err.text);
        history_close(&h);
        cr_assert((int64_t)found >= acknowledged && (int64_t)found <= acknowledged + 1,
                  "cut %d: %lld acknowledged, %llu found", cut, (long long)acknowledged,
                  (unsigned long long)found);
        last = (int64_t)found;
    }
    lossy_done();
    folder_done(&f);
}
