#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "policy/controller.h"
#include "policy/share.h"
#include "tests/unit/policy/random.h"

enum { MAX_NODES = 24, MAX_FILLERS = 6 };

static const char *const names[MAX_FILLERS] = {"ada", "bo", "cy", "di", "ed", "flo"};

/* A cluster, fillers of their own shapes, and what they were given. */
struct world {
    struct cluster *cluster;
    struct share_filler fillers[MAX_FILLERS];
    struct fit *fits[MAX_FILLERS];
    int64_t slots[MAX_FILLERS][MAX_NODES], places[MAX_FILLERS][MAX_NODES];
    int64_t stands[MAX_FILLERS][MAX_NODES];
    struct node_order order;
    size_t n;
};

static void world_init(struct world *w)
{
    *w = (struct world){.cluster = cluster_new()};
}

static void world_done(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        fit_free(w->fits[i]);
    node_order_done(&w->order);
    cluster_free(w->cluster);
}

static void add_node(struct world *w, int number, int64_t cpu_milli, int64_t memory)
{
    char name[32];
    struct node_record node = {.ready = true};

    (void)snprintf(name, sizeof name, "n%d", number);
    node.name = sv_from(name);
    node.allocatable.at[RESOURCE_CPU] = cpu_milli;
    node.allocatable.at[RESOURCE_MEMORY] = memory;
    node.allocatable.at[RESOURCE_PODS] = 110;
    cluster_upsert_node(w->cluster, &node);
}

static struct share_filler *add_filler(struct world *w, int64_t cpu_milli, int64_t memory,
                                       int32_t priority, int32_t weight)
{
    static const struct pod_rules any = {0};
    struct resources request = {0};
    size_t i = w->n++;

    request.at[RESOURCE_CPU] = cpu_milli;
    request.at[RESOURCE_MEMORY] = memory;
    w->fits[i] = fit_new(&request, &any, 0);
    w->fillers[i] = (struct share_filler){.name = sv_from(names[i]),
                                          .priority = priority,
                                          .weight = weight,
                                          .max = 1000000,
                                          .hole_slots = 1,
                                          .fit = w->fits[i],
                                          .stands = w->stands[i],
                                          .n_stands = MAX_NODES,
                                          .slots = w->slots[i],
                                          .places = w->places[i]};
    return &w->fillers[i];
}

static void share(struct world *w, int64_t kept_milli)
{
    for (size_t i = 0; i < w->n; i++)
        fit_rebuild(w->fits[i], w->cluster);
    share_out(w->fillers, w->n, w->cluster, &w->order, kept_milli);
}

Test(share, a_single_filler_has_what_the_set_point_s_formula_says)
{
    struct world w;

    world_init(&w);
    add_node(&w, 0, 30000, 0);
    add_filler(&w, 1000, 0, 0, 1)->hole_slots = 4;
    share(&w, 4800);
    cr_assert_eq(w.fillers[0].total, 30);
    cr_assert_eq(w.fillers[0].kept, 8);
    cr_assert_eq(w.fillers[0].point, 22);
    cr_assert_not(w.fillers[0].shared);
    world_done(&w);
}

Test(share, the_lower_filler_gets_what_the_set_point_of_the_upper_one_leaves)
{
    struct world w;

    world_init(&w);
    add_node(&w, 0, 16000, 0);
    add_node(&w, 1, 16000, 0);
    add_filler(&w, 4000, 0, 0, 1); /* below, though its name comes first */
    add_filler(&w, 1000, 0, 5, 1)->max = 10;
    share(&w, 4000);
    cr_assert_eq(w.fillers[1].point, 10);
    /* 22 cores are left: 16 and 6, of which 4 are kept free. */
    cr_assert_eq(w.fillers[0].total, 5);
    cr_assert_eq(w.fillers[0].kept, 1);
    cr_assert_eq(w.fillers[0].point, 4);
    world_done(&w);
}

Test(share, what_is_kept_free_is_taken_once)
{
    struct world w;

    world_init(&w);
    add_node(&w, 0, 32000, 0);
    add_filler(&w, 1000, 0, 1, 1);
    add_filler(&w, 1000, 0, 0, 1);
    share(&w, 8000);
    cr_assert_eq(w.fillers[0].point, 24);
    cr_assert_eq(w.fillers[1].total, 8, "the upper one's headroom is room for the same headroom");
    cr_assert_eq(w.fillers[1].point, 0);
    world_done(&w);
}

Test(share, equals_split_by_weight_and_pass_on_what_max_leaves)
{
    struct world w;

    world_init(&w);
    add_node(&w, 0, 40000, 0);
    add_filler(&w, 1000, 0, 0, 3);
    add_filler(&w, 1000, 0, 0, 1);
    share(&w, 0);
    cr_assert_eq(w.fillers[0].point, 30);
    cr_assert_eq(w.fillers[1].point, 10);
    cr_assert(w.fillers[1].shared);
    w.fillers[0].max = 4;
    share(&w, 0);
    cr_assert_eq(w.fillers[0].point, 4);
    cr_assert_eq(w.fillers[1].point, 36);
    cr_assert(sv_eq(w.fillers[1].taker, SV("ada")));
    world_done(&w);
}

Test(share, min_comes_first_as_far_as_it_fits)
{
    static const struct {
        const char *name;
        int64_t room, kept, weights[2], mins[2], points[2];
    } rows[] = {
        {"a min above the share by weight", 100, 0, {4, 1}, {0, 50}, {40, 60}},
        {"both have one", 100, 0, {1, 1}, {20, 60}, {30, 70}},
        {"a large weight leaves the min alone", 10, 0, {9, 1}, {0, 4}, {5, 5}},
        {"min takes of what is to be kept free", 10, 8, {9, 1}, {0, 4}, {0, 4}},
        {"minima that do not fit together: by name", 100, 0, {1, 9}, {60, 60}, {60, 40}},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;

        world_init(&w);
        add_node(&w, 0, rows[i].room * 1000, 0);
        for (int f = 0; f < 2; f++)
            add_filler(&w, 1000, 0, 0, (int32_t)rows[i].weights[f])->min = rows[i].mins[f];
        share(&w, rows[i].kept * 1000);
        for (int f = 0; f < 2; f++)
            cr_assert_eq(w.fillers[f].point, rows[i].points[f], "%s: %s has %lld", rows[i].name,
                         names[f], (long long)w.fillers[f].point);
        world_done(&w);
    }
}

Test(share, rounding_loses_no_room)
{
    static const struct {
        const char *name;
        int64_t room, min, max; /* max: of the first */
        int n;
        int64_t points[MAX_FILLERS];
    } rows[] = {
        {"two with a min", 10, 1, 100, 2, {5, 5}},
        {"three with a min", 9, 1, 100, 3, {3, 3, 3}},
        {"a max", 10, 0, 3, 2, {3, 7}},
        {"remainders go by name", 10, 0, 100, 6, {2, 2, 2, 2, 1, 1}},
        {"fewer slots than fillers", 2, 0, 100, 3, {1, 1, 0}},
        {"one slot", 1, 0, 100, 2, {1, 0}},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;

        world_init(&w);
        add_node(&w, 0, rows[i].room * 1000, 0);
        for (int f = 0; f < rows[i].n; f++)
            add_filler(&w, 1000, 0, 0, 1)->min = rows[i].min;
        w.fillers[0].max = rows[i].max;
        share(&w, 0);
        for (int f = 0; f < rows[i].n; f++)
            cr_assert_eq(w.fillers[f].point, rows[i].points[f], "%s: %s has %lld", rows[i].name,
                         names[f], (long long)w.fillers[f].point);
        world_done(&w);
    }
}

/* Of one shape all that may be taken is, unless every max is reached. */
Test(share, equals_of_one_shape_use_all_room)
{
    struct random r = random_start("equals of one shape use all room");

    for (int i = 0; i < 10000; i++) {
        uint64_t seed = r.state;
        int64_t room = random_in(&r, 0, 100), kept = random_in(&r, 0, 30), most = 0, used = 0;
        int n = (int)random_in(&r, 2, MAX_FILLERS);
        struct world w;

        world_init(&w);
        add_node(&w, 0, room * 1000, 0);
        for (int f = 0; f < n; f++) {
            struct share_filler *filler =
                add_filler(&w, 1000, 0, 0, (int32_t)random_in(&r, 1, 100));

            filler->max = random_percent(&r, 50) ? random_in(&r, 0, 60) : 1000;
            most += filler->max;
        }
        share(&w, kept * 1000);
        for (int f = 0; f < n; f++)
            used += w.fillers[f].point;
        cr_assert_eq(used, min_i64(most, max_i64(room - kept, 0)),
                     "seed %llu: %lld of %lld used, %lld kept free", (unsigned long long)seed,
                     (long long)used, (long long)room, (long long)kept);
        world_done(&w);
    }
}

/* The same nodes, as they came and the other way round. */
Test(share, the_order_in_which_nodes_came_changes_nothing)
{
    struct random r = random_start("the order in which nodes came changes nothing");

    for (int i = 0; i < 5000; i++) {
        uint64_t seed = r.state;
        int nodes = (int)random_in(&r, 1, MAX_NODES), fillers = (int)random_in(&r, 2, 4);
        int64_t kept = random_in(&r, 0, 16000), cpu[MAX_NODES];
        struct world w[2];

        for (int n = 0; n < nodes; n++)
            cpu[n] = random_in(&r, 1, 4) * 2000;
        for (int k = 0; k < 2; k++) {
            world_init(&w[k]);
            for (int n = 0; n < nodes; n++) {
                int number = k == 0 ? n : nodes - 1 - n;

                add_node(&w[k], number, cpu[number], 0);
            }
        }
        for (int f = 0; f < fillers; f++) {
            int64_t milli = random_in(&r, 1, 8) * 500, hole = random_in(&r, 1, 4);
            int64_t max = random_in(&r, 0, 60);
            int32_t priority = (int32_t)random_in(&r, 0, 2);

            for (int k = 0; k < 2; k++) {
                struct share_filler *filler = add_filler(&w[k], milli, 0, priority, 1);

                filler->hole_slots = hole;
                filler->max = max;
            }
        }
        share(&w[0], kept);
        share(&w[1], kept);
        for (int f = 0; f < fillers; f++)
            cr_assert_eq(w[0].fillers[f].point, w[1].fillers[f].point, "seed %llu: %s",
                         (unsigned long long)seed, names[f]);
        world_done(&w[0]);
        world_done(&w[1]);
    }
}

/* Of one shape, minima that fit together are met, whatever the weights are. */
Test(share, minima_that_fit_together_are_met)
{
    struct random r = random_start("minima that fit together are met");

    for (int i = 0; i < 5000; i++) {
        uint64_t seed = r.state;
        int n = (int)random_in(&r, 2, MAX_FILLERS);
        int64_t left = random_in(&r, 1, 100); /* a node takes 110 pods */
        struct world w;

        world_init(&w);
        add_node(&w, 0, left * 1000, 0);
        for (int f = 0; f < n; f++) {
            struct share_filler *filler =
                add_filler(&w, 1000, 0, 0, (int32_t)random_in(&r, 1, 100));

            filler->min = random_in(&r, 0, left);
            filler->max = filler->min + random_in(&r, 0, 100);
            left -= filler->min;
        }
        share(&w, random_in(&r, 0, 100) * 1000);
        for (int f = 0; f < n; f++)
            cr_assert_geq(w.fillers[f].point, w.fillers[f].min, "seed %llu: %s has %lld, not %lld",
                          (unsigned long long)seed, names[f], (long long)w.fillers[f].point,
                          (long long)w.fillers[f].min);
        world_done(&w);
    }
}

static void random_world(struct world *w, struct random *r)
{
    int nodes = (int)random_in(r, 1, MAX_NODES), fillers = (int)random_in(r, 2, MAX_FILLERS);

    world_init(w);
    for (int i = 0; i < nodes; i++)
        add_node(w, i, random_in(r, 0, 64) * 500, random_in(r, 0, 64) << 29);
    for (int i = 0; i < fillers; i++) {
        struct share_filler *f =
            add_filler(w, random_in(r, 1, 16) * 250, random_in(r, 0, 8) << 28,
                       (int32_t)random_in(r, 0, 2), (int32_t)random_in(r, 1, 10));

        f->hole_slots = random_in(r, 1, 8);
        f->max = random_percent(r, 40) ? random_in(r, 0, 60) : 1000000;
        f->min = random_percent(r, 20) ? random_in(r, 0, min_i64(f->max, 20)) : 0;
    }
}

/* Could all set points' pods stand together? Each filler's slots are what those before it leave, so that x <= S is enough
 * for it alone; together they may still not ask for more than there is. */
static void check_fits(const struct world *w, uint64_t seed)
{
    int64_t asked = 0, offered = 0, memory = 0, memory_offered = 0;

    for (size_t i = 0; i < w->n; i++) {
        const struct share_filler *f = &w->fillers[i];

        cr_assert(f->point >= 0 && f->point <= f->total && f->point <= f->max,
                  "%s: x %lld, S %lld, max %lld, seed %llu", names[i], (long long)f->point,
                  (long long)f->total, (long long)f->max, (unsigned long long)seed);
        asked += f->point * fit_request(f->fit)->at[RESOURCE_CPU];
        memory += f->point * fit_request(f->fit)->at[RESOURCE_MEMORY];
    }
    for (uint32_t i = 0; i < cluster_node_limit(w->cluster); i++) {
        struct resources room = fit_room(cluster_node(w->cluster, i));

        offered += max_i64(room.at[RESOURCE_CPU], 0);
        memory_offered += max_i64(room.at[RESOURCE_MEMORY], 0);
    }
    cr_assert_leq(asked, offered, "seed %llu", (unsigned long long)seed);
    cr_assert_leq(memory, memory_offered, "seed %llu", (unsigned long long)seed);
}

/* Whoever has max to spare stands as high as his slots, what is kept and his share allow: checked against the formula. */
static void check_points(const struct world *w, int64_t kept_milli, uint64_t seed)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct share_filler *f = &w->fillers[i];
        int64_t kept =
            kept_slots(kept_milli, 0, fit_request(f->fit)->at[RESOURCE_CPU], f->hole_slots);
        int64_t sum = 0, want = min_i64(min_i64(f->total, f->max),
                                        max_i64(f->min, f->total - min_i64(f->total, kept)));

        for (int n = 0; n < MAX_NODES; n++)
            sum += f->slots[n];
        cr_assert_eq(sum, f->total, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(f->kept, kept);
        cr_assert_eq(f->point, f->shared ? min_i64(want, f->share) : want, "seed %llu",
                     (unsigned long long)seed);
    }
}

Test(share, together_they_never_ask_for_more_than_fits)
{
    struct random r = random_start("together_they_never_ask_for_more_than_fits");

    for (int i = 0; i < 20000; i++) {
        uint64_t seed = r.state;
        int64_t kept = random_percent(&r, 30) ? 0 : random_in(&r, 0, 40000);
        struct world w;

        random_world(&w, &r);
        share(&w, kept);
        check_fits(&w, seed);
        check_points(&w, kept, seed);
        world_done(&w);
    }
}

Test(share, what_a_filler_below_wants_changes_nothing_for_those_above)
{
    struct random r = random_start("what_a_filler_below_wants_changes_nothing_for_those_above");

    for (int i = 0; i < 5000; i++) {
        int64_t points[MAX_FILLERS], kept = random_in(&r, 0, 20000);
        struct world w;

        random_world(&w, &r);
        w.fillers[0].priority = -1;
        share(&w, kept);
        for (size_t n = 1; n < w.n; n++)
            points[n] = w.fillers[n].point;
        w.fillers[0].max = random_in(&r, 0, 100);
        w.fillers[0].weight = (int32_t)random_in(&r, 1, 100);
        share(&w, kept);
        for (size_t n = 1; n < w.n; n++)
            cr_assert_eq(w.fillers[n].point, points[n]);
        world_done(&w);
    }
}

Test(share, the_places_of_a_lower_filler_are_where_the_upper_one_does_not_stand)
{
    struct world w;

    world_init(&w);
    for (int i = 0; i < 3; i++)
        add_node(&w, i, 10000, 0);
    add_filler(&w, 1000, 0, 1, 1)->max = 8;
    add_filler(&w, 1000, 0, 0, 1);
    w.stands[0][2] = 5;
    w.stands[1][0] = 10;
    w.stands[1][1] = 6;
    w.stands[1][2] = 5;
    share(&w, 0);
    cr_assert_eq(w.slots[1][0], 2, "the set point's arithmetic puts the upper one on the first");
    cr_assert_eq(w.places[1][0], 10);
    cr_assert_eq(w.places[1][1], 7, "three more of the upper one find room beside what stands");
    cr_assert_eq(w.places[1][2], 5);
    cr_assert_eq(w.fillers[1].point, 22);
    world_done(&w);
}

/* Pods of a filler that could stand there: no more than x, and no more than fit. */
static void random_pods(struct world *w, struct random *r)
{
    for (size_t f = 0; f < w->n; f++) {
        int64_t left = random_in(r, 0, w->fillers[f].point);

        memset(w->stands[f], 0, sizeof w->stands[f]);
        for (int node = 0; node < MAX_NODES && left > 0; node++) {
            w->stands[f][node] = random_in(r, 0, min_i64(left, 12));
            left -= w->stands[f][node];
        }
    }
}

/* Beside the pods above that stand in their places a filler's places fit; `ret_sum`: of the places. */
static void check_places(const struct world *w, size_t filler, uint64_t seed, int64_t *ret_sum)
{
    const struct share_filler *f = &w->fillers[filler];

    *ret_sum = 0;
    for (uint32_t n = 0; n < cluster_node_limit(w->cluster); n++) {
        struct resources room = fit_room(cluster_node(w->cluster, n));
        int64_t places = w->places[filler][n];

        for (size_t i = 0; i < w->n; i++) {
            int64_t pods = min_i64(w->stands[i][n], w->places[i][n]);

            for (int r = 0; r < RESOURCE_MAX && w->fillers[i].priority > f->priority; r++)
                room.at[r] -= pods * fit_request(w->fillers[i].fit)->at[r];
        }
        cr_assert(places >= 0 && places <= fit_node(f->fit, n).slots);
        for (int r = 0; r < RESOURCE_MAX; r++)
            cr_assert(places == 0 || places * fit_request(f->fit)->at[r] <= max_i64(room.at[r], 0),
                      "seed %llu", (unsigned long long)seed);
        *ret_sum += places;
    }
}

Test(share, places_fit_beside_those_above_and_with_one_shape_are_as_many_as_slots)
{
    struct random r = random_start("places fit beside those above");

    for (int i = 0; i < 10000; i++) {
        uint64_t seed = r.state;
        int64_t kept = random_percent(&r, 30) ? 0 : random_in(&r, 0, 40000), sum;
        struct world w;

        random_world(&w, &r);
        share(&w, kept);
        random_pods(&w, &r);
        share(&w, kept);
        for (size_t f = 0; f < w.n; f++)
            check_places(&w, f, seed, &sum);
        world_done(&w);

        world_init(&w);
        for (int n = (int)random_in(&r, 1, MAX_NODES); n > 0; n--)
            add_node(&w, n, random_in(&r, 0, 64) * 500, 0);
        for (int f = 0; f < 3; f++)
            add_filler(&w, 1000, 0, f, 1)->max = random_in(&r, 0, 100);
        share(&w, kept);
        random_pods(&w, &r);
        share(&w, kept);
        for (size_t f = 0; f < w.n; f++) {
            check_places(&w, f, seed, &sum);
            cr_assert_eq(sum, w.fillers[f].total, "seed %llu: %lld places of %s, %lld slots",
                         (unsigned long long)seed, (long long)sum, names[f],
                         (long long)w.fillers[f].total);
        }
        world_done(&w);
    }
}
