#include "storage/queue.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#include "base/alloc.h"

static struct queue_item item(int number, size_t bytes)
{
    int *data = xmalloc(sizeof *data);

    *data = number;
    return (struct queue_item){.kind = number % 3, .bytes = bytes, .data = data};
}

Test(queue, keeps_order_and_limits)
{
    struct queue *q = queue_new(4, 100);
    struct queue_item extra = item(9, 0);

    for (int i = 0; i < 4; i++)
        cr_assert(queue_push(q, item(i, 20)));
    cr_assert_eq(queue_len(q), 4);
    cr_assert_eq(queue_room(q), 20);
    cr_assert_not(queue_push(q, extra), "no slot");
    for (int i = 0; i < 4; i++)
        cr_assert_eq(*(int *)queue_peek(q, (size_t)i).data, i);
    cr_assert_eq(queue_len(q), 4, "peeking takes nothing");
    queue_pop(q, 2);
    cr_assert_eq(*(int *)queue_peek(q, 0).data, 2);
    cr_assert_eq(queue_room(q), 60);
    extra.bytes = 61;
    cr_assert_not(queue_push(q, extra), "no bytes");
    extra.bytes = 60;
    cr_assert(queue_push(q, extra));
    cr_assert_eq(queue_room(q), 0);
    queue_free(q);
    queue_free(NULL);
}

enum { MANY = 200000 };

static void *push_many(void *self)
{
    for (int i = 0; i < MANY; i++) {
        struct queue_item it = item(i, 1);

        while (!queue_push(self, it))
            (void)sched_yield();
    }
    return NULL;
}

Test(queue, loses_and_doubles_nothing_between_two_threads)
{
    struct queue *q = queue_new(64, 50);
    pthread_t thread;
    int next = 0;

    cr_assert_eq(pthread_create(&thread, NULL, push_many, q), 0);
    while (next < MANY) {
        size_t n = queue_len(q);

        cr_assert_leq(n, 50);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(*(int *)queue_peek(q, i).data, next++);
        queue_pop(q, n);
        if (n == 0)
            (void)sched_yield();
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(queue_len(q), 0);
    cr_assert_eq(queue_room(q), 50);
    queue_free(q);
}
