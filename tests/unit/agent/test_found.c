#include "agent/found.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/storage/folder.h"

/* Each agent is a writer of the same file, one after the other. */
struct agent {
    struct writer *writer;
    struct found *found;
};

static void agent_start(struct agent *a, const struct folder *f)
{
    const struct writer_options options = {.path = f->file};
    struct err err = {0};

    cr_assert(writer_start(&options, &a->writer, &err), "%s", err.text);
    a->found = found_new(a->writer);
}

static void agent_stop(struct agent *a)
{
    cr_assert(writer_stop(a->writer));
    found_free(a->found);
}

static void answered(void *self, struct history *history UNUSED, const struct err *why_not UNUSED)
{
    atomic_bool *done = self;

    atomic_store(done, true);
}

static void keep(struct agent *a, uint64_t uid, int64_t replicas)
{
    const struct policies_found found = {
        .policy = SV("miner"), .uid = {.lo = uid}, .replicas = replicas};
    atomic_bool done = false;

    found_keep(a->found, &found, 1);
    cr_assert(writer_ask(a->writer, answered, &done)); /* behind it */
    while (!atomic_load(&done))
        (void)sched_yield();
}

static int64_t count(struct agent *a, uint64_t uid)
{
    return found_count(a->found, SV("miner"), (struct uid){.lo = uid}, 50);
}

Test(found, what_the_first_process_found_counts_after_a_restart)
{
    struct folder f = folder_new();
    struct agent a;

    agent_start(&a, &f);
    keep(&a, 0, 3);
    cr_assert_eq(count(&a, 7), 50, "nothing was written yet");
    keep(&a, 7, 3);
    cr_assert_eq(count(&a, 7), 3);
    agent_stop(&a);
    agent_start(&a, &f);
    cr_assert_eq(count(&a, 7), 50, "nobody told yet");
    keep(&a, 0, 50);
    cr_assert_eq(count(&a, 7), 3);
    cr_assert_eq(count(&a, 8), 50, "another object");
    keep(&a, 7, 50);
    cr_assert_eq(count(&a, 7), 3);
    found_keep(a.found, NULL, 0);
    agent_stop(&a);
    folder_done(&f);
}

Test(found, without_a_history_what_this_process_found_counts)
{
    struct agent a = {.found = found_new(NULL)};
    const struct policies_found found = {.policy = SV("miner"), .uid = {.lo = 7}, .replicas = 3};

    found_keep(a.found, &found, 1);
    cr_assert_eq(count(&a, 7), 50);
    found_free(a.found);
}
