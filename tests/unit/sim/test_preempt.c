#include "tests/unit/sim/world.h"

/* A node full of pods, each of so many milli and priority, bound in this order and running at once. */
struct full {
    const char *name;
    const char *node;
    int64_t milli;
    int32_t priority;
};

static void fill(struct world *w, const struct full *rows, size_t n, double grace)
{
    for (size_t i = 0; i < n; i++) {
        struct sim_pod_spec spec = world_spec(rows[i].milli, rows[i].priority, grace);
        const struct sim_node *node = sim_node_find(w->sim, sv_from(rows[i].node));
        const struct sim_pod *pod;
        struct err err;

        spec.start_us = 0;
        cr_assert(sim_pod_create(w->sim, sv_from(rows[i].name), &spec, node, &pod, &err), "%s",
                  err.text);
        world_run(w, (double)(i + 1));
    }
}

/* Does `text`, a list of names in blanks, hold the name? */
static bool names(const char *text, const char *name)
{
    char needle[32];

    (void)snprintf(needle, sizeof needle, " %s ", name);
    return strstr(text, needle) != NULL;
}

Test(preempt, takes_whom_the_real_one_would_take)
{
    static const struct {
        const char *name;
        struct full pods[8];
        int64_t asks;
        int32_t priority;
        const char *nominated; /* "": none */
        const char *victims;
    } rows[] = {
        {"the least needed, the youngest of equals",
         {{"a", "n1", 1000, -100},
          {"b", "n1", 1000, -100},
          {"c", "n1", 2000, -100},
          {"x", "n2", 4000, 100}},
         1000,
         0,
         "n1",
         " c "},
        {"the younger go, though they are more",
         {{"a", "n1", 2000, -100},
          {"b", "n1", 1000, -100},
          {"c", "n1", 1000, -100},
          {"x", "n2", 4000, 100}},
         2000,
         0,
         "n1",
         " b c "},
        {"the lower priority first",
         {{"a", "n1", 2000, -5}, {"b", "n1", 2000, -100}, {"x", "n2", 4000, 100}},
         2000,
         0,
         "n1",
         " b "},
        {"the node whose highest victim is lowest",
         {{"a", "n1", 4000, -1}, {"b", "n2", 2000, -100}, {"c", "n2", 2000, -100}},
         4000,
         0,
         "n2",
         " b c "},
        {"the node of fewer victims at one priority",
         {{"a", "n1", 2000, -100}, {"b", "n1", 2000, -100}, {"c", "n2", 4000, -100}},
         4000,
         0,
         "n2",
         " c "},
        {"the node whose victim started last",
         {{"a", "n1", 4000, -100}, {"b", "n2", 4000, -100}},
         4000,
         0,
         "n2",
         " b "},
        {"nobody of the same priority",
         {{"a", "n1", 4000, 0}, {"b", "n2", 4000, 0}},
         1000,
         0,
         "",
         ""},
        {"nobody where not even all would do",
         {{"a", "n1", 3000, 5}, {"b", "n1", 1000, -1}, {"c", "n2", 3000, 5}, {"d", "n2", 1000, -1}},
         2000,
         0,
         "",
         ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        size_t n = 0;

        world_start(&w, i);
        world_node(&w, "n1", 4);
        world_node(&w, "n2", 4);
        while (n < COUNT_OF(rows[i].pods) && rows[i].pods[n].name != NULL)
            n++;
        fill(&w, rows[i].pods, n, 10);

        struct sim_pod_spec spec = world_spec(rows[i].asks, rows[i].priority, 1);
        const struct sim_pod *pod = world_pod(&w, "new", &spec);

        world_run(&w, (double)n + 1);
        if (rows[i].nominated[0] == '\0')
            cr_expect_null(pod->nominated, "%s: nominated", rows[i].name);
        else
            cr_expect(pod->nominated != NULL &&
                          sv_eq(pod->nominated->record.name, sv_from(rows[i].nominated)),
                      "%s: not nominated to %s", rows[i].name, rows[i].nominated);
        for (size_t j = 0; j < n; j++) {
            const struct sim_pod *old = world_find(&w, rows[i].pods[j].name);

            cr_expect_eq(old->deleting, names(rows[i].victims, rows[i].pods[j].name), "%s: %s",
                         rows[i].name, rows[i].pods[j].name);
            cr_expect_eq(old->preempted, old->deleting);
        }
        world_run(&w, (double)n + 12);
        if (rows[i].nominated[0] != '\0')
            EXPECT_ON(&w, "new", rows[i].nominated);
        world_end(&w);
    }
}

Test(preempt, binds_when_the_victims_grace_is_over)
{
    static const struct full rows[] = {{"f", "n1", 4000, -100}};
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);
    fill(&w, rows, 1, 10);

    struct sim_pod_spec spec = world_spec(1000, 0, 1);
    const struct sim_pod *pod = world_pod(&w, "new", &spec);

    world_run(&w, 10.99);
    cr_expect_null(pod->node);
    cr_expect(pod->unschedulable);
    cr_expect_eq(pod->failed_at.us, SECONDS(1) + 1500);
    cr_expect(world_find(&w, "f")->deleting);
    world_run(&w, 11.01);
    EXPECT_ON(&w, "new", "n1");
    EXPECT_ON(&w, "f", "gone");
    world_end(&w);
}

/* Even if somebody less important has turned up elsewhere meanwhile. */
Test(preempt, takes_nobody_more_while_victims_are_leaving)
{
    static const struct full rows[] = {{"a", "n1", 4000, -100}, {"x", "n2", 4000, 0}};
    struct world w;

    world_start(&w, 1);
    w.overbooked = true;
    world_node(&w, "n1", 4);
    world_node(&w, "n2", 4);
    fill(&w, rows, 2, 100);

    struct sim_pod_spec spec = world_spec(1000, 0, 1), least = world_spec(4000, -1000, 10);
    const struct sim_pod *pod = world_pod(&w, "new", &spec), *other;

    world_run(&w, 3);
    cr_assert(world_find(&w, "a")->deleting);
    cr_assert(
        sim_pod_create(w.sim, SV("least"), &least, sim_node_find(w.sim, SV("n2")), &other, NULL));
    sim_pod_delete(w.sim, world_find(&w, "x"), 0);
    world_run(&w, 30);
    cr_expect_eq(pod->attempts, 2);
    cr_expect(!other->deleting);
    cr_expect_eq(sim_counts(w.sim).preemptions, 1);
    world_end(&w);
}

Test(preempt, never_happens_for_pods_that_say_so)
{
    static const struct full rows[] = {{"a", "n1", 4000, -1000}};
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);
    fill(&w, rows, 1, 10);

    struct sim_pod_spec spec = world_spec(1000, -100, 1);

    spec.preempts_never = true;

    const struct sim_pod *pod = world_pod(&w, "new", &spec);

    world_run(&w, 60);
    cr_expect_null(pod->node);
    cr_expect_null(pod->nominated);
    cr_expect(!world_find(&w, "a")->deleting);
    world_end(&w);
}

/* The replacement that the ReplicaSet makes at once, and other filler, may not take the hole. */
Test(preempt, keeps_the_room_for_whom_it_was_made)
{
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);

    struct sim_pod_spec filler = world_spec(1000, -100, 1);

    filler.preempts_never = true;

    const struct sim_workload *workload = world_workload(&w, "filler", 6, &filler);

    world_run(&w, 10);
    cr_assert_eq(sim_node_find(w.sim, SV("n1"))->pods, 4);

    struct sim_pod_spec paid = world_spec(3000, 0, 1);

    (void)world_pod(&w, "paid", &paid);
    world_run(&w, 10.5);
    cr_expect_eq(workload->live.terminating, 3);
    world_run(&w, 13);
    EXPECT_ON(&w, "paid", "n1");
    cr_expect_eq(sim_counts(w.sim).preemptions, 3);
    cr_expect_eq(workload->status.replicas, 6);
    cr_expect_eq(workload->status.ready, 1);
    world_end(&w);
}

Test(preempt, lets_a_more_important_pod_take_over_a_promise)
{
    static const struct full rows[] = {{"a", "n1", 4000, -100}};
    struct world w;

    world_start(&w, 1);
    world_node(&w, "n1", 4);
    fill(&w, rows, 1, 10);

    struct sim_pod_spec paid = world_spec(4000, 0, 1), vip = world_spec(4000, 1000, 1);
    const struct sim_pod *pod = world_pod(&w, "paid", &paid);

    world_run(&w, 2);
    cr_assert_not_null(pod->nominated);

    const struct sim_pod *first = world_pod(&w, "vip", &vip);

    world_run(&w, 5);
    cr_expect_not_null(first->nominated);
    cr_expect_null(pod->nominated);
    world_run(&w, 20);
    EXPECT_ON(&w, "vip", "n1");
    EXPECT_ON(&w, "paid", "-");
    world_end(&w);
}

/* One victim is gone, the other is not yet: what is free already is nobody else's. */
Test(preempt, keeps_what_is_free_while_the_last_victim_leaves)
{
    struct world w;
    struct sim_pod_spec quick = world_spec(2000, -100, 5), slow = world_spec(2000, -100, 20);
    struct sim_pod_spec paid = world_spec(4000, 0, 1), vip = world_spec(2000, 1, 1);

    world_start(&w, 1);
    (void)world_node(&w, "n1", 4);
    (void)world_pod(&w, "quick", &quick);
    (void)world_pod(&w, "slow", &slow);
    world_run(&w, 5);
    (void)world_pod(&w, "paid", &paid);
    world_run(&w, 11);
    EXPECT_ON(&w, "quick", "gone");
    (void)world_pod(&w, "filler", &quick);
    world_run(&w, 15);
    EXPECT_ON(&w, "filler", "-");
    /* But for who is more important. */
    (void)world_pod(&w, "vip", &vip);
    world_run(&w, 15.01);
    EXPECT_ON(&w, "vip", "n1");
    world_end(&w);
}

/*
 * Times are whole seconds in the API: of pods of one second the scheduler spares those that its
 * cache has first, and a pod that it heard of stands last in there, the last one in its place.
 */
Test(preempt, spares_of_pods_of_one_second_those_that_the_cache_has_first)
{
    static const struct {
        const char *touched, *victim;
    } rows[] = {{"", "d"}, {"a", "a"}, {"d", "d"}, {"ab", "b"}, {"ba", "a"}, {"abcd", "d"}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct sim_pod_spec spec = world_spec(1000, -100, 5), paid = world_spec(1000, 0, 1);

        world_start(&w, 1);
        (void)world_node(&w, "n1", 4);
        spec.start_us = 0;
        for (const char *name = "abcd"; *name != '\0'; name++) {
            (void)world_pod(&w, (char[]){*name, '\0'}, &spec);
            world_run(&w, 0.1 * (name[0] - 'a' + 1));
        }
        for (const char *at = rows[i].touched; *at != '\0'; at++)
            sim_pod_patch(w.sim, world_find(&w, (char[]){*at, '\0'}), &(struct sim_pod_patch){0});
        (void)world_pod(&w, "paid", &paid);
        world_run(&w, 3);
        for (const char *name = "abcd"; *name != '\0'; name++)
            cr_expect_eq(world_find(&w, (char[]){*name, '\0'})->deleting,
                         *name == rows[i].victim[0], "touched '%s': %c", rows[i].touched, *name);
        world_end(&w);
    }
}
