#include "capacity/resources.h"

#include "tests/unit/capacity/fixtures.h"

/* What holds for every table of names. */
static void check_names(struct resource_names *names)
{
    cr_assert_geq(names->count, RESOURCE_FIRST_EXTENDED);
    cr_assert_leq(names->count, RESOURCE_MAX);
    for (int i = 0; i < names->count; i++) {
        cr_assert(resource_countable(sv_from(names->name[i])), "%s", names->name[i]);
        cr_assert_eq(resource_names_find(names, sv_from(names->name[i]), false), i, "%s",
                     names->name[i]);
    }
}

#define TEN   "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

Test(resources, count_the_names_that_the_scheduler_counts)
{
    static const struct {
        struct sv name;
        bool countable;
    } rows[] = {
        {SV("cpu"), true},
        {SV("memory"), true},
        {SV("ephemeral-storage"), true},
        {SV("pods"), true},
        {SV("nvidia.com/gpu"), true},
        {SV("example.com/x"), true},
        {SV("hugepages-2Mi"), true},
        {SV("hugepages-"), true},
        {SV("attachable-volumes-aws-ebs"), true},
        {SV("kubernetes.io/batch-cpu"), true},
        {SV("node.kubernetes.io/x"), true},
        {SV("storage"), false},
        {SV("gpu"), false},
        {SV(""), false},
        {SV("requests.cpu"), false},
        {SV("requests.nvidia.com/gpu"), false},
        {SV("nvidia.com/"), false},
        {SV("/gpu"), false},
        {SV("a/b/c"), false},
        {SV("NVIDIA.com/gpu"), false},
        {SV("cpu\0"), false},
        {SV("hugepages-\0"), false},
        {SV(SIXTY SIXTY SIXTY SIXTY "abcd/x"), true}, /* 244 + "requests." = 253 */
        {SV(SIXTY SIXTY SIXTY SIXTY "abcde/x"), false},
        {SV("hugepages-" SIXTY SIXTY SIXTY SIXTY SIXTY), true},
        {SV("hugepages-" SIXTY SIXTY SIXTY SIXTY SIXTY TEN), false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(resource_countable(rows[i].name), rows[i].countable, "%s", rows[i].name.at);
}

Test(resources, give_each_countable_name_one_place)
{
    struct resource_names names;

    resource_names_init(&names);
    check_names(&names);
    cr_assert_eq(resource_names_find(&names, SV("cpu"), false), RESOURCE_CPU);
    cr_assert_eq(resource_names_find(&names, SV("memory"), true), RESOURCE_MEMORY);
    cr_assert_eq(resource_names_find(&names, SV("ephemeral-storage"), true), RESOURCE_EPHEMERAL);
    cr_assert_eq(resource_names_find(&names, SV("pods"), true), RESOURCE_PODS);
    cr_assert_eq(resource_names_find(&names, SV("nvidia.com/gpu"), false), -1);
    cr_assert_eq(resource_names_find(&names, SV("nvidia.com/gpu"), true), RESOURCE_FIRST_EXTENDED);
    cr_assert_eq(resource_names_find(&names, SV("storage"), true), -1);
    cr_assert_eq(resource_names_find(&names, SV("nvidia.com/gpu"), true), RESOURCE_FIRST_EXTENDED);
    cr_assert_eq(resource_names_find(&names, SV("nvidia.com/gp"), false), -1);
    cr_assert(!names.overflow, "a name that is not counted needs no place");
    check_names(&names);
    resource_names_done(&names);
    resource_names_done(&names);
}

Test(resources, say_when_there_is_no_place_left)
{
    struct resource_names names;

    resource_names_init(&names);
    for (int i = RESOURCE_FIRST_EXTENDED; i < RESOURCE_MAX; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "example.com/r%d", i);
        cr_assert_eq(resource_names_find(&names, sv_from(name), true), i);
        check_names(&names);
    }
    cr_assert(!names.overflow);
    cr_assert_eq(resource_names_find(&names, SV("one/too-many"), false), -1);
    cr_assert(!names.overflow, "nobody asked for a place");
    cr_assert_eq(resource_names_find(&names, SV("one/too-many"), true), -1);
    cr_assert(names.overflow);
    check_names(&names);
    resource_names_done(&names);
}

static int64_t clamped(__int128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

static int64_t random_amount(struct dice *d)
{
    static const int64_t edges[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};
    uint64_t any = dice_u64(d);

    return any % 3 == 0 ? edges[dice_below(d, COUNT_OF(edges))] : (int64_t)(any >> any % 60);
}

Test(resources, saturate_at_both_ends)
{
    struct dice d = dice_new("saturate_at_both_ends");

    for (int round = 0; round < 5000; round++) {
        struct resources a, b, sum, rest, larger;

        for (int i = 0; i < RESOURCE_MAX; i++) {
            a.at[i] = random_amount(&d);
            b.at[i] = random_amount(&d);
        }
        sum = rest = larger = a;
        resources_add(&sum, &b);
        resources_sub(&rest, &b);
        resources_max(&larger, &b);
        for (int i = 0; i < RESOURCE_MAX; i++) {
            cr_assert_eq(sum.at[i], clamped((__int128)a.at[i] + b.at[i]));
            cr_assert_eq(rest.at[i], clamped((__int128)a.at[i] - b.at[i]));
            cr_assert_eq(larger.at[i], a.at[i] > b.at[i] ? a.at[i] : b.at[i]);
        }
        cr_assert_eq(resources_equal(&a, &larger), resources_hash(&a) == resources_hash(&larger));
    }
}

Test(resources, a_kept_sum_is_what_it_was_when_all_is_taken_away)
{
    enum { N = 40 };
    struct dice d = dice_new("a_kept_sum_is_what_it_was_when_all_is_taken_away");

    for (int round = 0; round < 500; round++) {
        struct resources before = {0}, sum, what[N];
        struct resource_places places[N];

        for (int i = 0; i < RESOURCE_MAX; i++)
            before.at[i] = random_amount(&d);
        sum = before;
        for (int n = 0; n < N; n++) {
            for (int i = 0; i < RESOURCE_MAX; i++)
                what[n].at[i] = random_amount(&d);
            places[n] = resources_places(&what[n]);
            amounts_count(sum.at, &what[n], &places[n], 1);
        }
        for (int n = 0; n < N; n++)
            amounts_count(sum.at, &what[n], &places[n], -1);
        cr_assert(resources_equal(&sum, &before), "round %d", round);
    }
}

Test(resources, an_amount_counts_up_to_its_bound_and_from_0)
{
    struct resources r = {0}, bounded;

    r.at[RESOURCE_CPU] = r.at[RESOURCE_MEMORY] = r.at[RESOURCE_PODS] = INT64_MAX;
    r.at[RESOURCE_EPHEMERAL] = -1;
    r.at[RESOURCE_MAX - 1] = RESOURCE_BOUND_BYTES - 1;
    bounded = resources_bounded(&r);
    cr_assert_eq(bounded.at[RESOURCE_CPU], RESOURCE_BOUND_COUNT);
    cr_assert_eq(bounded.at[RESOURCE_PODS], RESOURCE_BOUND_COUNT);
    cr_assert_eq(bounded.at[RESOURCE_MEMORY], RESOURCE_BOUND_BYTES);
    cr_assert_eq(bounded.at[RESOURCE_EPHEMERAL], 0);
    cr_assert_eq(bounded.at[RESOURCE_MAX - 1], RESOURCE_BOUND_BYTES - 1);
}

struct fit_row {
    const char *name;
    struct resources request, free;
    int lacks; /* -1: fits */
    int64_t times;
    int bound;
};

enum { GPU = RESOURCE_FIRST_EXTENDED, LAST = RESOURCE_MAX - 1 };

static const struct fit_row fit_rows[] = {
    {"nothing asked, nothing there", {{0}}, {{0}}, -1, INT64_MAX, -1},
    {"a pod takes a place even if it asks for nothing",
     {{[RESOURCE_PODS] = 1}},
     {{0}},
     RESOURCE_PODS,
     0,
     RESOURCE_PODS},
    {"exactly", {{1000, 10, 0, 1}}, {{1000, 10, 0, 1}}, -1, 1, RESOURCE_PODS},
    {"one milli short", {{1001, 10, 0, 1}}, {{1000, 10, 0, 1}}, RESOURCE_CPU, 0, RESOURCE_CPU},
    {"one byte short", {{1000, 11, 0, 1}}, {{1000, 10, 0, 1}}, RESOURCE_MEMORY, 0, RESOURCE_MEMORY},
    {"pods are looked at first", {{2, 2, 2, 1}}, {{1, 1, 1, 0}}, RESOURCE_PODS, 0, RESOURCE_PODS},
    {"then cpu", {{2, 2, 2, 1}}, {{1, 1, 1, 9}}, RESOURCE_CPU, 0, RESOURCE_CPU},
    {"then memory", {{1, 2, 2, 1}}, {{1, 1, 1, 9}}, RESOURCE_MEMORY, 0, RESOURCE_MEMORY},
    {"then storage",
     {{1, 1, 2, 1, 2}},
     {{1, 1, 1, 9, 1}},
     RESOURCE_EPHEMERAL,
     0,
     RESOURCE_EPHEMERAL},
    {"then the others", {{1, 1, 1, 1, [GPU] = 2}}, {{1, 1, 1, 9, [GPU] = 1}}, GPU, 0, GPU},
    {"up to the last", {{1, 1, 1, 1, [LAST] = 1}}, {{5, 5, 5, 9}}, LAST, 0, LAST},
    {"0 asked of a resource that is overcommitted",
     {{0, 5, 0, 1}},
     {{-4000, 15, 0, 100}},
     -1,
     3,
     RESOURCE_MEMORY},
    {"asked of an overcommitted one",
     {{1, 5, 0, 1}},
     {{-4000, 15, 0, 100}},
     RESOURCE_CPU,
     0,
     RESOURCE_CPU},
    {"several times, rounded down",
     {{1000, 4, 0, 1}},
     {{30999, 1000, 0, 110}},
     -1,
     30,
     RESOURCE_CPU},
    {"pods bind", {{100, 0, 0, 1}}, {{30000, 0, 0, 110}}, -1, 110, RESOURCE_PODS},
    {"the largest numbers",
     {{INT64_MAX, 1, 0, 1}},
     {{INT64_MAX, INT64_MAX, 0, INT64_MAX}},
     -1,
     1,
     RESOURCE_CPU},
    {"a request below 0 asks for nothing",
     {{INT64_MIN, 0, 0, 1}},
     {{INT64_MIN, 0, 0, 2}},
     -1,
     2,
     RESOURCE_PODS},
};

Test(resources, fit_as_the_scheduler_says)
{
    for (size_t i = 0; i < COUNT_OF(fit_rows); i++) {
        const struct fit_row *row = &fit_rows[i];
        int lacks = -1, bound = -2;

        cr_expect_eq(resources_fit(&row->request, &row->free, &lacks), row->lacks == -1, "%s",
                     row->name);
        cr_expect_eq(lacks, row->lacks, "%s: lacks %d", row->name, lacks);
        cr_expect_eq(resources_fit(&row->request, &row->free, NULL), row->lacks == -1, "%s",
                     row->name);
        cr_expect_eq(resources_times(&row->request, &row->free, &bound), row->times, "%s",
                     row->name);
        cr_expect_eq(bound, row->bound, "%s: bound by %d", row->name, bound);
        cr_expect_eq(resources_times(&row->request, &row->free, NULL), row->times, "%s", row->name);
    }
}

/* times is the number of requests that can be taken off one by one. */
Test(resources, go_in_as_often_as_they_fit)
{
    struct dice d = dice_new("go_in_as_often_as_they_fit");

    for (int round = 0; round < 2000; round++) {
        struct resources request = {.at = {[RESOURCE_PODS] = 1}}, rest = {{0}};
        int64_t times, taken = 0;

        for (int i = 0; i < RESOURCE_FIRST_EXTENDED + 2; i++) {
            if (i != RESOURCE_PODS)
                request.at[i] = (int64_t)dice_below(&d, 20);
            rest.at[i] = (int64_t)dice_below(&d, 400) - 20;
        }
        times = resources_times(&request, &rest, NULL);
        for (; resources_fit(&request, &rest, NULL); taken++)
            resources_sub(&rest, &request);
        cr_assert_eq(times, taken);
    }
}

/* Often 0, sometimes at an end. */
static int64_t any_amount(struct dice *d)
{
    switch (dice_below(d, 6)) {
    case 0:
        return (int64_t)dice_below(d, 40) - 10;
    case 1:
        return INT64_MAX - (int64_t)dice_below(d, 3);
    case 2:
        return INT64_MIN + (int64_t)dice_below(d, 3);
    default:
        return 0;
    }
}

/* To look at the places of a request alone comes to the same as to look at all. */
Test(resources, are_the_same_place_by_place)
{
    struct dice d = dice_new("are_the_same_place_by_place");

    for (int round = 0; round < 20000; round++) {
        struct resources request, all, some;

        for (int i = 0; i < RESOURCE_MAX; i++) {
            request.at[i] = any_amount(&d);
            all.at[i] = any_amount(&d);
        }
        some = all;

        struct resource_places places = resources_places(&request);

        cr_assert_eq(resources_fit_at(&request, &some, &places),
                     resources_fit(&request, &all, NULL));
        cr_assert_eq(resources_times_at(&request, &some, &places),
                     resources_times(&request, &all, NULL));
        resources_add(&all, &request);
        resources_add_at(&some, &request, &places);
        cr_assert(resources_equal(&all, &some));
        resources_sub(&all, &request);
        resources_sub_at(&some, &request, &places);
        cr_assert(resources_equal(&all, &some));
    }
}

Test(resources, hash_every_place)
{
    const struct resources zero = {{0}};

    for (int i = 0; i < RESOURCE_MAX; i++) {
        struct resources one = zero;

        one.at[i] = 1;
        cr_expect_neq(resources_hash(&one), resources_hash(&zero), "place %d", i);
        cr_expect(!resources_equal(&one, &zero), "place %d", i);
    }
}
