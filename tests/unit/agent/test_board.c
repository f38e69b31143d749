#include "agent/board.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"

#define EVERY_US (1 * US_PER_S)
#define ASKED_US (10 * US_PER_S)

static int freed;

static void value_free(struct board_value *v)
{
    freed++;
    free(v);
}

static struct board_value *value(int64_t at_us)
{
    struct board_value *v = xcalloc(1, sizeof *v);

    board_value_init(v, value_free);
    v->at.us = at_us;
    return v;
}

static struct mono s(int64_t seconds)
{
    return (struct mono){seconds * US_PER_S};
}

Test(board, wants_a_value_only_while_somebody_asks)
{
    struct board *b = board_new(EVERY_US, ASKED_US);

    cr_expect(!board_due(b, s(0)), "nobody has asked");
    cr_expect_null(board_ask(b, s(100)));
    cr_expect(board_due(b, s(101)));
    board_set(b, value(s(101).us));
    cr_expect(!board_due(b, (struct mono){s(102).us - 1}));
    cr_expect(board_due(b, s(102)));
    cr_expect(board_due(b, s(110)));
    cr_expect_not_null(board_newest(b));
    cr_expect(!board_due(b, s(111)), "asked 11 s ago");
    cr_expect_null(board_newest(b));
    cr_expect_eq(freed, 1);
    board_free(b);
    board_free(NULL);
}

Test(board, frees_on_the_loops_side_alone)
{
    struct board *b = board_new(EVERY_US, ASKED_US);
    struct board_value *held;

    board_set(b, value(0));
    held = board_ask(b, s(0));
    board_set(b, value(1));
    cr_expect_eq(freed, 0, "somebody holds it");
    board_value_unref(held);
    cr_expect_eq(freed, 0, "given back, and the loop did not come by yet");
    (void)board_due(b, s(1));
    cr_expect_eq(freed, 1);
    board_free(b);
    cr_expect_eq(freed, 2);
    board_value_unref(value(0));
    cr_expect_eq(freed, 3, "one that hung nowhere goes at once");
}

struct rung {
    int rings, told[3];
    struct board_waiter w[3];
};

static void ring(void *self)
{
    ((struct rung *)self)->rings++;
}

static void count(void *self)
{
    ++*(int *)self;
}

static void wait_all(struct board *b, struct rung *r)
{
    board_on_wait(b, ring, r);
    for (int i = 0; i < 3; i++) {
        r->w[i] = (struct board_waiter){.done = count, .self = &r->told[i], .since = s(i)};
        cr_assert(board_wait(b, &r->w[i]));
    }
    cr_assert_eq(r->rings, 3);
}

Test(board, tells_all_who_wait_once_there_is_something)
{
    struct board *b = board_new(EVERY_US, ASKED_US);
    struct rung r = {0};

    cr_expect(!board_wait(b, &r.w[0]), "there is no bell");
    wait_all(b, &r);
    board_set(b, value(0));
    board_set(b, value(1));
    for (int i = 0; i < 3; i++)
        cr_expect_eq(r.told[i], 1, "%d: %d", i, r.told[i]);
    cr_expect(!board_wait(b, &r.w[0]), "there is something");
    cr_expect_eq(r.rings, 3);
    board_free(b);
}

Test(board, lets_nobody_wait_for_long_nor_at_the_end)
{
    struct board *b = board_new(EVERY_US, ASKED_US);
    struct rung r = {0};

    wait_all(b, &r);
    board_expire(b, (struct mono){s(1).us + BOARD_WAIT_US - 1});
    cr_expect(r.told[0] == 1 && r.told[1] == 0 && r.told[2] == 0);
    board_expire(b, (struct mono){s(1).us + BOARD_WAIT_US});
    cr_expect(r.told[0] == 1 && r.told[1] == 1 && r.told[2] == 0);
    r.w[0].since = s(3);
    cr_expect(board_wait(b, &r.w[0]), "it may wait again, behind the others");
    board_close(b);
    cr_expect(r.told[0] == 2 && r.told[1] == 1 && r.told[2] == 1);
    cr_expect(!board_wait(b, &r.w[1]));
    board_expire(b, s(1000));
    cr_expect_eq(r.told[1], 1);
    board_free(b);
}

enum { ROUNDS = 20000 };

static void *reader(void *self)
{
    struct board *b = self;

    for (int i = 0; i < ROUNDS; i++) {
        struct board_value *v = board_ask(b, s(i));

        cr_assert(v == NULL || atomic_load(&v->refs) > 0);
        board_value_unref(v);
    }
    return NULL;
}

Test(board, is_read_while_it_changes, .timeout = 60)
{
    struct board *b = board_new(0, INT64_MAX / 4);
    pthread_t threads[2];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, reader, b), 0);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 64 == 63)
            board_clear(b);
        else
            board_set(b, value(i));
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        (void)pthread_join(threads[i], NULL);
    board_free(b);
    cr_expect_eq(freed, ROUNDS - ROUNDS / 64);
}
