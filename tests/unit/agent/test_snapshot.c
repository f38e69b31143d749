#include <criterion/criterion.h>
#include <pthread.h>

#include "agent/snapshot.h"

Test(snapshot, starts_zeroed_with_one_reference)
{
    struct snapshot *s = snapshot_new(3);

    cr_expect_eq(s->n_fillers, 3);
    cr_expect_eq(atomic_load(&s->refs), 1);
    cr_expect(!s->ready && s->fillers[2].policy[0] == '\0' && s->fillers[2].n_decisions == 0);
    cr_expect_eq(snapshot_ref(s), s);
    cr_expect_eq(atomic_load(&s->refs), 2);
    snapshot_unref(s);
    snapshot_unref(s);
    snapshot_unref(NULL);
}

Test(snapshot, slot_hands_out_the_newest_and_frees_what_nobody_holds)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    struct snapshot *held, *newer = snapshot_new(1);

    cr_expect_null(snapshot_slot_get(slot));
    snapshot_slot_set(slot, snapshot_new(0));
    held = snapshot_slot_get(slot);
    cr_expect_eq(atomic_load(&held->refs), 2);
    snapshot_slot_set(slot, newer);
    cr_expect_eq(atomic_load(&held->refs), 1, "the slot let go of the older one");
    cr_expect_eq(held->n_fillers, 0, "and the reader still has it whole");
    snapshot_unref(held);
    snapshot_slot_free(slot);
    snapshot_slot_free(NULL);
}

enum { ROUNDS = 20000 };

static void *reader(void *self)
{
    struct snapshot_slot *slot = self;
    int64_t last = 0;

    while (last < ROUNDS) {
        struct snapshot *s = snapshot_slot_get(slot);

        if (s == NULL)
            continue;
        if (s->nodes < last || s->nodes != s->pods)
            return self; /* went back in time, or saw half of one */
        last = s->nodes;
        snapshot_unref(s);
    }
    return NULL;
}

Test(snapshot, readers_see_whole_snapshots_in_order_while_the_writer_swaps)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    pthread_t thread[2];
    void *failed;

    for (size_t i = 0; i < COUNT_OF(thread); i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, reader, slot), 0);
    for (int64_t n = 1; n <= ROUNDS; n++) {
        struct snapshot *s = snapshot_new(0);

        s->nodes = s->pods = n;
        snapshot_slot_set(slot, s);
    }
    for (size_t i = 0; i < COUNT_OF(thread); i++) {
        cr_assert_eq(pthread_join(thread[i], &failed), 0);
        cr_expect_null(failed);
    }
    snapshot_slot_free(slot);
}
