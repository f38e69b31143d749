#include "base/zone.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/strbuf.h"

#define ZONES TEST_DATA "/zones"

static struct zone *load(const char *name)
{
    struct zone_source files = zone_files(ZONES);
    struct zone *zone = NULL;
    struct err err = {0};

    cr_assert(files.load(files.self, sv_from(name), &zone, &err), "%s: %s", name, err.text);
    return zone;
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

/* "first Europe/Berlin 123 456" */
static void check_case(const struct zone *z, struct sv line, struct sv word, struct sv from,
                       struct sv to)
{
    int64_t in, want, got;

    cr_assert(sv_to_i64(from, &in) && sv_to_i64(to, &want), "%.*s", SV_ARG(line));
    got = sv_eq(word, SV("first")) ? zone_first_s(z, in) : zone_offset_s(z, in);
    cr_expect_eq(got, want, "%.*s: got %lld", SV_ARG(line), (long long)got);
}

/* Every line of a table that tests/data/zones/make.py wrote with Python's zoneinfo. */
Test(zone, agrees_with_another_implementation)
{
    CLEANUP(zone_free_ptr) struct zone *zone = NULL;
    struct strbuf text;
    struct sv rest, line, name = {0};
    size_t n = 0;

    strbuf_init(&text, 1 << 20);
    read_whole(ZONES "/cases.txt", &text);
    rest = strbuf_sv(&text);
    for (; sv_next(&rest, '\n', &line); n++) {
        struct sv parts = line, word, of, from;

        cr_assert(sv_next(&parts, ' ', &word) && sv_next(&parts, ' ', &of) &&
                  sv_next(&parts, ' ', &from));
        if (!sv_eq(of, name)) {
            CLEANUP(free_ptr) char *path = sv_dup(of);

            zone_free(zone);
            zone = load(path);
            name = of;
        }
        check_case(zone, line, word, from, parts);
    }
    cr_assert(n > 3000, "%zu cases", n);
    strbuf_done(&text);
}

static const char *const names[] = {
    "Africa/Casablanca",   "America/New_York",  "America/Nuuk",  "America/Santiago",
    "Antarctica/Troll",    "Asia/Gaza",         "Asia/Kolkata",  "Asia/Tehran",
    "Australia/Lord_Howe", "Europe/Berlin",     "Europe/Dublin", "Pacific/Apia",
    "Pacific/Kiritimati",  "fat/Europe/Berlin", "UTC",
};

/* What zone.h says of the two functions, at random times. */
static void check_properties(const struct zone *z, const char *name, int64_t at)
{
    int64_t next = zone_next_s(z, at), first = zone_first_s(z, at);

    cr_assert_gt(next, at, "%s %lld", name, (long long)at);
    if (next != INT64_MAX) {
        int64_t between = at + (int64_t)((uint64_t)rand() % (uint64_t)(next - at));

        cr_assert_eq(zone_offset_s(z, at), zone_offset_s(z, between), "%s %lld %lld", name,
                     (long long)at, (long long)between);
    }
    cr_assert_geq(first + zone_offset_s(z, first), at, "%s %lld", name, (long long)at);
    cr_assert_lt(first - 1 + zone_offset_s(z, first - 1), at, "%s %lld", name, (long long)at);
    cr_assert_leq(first, zone_first_s(z, at + rand() % 100000), "%s %lld", name, (long long)at);
}

Test(zone, keeps_its_promises_at_any_time)
{
    unsigned seed = 20261101;

    (void)fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        CLEANUP(zone_free_ptr) struct zone *zone = load(names[i]);

        for (int n = 0; n < 5000; n++)
            check_properties(zone, names[i],
                             (int64_t)rand() * 4 + rand() % 3600 - INT64_C(2500000000));
        check_properties(zone, names[i], INT64_MAX / US_PER_S);
        check_properties(zone, names[i], INT64_MIN / US_PER_S);
    }
}

Test(zone, reads_the_same_from_a_file_with_and_without_all_transitions)
{
    CLEANUP(zone_free_ptr) struct zone *slim = load("Europe/Berlin");
    CLEANUP(zone_free_ptr) struct zone *fat = load("fat/Europe/Berlin");

    for (int64_t at = 0; at < INT64_C(4000000000); at += 3600 * 7)
        cr_assert_eq(zone_offset_s(slim, at), zone_offset_s(fat, at), "%lld", (long long)at);
}

Test(zone, skips_and_repeats_an_hour_in_berlin)
{
    CLEANUP(zone_free_ptr) struct zone *z = load("Europe/Berlin");
    static const struct {
        const char *what, *local, *utc;
    } rows[] = {
        {"before the gap", "2026-03-29T01:59:59Z", "2026-03-29T00:59:59Z"},
        {"in the gap: the moment of the change", "2026-03-29T02:30:00Z", "2026-03-29T01:00:00Z"},
        {"behind it", "2026-03-29T03:00:00Z", "2026-03-29T01:00:00Z"},
        {"first of two", "2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z"},
        {"after both", "2026-10-25T03:00:00Z", "2026-10-25T02:00:00Z"},
        {"far behind the last transition of the file", "2090-07-01T12:00:00Z",
         "2090-07-01T10:00:00Z"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wall local, utc;

        cr_assert(wall_parse(sv_from(rows[i].local), &local) &&
                  wall_parse(sv_from(rows[i].utc), &utc));
        cr_expect_eq(zone_first_s(z, local.us / US_PER_S), utc.us / US_PER_S, "%s", rows[i].what);
    }
}

Test(zone, takes_only_names)
{
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        {"Europe/Berlin", true},
        {"UTC", true},
        {"Etc/GMT+12", true},
        {"GMT-3", true},
        {"America/Argentina/Buenos_Aires", true},
        {"", false},
        {"/etc/passwd", false},
        {"../etc/passwd", false},
        {"Europe/../x", false},
        {"Europe/", false},
        {"Europe//Berlin", false},
        {"-x", false},
        {"Europe/-x", false},
        {"a b", false},
        {".", false},
        {"Europe/Berlin\n", false},
        {"tzdata.zi", false},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(zone_is_name(sv_from(rows[i].name)), rows[i].ok, "%s", rows[i].name);
    cr_expect(!zone_is_name((struct sv){"UTC\0x", 5}), "a NUL ends no name");
}

Test(zone, says_what_is_not_there)
{
    static const struct {
        const char *dir, *name;
        enum err_kind kind;
        const char *text;
    } rows[] = {
        {ZONES, "Europe/Berln", ERR_NOT_FOUND, "there is no time zone Europe/Berln"},
        {ZONES, "Europe", ERR_NOT_FOUND, "there is no time zone Europe"},
        {ZONES, "Europe/Berlin/x", ERR_NOT_FOUND, "there is no time zone Europe/Berlin/x"},
        {ZONES, "../zones/Europe/Berlin", ERR_INPUT, "this is no time zone's name"},
        {"/nonexistent", "Europe/Berlin", ERR_NOT_FOUND,
         "/nonexistent: there are no time zones here (tzdata)"},
        {TEST_DATA, "quantities", ERR_NOT_FOUND, "there is no time zone quantities"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct zone_source files = zone_files(rows[i].dir);
        struct zone *zone = NULL;
        struct err err = {0};

        cr_assert(!files.load(files.self, sv_from(rows[i].name), &zone, &err), "%s", rows[i].name);
        cr_expect_null(zone);
        cr_expect_eq(err.kind, rows[i].kind, "%s", err.text);
        cr_expect_str_eq(err.text, rows[i].text);
    }
}

Test(zone, knows_utc_without_a_file)
{
    struct zone_source files = zone_files("/nonexistent");
    CLEANUP(zone_free_ptr) struct zone *utc = NULL;

    cr_assert(files.load(files.self, SV("UTC"), &utc, NULL));
    cr_assert_eq(zone_offset_s(utc, 1234567890), 0);
    cr_assert_eq(zone_first_s(utc, 1234567890), 1234567890);
    cr_assert_eq(zone_next_s(utc, 0), INT64_MAX);
}

/* A file cut at any byte is refused, and one with any byte changed is refused or a zone that keeps
 * its promises. */
Test(zone, survives_broken_files)
{
    struct strbuf text;
    unsigned seed = 7;

    (void)fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    strbuf_init(&text, 1 << 20);
    read_whole(ZONES "/Asia/Gaza", &text);
    for (size_t len = 0; len < text.len; len++) {
        struct zone *zone = NULL;
        struct err err = {0};

        cr_assert(!zone_parse((struct sv){text.at, len}, &zone, &err), "cut at %zu", len);
        cr_assert_eq(err.kind, ERR_INPUT);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = (size_t)rand() % text.len;
        char was = text.at[at];
        struct zone *zone = NULL;

        text.at[at] = (char)rand();
        if (zone_parse(strbuf_sv(&text), &zone, NULL))
            check_properties(zone, "broken", (int64_t)rand() * 2);
        zone_free(zone);
        text.at[at] = was;
    }
    strbuf_done(&text);
}

/* A file of the second version: two types, one transition, and this footer. */
static bool parse_with(const char *footer, struct zone **ret_zone, struct err *err)
{
    static const char counts[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4";
    struct strbuf text;
    bool ok;

    strbuf_init(&text, 4096);
    for (int block = 0; block < 2; block++) {
        (void)strbuf_add(&text, SV("TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
        (void)strbuf_add(&text, (struct sv){counts, 24});
        (void)strbuf_add(&text, SV("\0\0\0\0\0\0ABC\0"));
    }
    (void)strbuf_addf(&text, "\n%s\n", footer);
    ok = zone_parse(strbuf_sv(&text), ret_zone, err);
    strbuf_done(&text);
    return ok;
}

Test(zone, reads_footers)
{
    static const struct {
        const char *rule;
        bool ok;
        int32_t january, july; /* offsets in minutes, on the 15th of 2026 */
    } rows[] = {
        {"", true, 0, 0},
        {"EST5", true, -300, -300},
        {"<+0330>-3:30", true, 210, 210},
        {"CET-1CEST,M3.5.0,M10.5.0/3", true, 60, 120},
        {"NZST-12NZDT,M9.5.0,M4.1.0/3", true, 780, 720},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", true, 0, 60},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", true, 660, 630},
        {"XXX3EDT4,0/0,J365/23", true, -240, -240},
        {"AAA0BBB,J60,J300", true, 0, 60},
        {"AAA0BBB,59,299/-1:30", true, 0, 60},
        {"AAA0BBB", false, 0, 0},
        {"AA0", false, 0, 0},
        {"AAA", false, 0, 0},
        {"AAA25", false, 0, 0},
        {"<A0", false, 0, 0},
        {"AAA0BBB,M13.1.0,M1.1.0", false, 0, 0},
        {"AAA0BBB,M1.6.0,M1.1.0", false, 0, 0},
        {"AAA0BBB,M1.1.7,M1.1.0", false, 0, 0},
        {"AAA0BBB,J0,J1", false, 0, 0},
        {"AAA0BBB,366,J1", false, 0, 0},
        {"AAA0BBB,J1/168,J2", false, 0, 0},
        {"AAA0BBB,J1,J2,J3", false, 0, 0},
        {"AAA0:60", false, 0, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(zone_free_ptr) struct zone *zone = NULL;
        struct err err = {0};

        cr_expect_eq(parse_with(rows[i].rule, &zone, &err), rows[i].ok, "%s: %s", rows[i].rule,
                     err.text);
        if (zone == NULL)
            continue;
        cr_expect_eq(zone_offset_s(zone, 1768478400), rows[i].january * 60, "%s", rows[i].rule);
        cr_expect_eq(zone_offset_s(zone, 1784116800), rows[i].july * 60, "%s", rows[i].rule);
    }
}
