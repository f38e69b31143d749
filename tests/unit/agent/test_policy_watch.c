#include "agent/policy_watch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"

/* ---- the set ---- */

static void add_policy(struct policy_list *list, const char *name, const char *target)
{
    struct strbuf text;
    struct err err = {0};

    strbuf_init(&text, 4096);
    (void)strbuf_addf(&text,
                      "{apiVersion: brim.dev/v1, kind: FillerPolicy, metadata: {name: %s}, spec: "
                      "{target: {apiVersion: apps/v1, kind: Deployment, namespace: f, name: %s}, "
                      "replicas: {max: 1}}}",
                      name, target);
    cr_assert(policy_read(SV("p.yaml"), strbuf_sv(&text), list, &err), "%s", err.text);
    strbuf_done(&text);
}

/* Names of the set, the vanished in brackets. */
static const char *show(const struct policy_set *set)
{
    static char shown[256];
    size_t len = 0;

    shown[0] = '\0';
    for (size_t i = 0; i < set->len; i++)
        len += (size_t)snprintf(shown + len, sizeof shown - len,
                                set->at[i].present ? "%s%.*s" : "%s(%.*s)", i != 0 ? " " : "",
                                SV_ARG(set->at[i].policy->name));
    return shown;
}

/* The next set out of names, each its own target too; "old>new": a new name for old's target. */
static void step(struct policy_set *set, const char *names, int64_t at_s)
{
    struct policy_list list = {0};
    struct sv rest = sv_from(names), word;
    struct policy_set before = *set;

    while (sv_next(&rest, ' ', &word)) {
        struct sv old = word, new = word;
        CLEANUP(free_ptr) char *name = NULL, *target = NULL;

        (void)sv_cut(word, '>', &old, &new);
        name = sv_dup(new);
        target = sv_dup(old);
        add_policy(&list, name, target);
    }
    *set = policy_set_after(&before, &list, POLICY_SET_HOLD_US, (struct mono){at_s * US_PER_S});
    cr_assert_eq(list.len, 0);
    policy_set_done(&before);
}

Test(policy_set, holds_what_vanishes_for_five_minutes)
{
    static const struct {
        const char *names;
        int64_t at_s;
        const char *want;
        int64_t wake_s; /* -1: none */
    } rows[] = {
        {"a b", 0, "a b", -1},
        {"b", 10, "b (a)", 310},
        {"b", 309, "b (a)", 310},
        {"b a", 309, "b a", -1}, /* it comes back */
        {"b", 400, "b (a)", 700},
        {"", 500, "(b) (a)", 700},
        {"", 700, "(b)", 800},
        {"c", 799, "c (b)", 800},
        {"c", 800, "c", -1},
        {"c>d", 900, "d", -1}, /* its target has another policy: it leaves at once */
        {"", 1000, "(d)", 1300},
        {"d>e", 1001, "e (d)", 1300}, /* another target, d was c's */
        {"", 99999, "(e)", 100299},
    };
    struct policy_set set = {0};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mono wake = {-US_PER_S};

        step(&set, rows[i].names, rows[i].at_s);
        cr_assert_str_eq(show(&set), rows[i].want, "row %zu: %s", i, show(&set));
        cr_assert_eq(policy_set_wake(&set, POLICY_SET_HOLD_US, &wake), rows[i].wake_s >= 0);
        cr_assert_eq(wake.us, rows[i].wake_s * US_PER_S, "row %zu", i);
    }
    policy_set_done(&set);
}

/* As many policies as numbers from `from` to before `end`. */
static void add_many(struct policy_list *list, int from, int end)
{
    char name[16];

    for (int i = from; i < end; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        add_policy(list, name, name);
    }
}

Test(policy_set, counts_what_is_held_among_what_may_be_in_force_together)
{
    static const struct {
        const char *name;
        int from, end;
        int64_t at_s;
        const char *want; /* NULL: it fits */
    } rows[] = {
        {"the same", 0, 30, 0, NULL},
        {"two more", 0, 32, 0, NULL},
        {"three more", 0, 33, 0, "found 33 policies beside 0 that"},
        {"two others for two", 2, 32, 0, NULL},
        {"three others for three", 3, 33, 0, "found 30 policies beside 3 that"},
        {"all others", 100, 130, 0, "found 30 policies beside 30 that"},
        {"one that vanished is held", 1, 32, 0, NULL},
        {"for long enough", 2, 34, 299, "found 32 policies beside 2 that"},
    };
    struct policy_set before = {0}, set;
    struct policy_list list = {0};

    add_many(&list, 0, 30);
    set = policy_set_after(&before, &list, POLICY_SET_HOLD_US, (struct mono){0});
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        bool fits;

        add_many(&list, rows[i].from, rows[i].end);
        fits = policy_set_fits(&set, &list, POLICY_SET_HOLD_US,
                               (struct mono){rows[i].at_s * US_PER_S}, &err);
        cr_expect_eq(fits, rows[i].want == NULL, "%s: %s", rows[i].name, err.text);
        if (rows[i].want != NULL)
            cr_expect(sv_starts(sv_from(err.text), sv_from(rows[i].want)), "%s: %s", rows[i].name,
                      err.text);
        policy_list_done(&list);
    }
    before = set;
    set = policy_set_after(&before, &list, POLICY_SET_HOLD_US, (struct mono){0});
    policy_set_done(&before);
    add_many(&list, 50, 60);
    cr_expect_not(policy_set_fits(&set, &list, POLICY_SET_HOLD_US,
                                  (struct mono){POLICY_SET_HOLD_US - 1}, NULL));
    cr_expect(
        policy_set_fits(&set, &list, POLICY_SET_HOLD_US, (struct mono){POLICY_SET_HOLD_US}, NULL));
    policy_list_done(&list);
    policy_set_done(&set);
}

/* ---- the watch ---- */

struct world {
    char dir[256];
    struct loop *loop;
    struct loop_timer *patience;
    struct policy_watch *watch;
    struct strbuf told; /* one line a call of the handler */
    size_t want;        /* bytes of it, to stop at */
    bool late;
};

enum { PATIENCE_S = 30 }; /* far more than anything takes; the test then fails */

static void tell(struct world *w, const char *what, const char *rest)
{
    (void)strbuf_addf(&w->told, "%s %s\n", what, rest);
    if (w->want != 0 && w->told.len >= w->want)
        loop_stop(w->loop);
}

static void on_changed(void *self, const struct policy_set *set, const struct err *broken)
{
    tell(self, broken != NULL ? "old set" : "set", show(set));
}

static void on_broken(void *self, const struct err *err)
{
    const char *name = strrchr(err->text, '/');

    tell(self, "broken", name != NULL ? name + 1 : err->text);
}

static void on_keep(void *self, const struct policy_texts *texts)
{
    char n[32];

    (void)snprintf(n, sizeof n, "%zu", texts->len);
    tell(self, "keep", n);
}

static void on_late(void *self)
{
    struct world *w = self;

    w->late = true;
    loop_stop(w->loop);
}

/* Whole at once, by a rename: the watch may look at any moment. */
static void write_file(const struct world *w, const char *name, const char *text)
{
    char path[512], next[512];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", w->dir, name);
    (void)snprintf(next, sizeof next, "%s/.next", w->dir);
    file = fopen(next, "we");
    cr_assert_not_null(file, "%s", next);
    cr_assert(fputs(text, file) >= 0 && fclose(file) == 0);
    cr_assert_eq(rename(next, path), 0);
}

static void remove_file(const struct world *w, const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", w->dir, name);
    cr_assert_eq(unlink(path), 0, "%s", path);
}

#define POLICY(name)                                                                               \
    "{apiVersion: brim.dev/v1, kind: FillerPolicy, metadata: {name: " name                         \
    "}, spec: {target: {apiVersion: apps/v1, kind: Deployment, namespace: f, name: " name          \
    "}, replicas: {max: 1}}}\n"

static void world_new(struct world *w)
{
    const char *tmp = getenv("TMPDIR");

    *w = (struct world){.loop = loop_new()};
    (void)snprintf(w->dir, sizeof w->dir, "%s/brim-policies-XXXXXX", tmp != NULL ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(w->dir));
    w->patience = loop_timer_new(w->loop, on_late, w);
    strbuf_init(&w->told, 1 << 16);
}

static void begin(struct world *w, const char *path, const struct policy_texts *stored,
                  int64_t hold_us, bool poll)
{
    const struct policy_watch_handler handler = {on_changed, on_broken, on_keep, w};
    struct policy_watch_options options = policy_watch_options_default(path);

    options.hold_us = hold_us;
    options.poll = poll;
    options.poll_us = 20 * US_PER_MS;
    options.quiet_us = 20 * US_PER_MS;
    w->watch = policy_watch_new(w->loop, &options, stored, &handler);
}

/* The loop runs until the handler was told as much as this, and it was just this. */
static void expect(struct world *w, const char *told)
{
    w->want = strlen(told);
    loop_timer_set(w->patience, PATIENCE_S * US_PER_S);
    if (w->told.len < w->want)
        loop_run(w->loop);
    loop_timer_stop(w->patience);
    cr_assert(!w->late, "told only: %s", strbuf_str(&w->told));
    cr_assert_str_eq(strbuf_str(&w->told), told, "told: %s", strbuf_str(&w->told));
    strbuf_clear(&w->told);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void world_done(struct world *w)
{
    policy_watch_free(w->watch);
    loop_timer_free(w->patience);
    loop_free(w->loop);
    strbuf_done(&w->told);
    (void)nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void follow_files(bool poll)
{
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    write_file(&w, ".hidden.yaml", "broken");
    write_file(&w, "README", "broken");
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, poll);
    expect(&w, "set a\nkeep 1\n");

    write_file(&w, "b.yaml", POLICY("b"));
    expect(&w, "set a b\nkeep 2\n");

    write_file(&w, "b.yaml", "{apiVersion: brim.dev/v1, kind: Filler");
    expect(&w, "broken b.yaml:2:1: did not find expected ',' or '}', while parsing a flow mapping "
               "that began at 1:1\n");
    cr_assert_str_eq(show(policy_watch_set(w.watch)), "a b", "a broken file replaces nothing");
    cr_assert_not_null(policy_watch_error(w.watch));

    write_file(&w, "b.yaml", POLICY("b"));
    expect(&w, "set a b\n");
    cr_assert_null(policy_watch_error(w.watch));

    remove_file(&w, "b.yaml");
    expect(&w, "set a (b)\nkeep 1\n");
    write_file(&w, "c.yml", POLICY("b"));
    expect(&w, "set a b\nkeep 2\n");
    world_done(&w);
}

/* The half that is there is reported, the whole is taken. */
Test(policy_watch, waits_for_the_other_half_of_a_file)
{
    static const char whole[] = POLICY("b");
    enum { HALF = 47 }; /* behind the kind */
    char half[HALF + 1] = {0}, path[300];
    struct world w;
    FILE *file;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a\nkeep 1\n");
    memcpy(half, whole, HALF);
    write_file(&w, "a.yaml", half);
    expect(&w, "broken a.yaml:2:1: did not find expected ',' or '}', while parsing a flow mapping "
               "that began at 1:1\n");
    cr_assert_str_eq(show(policy_watch_set(w.watch)), "a");
    (void)snprintf(path, sizeof path, "%s/a.yaml", w.dir);
    file = fopen(path, "ae");
    cr_assert(file != NULL && fputs(whole + HALF, file) >= 0 && fclose(file) == 0);
    expect(&w, "set b (a)\nkeep 1\n");
    world_done(&w);
}

Test(policy_watch, follows_the_files)
{
    follow_files(false);
}

Test(policy_watch, follows_them_without_inotify_too)
{
    follow_files(true);
}

/* As the kubelet does it: files are links through ..data, which is swapped by a rename. */
static void publish(const struct world *w, const char *version, const char *a, const char *b)
{
    char path[512], link[512];

    (void)snprintf(path, sizeof path, "%s/%s", w->dir, version);
    cr_assert_eq(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/a.yaml", version);
    write_file(w, path, a);
    (void)snprintf(path, sizeof path, "%s/b.yaml", version);
    write_file(w, path, b);
    (void)snprintf(path, sizeof path, "%s/..data_tmp", w->dir);
    (void)snprintf(link, sizeof link, "%s/..data", w->dir);
    cr_assert(symlink(version, path) == 0 && rename(path, link) == 0);
}

Test(policy_watch, follows_the_swap_of_a_config_map)
{
    struct world w;
    char path[512];

    world_new(&w);
    publish(&w, "..1", POLICY("a"), POLICY("b"));
    (void)snprintf(path, sizeof path, "%s/a.yaml", w.dir);
    cr_assert_eq(symlink("..data/a.yaml", path), 0);
    (void)snprintf(path, sizeof path, "%s/b.yaml", w.dir);
    cr_assert_eq(symlink("..data/b.yaml", path), 0);
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a b\nkeep 2\n");
    /* The two change places: half of each would clash. */
    publish(&w, "..2", POLICY("b"), POLICY("a"));
    expect(&w, "set b a\nkeep 2\n");
    publish(&w, "..3", POLICY("b"), POLICY("b"));
    expect(&w, "broken a.yaml:1:64: b\n");
    cr_assert_str_eq(show(policy_watch_set(w.watch)), "b a");
    world_done(&w);
}

Test(policy_watch, takes_what_was_stored_while_the_files_are_broken)
{
    struct policy_texts stored = {0};
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", "oh");
    policy_texts_add(&stored, SV("a.yaml"), SV(POLICY("a")));
    begin(&w, w.dir, &stored, POLICY_SET_HOLD_US, false);
    expect(&w, "broken a.yaml:1:1: found oh, expected a mapping\nold set a\n");
    write_file(&w, "a.yaml", POLICY("b"));
    expect(&w, "set b (a)\nkeep 1\n");
    policy_texts_done(&stored);
    world_done(&w);
}

Test(policy_watch, begins_empty_where_nothing_is_good)
{
    struct policy_texts stored = {0};
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", "oh");
    policy_texts_add(&stored, SV("a.yaml"), SV("oh"));
    begin(&w, w.dir, &stored, POLICY_SET_HOLD_US, false);
    expect(&w, "broken a.yaml:1:1: found oh, expected a mapping\n");
    cr_assert_eq(policy_watch_set(w.watch)->len, 0);
    policy_texts_done(&stored);
    world_done(&w);
}

Test(policy_watch, lets_go_when_the_hold_is_over)
{
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    write_file(&w, "b.yaml", POLICY("b"));
    begin(&w, w.dir, NULL, 100 * US_PER_MS, false);
    expect(&w, "set a b\nkeep 2\n");
    remove_file(&w, "b.yaml");
    expect(&w, "set a (b)\nkeep 1\nset a\n");
    world_done(&w);
}

/* The directory is taken away, as in an unmount, and comes back. */
static void write_many(const struct world *w, const char *file, int from, int end)
{
    struct strbuf text;

    strbuf_init(&text, 1 << 16);
    for (int i = from; i < end; i++)
        (void)strbuf_addf(
            &text,
            "---\n{apiVersion: brim.dev/v1, kind: FillerPolicy, metadata: {name: p%d}, "
            "spec: {target: {apiVersion: apps/v1, kind: Deployment, namespace: f, "
            "name: p%d}, replicas: {max: 1}}}\n",
            i, i);
    write_file(w, file, strbuf_str(&text));
    strbuf_done(&text);
}

Test(policy_watch, one_policy_too_many_replaces_nothing)
{
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a\nkeep 1\n");
    write_many(&w, "many.yaml", 0, 32);
    expect(&w, "broken many.yaml:64:64: found 33 policies together, of which this is number 33, "
               "expected at most 32\n");
    cr_assert_str_eq(show(policy_watch_set(w.watch)), "a");
    world_done(&w);
}

Test(policy_watch, what_is_too_many_beside_the_held_is_taken_when_they_are_let_go)
{
    struct world w;
    const char *text;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, w.dir, NULL, US_PER_S, false);
    expect(&w, "set a\nkeep 1\n");
    remove_file(&w, "a.yaml");
    expect(&w, "set (a)\nkeep 0\n");
    write_many(&w, "many.yaml", 0, 32);
    loop_timer_set(w.patience, PATIENCE_S * US_PER_S);
    while (policy_watch_set(w.watch)->len != 32 && !w.late) {
        w.want = w.told.len + 1;
        loop_run(w.loop);
    }
    cr_assert_not(w.late, "told only: %s", strbuf_str(&w.told));
    /* The machine may have slept through the hold. */
    text = strbuf_str(&w.told);
    cr_assert(strstr(text, "found 32 policies beside 1 that") != NULL ||
                  sv_starts(sv_from(text), SV("set \n")),
              "%s", text);
    cr_assert_eq(policy_watch_set(w.watch)->len, 32);
    cr_assert_null(policy_watch_error(w.watch));
    world_done(&w);
}

Test(policy_watch, tells_whose_file_changed)
{
    struct world w;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    write_file(&w, "b.yaml", POLICY("b"));
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a b\nkeep 2\n");
    write_file(&w, "b.yaml", "# another text\n" POLICY("b"));
    expect(&w, "set a b\nkeep 2\n");
    cr_assert_not(policy_watch_set(w.watch)->at[0].changed);
    cr_assert(policy_watch_set(w.watch)->at[1].changed);
    remove_file(&w, "a.yaml");
    expect(&w, "set b (a)\nkeep 1\n");
    cr_assert_not(policy_watch_set(w.watch)->at[0].changed);
    cr_assert_not(policy_watch_set(w.watch)->at[1].changed);
    world_done(&w);
}

Test(policy_watch, finds_a_directory_that_comes_late_and_goes)
{
    struct world w;
    char path[300], away[300];

    world_new(&w);
    (void)snprintf(path, sizeof path, "%s/mount", w.dir);
    (void)snprintf(away, sizeof away, "%s/away", w.dir);
    begin(&w, path, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "broken mount: No such file or directory\n");
    cr_assert_eq(mkdir(away, 0755), 0);
    write_file(&w, "away/a.yaml", POLICY("a"));
    cr_assert_eq(rename(away, path), 0);
    expect(&w, "set a\nkeep 1\n");
    write_file(&w, "mount/a.yaml", POLICY("b"));
    expect(&w, "set b (a)\nkeep 1\n");
    cr_assert_eq(rename(path, away), 0);
    expect(&w, "broken mount: No such file or directory\n");
    cr_assert_str_eq(show(policy_watch_set(w.watch)), "b (a)");
    cr_assert_eq(rename(away, path), 0);
    expect(&w, "set b (a)\n");
    world_done(&w);
}

Test(policy_watch, follows_a_single_file)
{
    struct world w;
    char path[300], next[300];

    world_new(&w);
    (void)snprintf(path, sizeof path, "%s/a.yaml", w.dir);
    (void)snprintf(next, sizeof next, "%s/next", w.dir);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, path, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a\nkeep 1\n");
    write_file(&w, "next", POLICY("b"));
    cr_assert_eq(rename(next, path), 0);
    expect(&w, "set b (a)\nkeep 1\n");
    world_done(&w);
}

/* Somebody writes files of the directory without end, on a thread of its own: two by turns, as
 * events that are alike are one. */
struct writer {
    pthread_t thread;
    char paths[2][300];
    atomic_bool ending;
    atomic_llong times;
};

static void *write_on(void *self)
{
    struct writer *r = self;

    while (!atomic_load(&r->ending)) {
        for (int i = 0; i < 2; i++) {
            int fd = open(r->paths[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

            if (fd >= 0)
                (void)close(fd);
        }
        atomic_fetch_add(&r->times, 2);
    }
    return NULL;
}

static void writer_begin(struct writer *r, const struct world *w)
{
    *r = (struct writer){.times = 0};
    for (int i = 0; i < 2; i++)
        (void)snprintf(r->paths[i], sizeof r->paths[i], "%s/written%d", w->dir, i);
    cr_assert_eq(pthread_create(&r->thread, NULL, write_on, r), 0);
}

static void writer_end(struct writer *r)
{
    atomic_store(&r->ending, true);
    cr_assert_eq(pthread_join(r->thread, NULL), 0);
}

static void count_turn(void *self)
{
    ++*(int64_t *)self;
}

Test(policy_watch, who_writes_without_end_keeps_it_neither_from_reading_nor_busy)
{
    struct writer writer;
    struct world w;
    int64_t turns = 0, pauses;
    struct mono began;

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a\nkeep 1\n");
    writer_begin(&writer, &w);
    loop_at_turn(w.loop, count_turn, &turns);
    began = loop_fresh(w.loop);
    for (int i = 0; i < 3; i++) {
        write_file(&w, "b.yaml", POLICY("b"));
        expect(&w, "set a b\nkeep 2\n");
        remove_file(&w, "b.yaml");
        expect(&w, "set a (b)\nkeep 1\n");
    }
    pauses = mono_since_us(began, loop_fresh(w.loop)) / (20 * US_PER_MS);
    cr_expect_leq(turns, 3 * pauses + 40, "%lld turns in %lld pauses", (long long)turns,
                  (long long)pauses);
    writer_end(&writer);
    cr_expect_gt(writer.times, turns, "it was written seldom");
    world_done(&w);
}

Test(policy_watch, finds_its_directory_again_though_events_were_lost)
{
    struct writer writer;
    struct world w;
    char moved[300];

    world_new(&w);
    write_file(&w, "a.yaml", POLICY("a"));
    begin(&w, w.dir, NULL, POLICY_SET_HOLD_US, false);
    expect(&w, "set a\nkeep 1\n");
    /* More events than the kernel keeps, the move among the lost. */
    writer_begin(&writer, &w);
    while (atomic_load(&writer.times) < 40000)
        (void)usleep(1000);
    writer_end(&writer);
    (void)snprintf(moved, sizeof moved, "%s-moved", w.dir);
    cr_assert_eq(rename(w.dir, moved), 0);
    cr_assert_eq(mkdir(w.dir, 0700), 0);
    write_file(&w, "b.yaml", POLICY("b"));
    expect(&w, "set b (a)\nkeep 1\n");
    write_file(&w, "a.yaml", POLICY("a"));
    expect(&w, "set a b\nkeep 2\n");
    world_done(&w);
    (void)nftw(moved, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
