#include "policy/schedule.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strbuf.h"

#define HEAD                                                                                       \
    "apiVersion: brim.dev/v1\n"                                                                    \
    "kind: FillerPolicy\n"                                                                         \
    "metadata: {name: miner}\n"                                                                    \
    "spec:\n"                                                                                      \
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"          \
    "  replicas: {min: 2, max: 150}\n"                                                             \
    "  reserve: {cpu: 1}\n"                                                                        \
    "  schedule:\n"

static const struct policy *read_one(const char *text, struct policy_list *list)
{
    struct zone_source zones = zone_files(TEST_DATA "/zones");
    struct err err = {0};

    cr_assert(policy_read_zoned(SV("p.yaml"), sv_from(text), &zones, list, &err), "%s", err.text);
    return list->at[0];
}

static struct wall at(const char *text)
{
    struct wall t = {0};

    cr_assert(wall_parse(sv_from(text), &t), "%s", text);
    return t;
}

/* What schedule.h says of any answer. */
static bool ask(const struct policy *p, struct wall now, struct policy *ret, struct wall *ret_next)
{
    bool changes = schedule_at(p, now, ret, ret_next);

    cr_assert(ret->min <= ret->max && ret->advanced.needed <= ret->advanced.values);
    cr_assert(!changes || ret_next->us > now.us);
    return changes;
}

/* In force at a moment; the next change is checked by the table of cases. */
static struct policy in_force(const struct policy *p, const char *when)
{
    struct policy effective;
    struct wall next;

    (void)ask(p, at(when), &effective, &next);
    return effective;
}

static void read_whole(const char *path, struct strbuf *text)
{
    FILE *file = fopen(path, "re");
    size_t n;

    cr_assert_not_null(file, "%s", path);
    do {
        char *room = strbuf_room(text, 4096);

        cr_assert_not_null(room);
        n = fread(room, 1, 4096, file);
        strbuf_wrote(text, n);
    } while (n != 0);
    (void)fclose(file);
}

/* "ZONE DAYS FROM TO AT HOLDS NEXT" */
static void check_case(struct sv line)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    struct policy effective;
    struct wall now, next = {0};
    struct sv part[7], rest = line;
    struct strbuf text;
    int64_t t, want;

    for (size_t i = 0; i < COUNT_OF(part); i++)
        cr_assert(sv_next(&rest, ' ', &part[i]));
    cr_assert(sv_to_i64(part[4], &t) && sv_to_i64(part[6], &want));
    strbuf_init(&text, 4096);
    (void)strbuf_addf(
        &text, HEAD "  - {zone: %.*s, days: '%.*s', from: '%.*s', to: '%.*s', mode: dry-run}\n",
        SV_ARG(part[0]), SV_ARG(part[1]), SV_ARG(part[2]), SV_ARG(part[3]));
    now.us = t * US_PER_S + 999999; /* within the second */
    cr_assert(ask(read_one(strbuf_str(&text), &list), now, &effective, &next));
    cr_expect_eq(effective.mode == MODE_DRY_RUN, sv_eq(part[5], SV("1")), "%.*s", SV_ARG(line));
    cr_expect_eq(next.us, want * US_PER_S, "%.*s: %lld", SV_ARG(line),
                 (long long)(next.us / US_PER_S));
    strbuf_done(&text);
}

/* Every line of a table that tests/data/schedules/make.py wrote with Python's zoneinfo. */
Test(schedule, agrees_with_another_implementation)
{
    struct strbuf text;
    struct sv rest, line;
    size_t n = 0;

    strbuf_init(&text, 1 << 20);
    read_whole(TEST_DATA "/schedules/cases.txt", &text);
    rest = strbuf_sv(&text);
    for (; sv_next(&rest, '\n', &line); n++)
        check_case(line);
    cr_assert(n > 1000, "%zu cases", n);
    strbuf_done(&text);
}

Test(schedule, leaves_a_policy_without_one_as_it_is)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p = read_one(HEAD, &list);
    struct policy effective;
    struct wall next = {.us = 7};

    cr_assert(!ask(p, at("2026-11-02T10:00:00Z"), &effective, &next));
    cr_assert_eq(next.us, 7);
    cr_assert_eq(memcmp(&effective, p, sizeof effective), 0);
}

Test(schedule, changes_the_keys_that_are_named_and_no_others)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD "  - days: mon-fri\n"
                      "    from: '08:00'\n"
                      "    to: '20:00'\n"
                      "    zone: Europe/Berlin\n"
                      "    reserve: {cpu: 30%}\n"
                      "    replicas: {max: 10}\n"
                      "    settle: auto\n"
                      "    placement: spread\n"
                      "    mode: dry-run\n"
                      "    headroom: {mode: fixed}\n"
                      "    paid: {ignore: [{namespace: batch}]}\n"
                      "    pod: {cpu: 2, tolerations: [{key: a}], nodeSelector: {b: c}}\n",
                 &list);
    struct policy day = in_force(p, "2026-11-02T07:00:00Z"); /* Monday, 08:00 */
    struct policy night = in_force(p, "2026-11-02T06:59:59Z");

    cr_assert(day.reserve.kind == ROOM_PERCENT && day.reserve.milli == 3000);
    cr_assert(day.max == 10 && day.min == 2);
    cr_assert(day.settle_auto && day.placement == PLACEMENT_SPREAD && day.mode == MODE_DRY_RUN);
    cr_assert(day.headroom_fixed && day.headroom_max.milli == 1600);
    cr_assert(day.n_ignore == 1 && sv_eq(day.ignore[0].ns, SV("batch")));
    cr_assert(day.pod.given && day.pod.cpu_milli == 2000 && day.pod.grace_s == 30);
    cr_assert(day.pod.n_tolerations == 1 && day.pod.n_node_selector == 1);
    cr_assert(sv_eq(day.name, SV("miner")) && sv_eq(day.target_name, SV("miner")));
    cr_assert_eq(memcmp(&night, p, sizeof night), 0);
}

Test(schedule, lets_a_time_take_the_place_of_auto)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p = read_one(HEAD "  - {days: mon, settle: 5m}\n  settle: auto\n", &list);

    cr_assert(p->settle_auto && p->settle_us == 90 * US_PER_S);
    cr_assert(!in_force(p, "2026-11-02T12:00:00Z").settle_auto);
    cr_assert_eq(in_force(p, "2026-11-02T12:00:00Z").settle_us, 300 * US_PER_S);
    cr_assert(in_force(p, "2026-11-03T12:00:00Z").settle_auto);
}

Test(schedule, lets_the_later_entry_win)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD "  - {from: '08:00', to: '20:00', reserve: {cpu: 10}, mode: dry-run}\n"
                      "  - {from: '12:00', to: '13:00', reserve: {cpu: 20}}\n",
                 &list);

    cr_assert_eq(in_force(p, "2026-11-02T11:59:59Z").reserve.milli, 10000);
    cr_assert_eq(in_force(p, "2026-11-02T12:00:00Z").reserve.milli, 20000);
    cr_assert_eq(in_force(p, "2026-11-02T12:00:00Z").mode, MODE_DRY_RUN);
    cr_assert_eq(in_force(p, "2026-11-02T13:00:00Z").reserve.milli, 10000);
    cr_assert_eq(in_force(p, "2026-11-02T20:00:00Z").reserve.milli, 1000);
}

Test(schedule, keeps_min_within_max_where_two_entries_meet)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD "  - {replicas: {min: 100}}\n  - {replicas: {max: 50}}\n"
                      "  - {advanced: {needed: 1000}}\n  - {advanced: {values: 100}}\n",
                 &list);
    struct policy both = in_force(p, "2026-11-02T12:00:00Z");

    cr_assert(both.min == 50 && both.max == 50);
    cr_assert(both.advanced.needed == 100 && both.advanced.values == 100);
}

Test(schedule, goes_across_midnight_from_the_day_that_is_named)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD "  - {days: fri, from: '22:00', to: '06:00', mode: dry-run}\n", &list);

    cr_assert_eq(in_force(p, "2026-11-06T21:59:59Z").mode, MODE_CONTROL); /* Friday */
    cr_assert_eq(in_force(p, "2026-11-06T22:00:00Z").mode, MODE_DRY_RUN);
    cr_assert_eq(in_force(p, "2026-11-07T05:59:59Z").mode, MODE_DRY_RUN);
    cr_assert_eq(in_force(p, "2026-11-07T06:00:00Z").mode, MODE_CONTROL);
    cr_assert_eq(in_force(p, "2026-11-06T05:00:00Z").mode, MODE_CONTROL);
}

/* Walking from change to change meets every one: between two of them nothing is another. */
Test(schedule, names_every_change)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p = read_one(
        HEAD
        "  - {days: mon-fri, from: '08:00', to: '20:00', zone: Europe/Berlin, weight: 2}\n"
        "  - {days: 'sat,sun', from: '22:30', to: '02:30', zone: America/New_York, weight: 3}\n"
        "  - {days: sun, from: '01:30', to: '02:30', zone: Australia/Lord_Howe, weight: 4}\n",
        &list);
    struct wall now = at("2026-01-01T00:00:00Z"), next, unused;
    unsigned seed = 11;

    (void)fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < 2000; i++, now = next) {
        struct policy here, between;

        cr_assert(ask(p, now, &here, &next));
        for (int k = 0; k < 5; k++) {
            struct wall t = {now.us + (int64_t)((double)rand() / ((double)RAND_MAX + 1) *
                                                (double)(next.us - now.us))};

            cr_assert(ask(p, t, &between, &unused));
            cr_assert_eq(between.weight, here.weight);
            cr_assert_eq(unused.us, next.us);
        }
    }
}
