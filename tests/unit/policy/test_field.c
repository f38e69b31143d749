#include "policy/field.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "policy/policy.h"

Test(field, table_is_whole)
{
    for (size_t i = 0; i < field_count(); i++) {
        const struct field *f = field_at(i);
        bool list = f->type == FIELD_LIST || f->type == FIELD_OVERRIDES;
        bool group = f->type == FIELD_GROUP || list;

        cr_expect(f->doc != NULL && sv_ends(sv_from(f->doc), SV(".")), "%s has no whole sentence",
                  f->path);
        cr_expect_eq(field_find(sv_from(f->path)), f, "%s stands twice", f->path);
        cr_expect_eq(f->words != NULL, f->type == FIELD_WORD || f->type == FIELD_EITHER, "%s",
                     f->path);
        cr_expect(!group || f->def == NULL, "%s", f->path);
        cr_expect(!f->required || f->def == NULL, "%s is required and has a default", f->path);
        cr_expect_eq(f->min != NULL, f->max != NULL, "%s", f->path);
        cr_expect_eq(f->element_size != 0, list || f->type == FIELD_LABELS, "%s", f->path);
        cr_expect_eq(f->count_offset != FIELD_NOWHERE, f->element_size != 0, "%s", f->path);
        cr_expect_eq(f->instead_offset != FIELD_NOWHERE, f->instead != NULL, "%s", f->path);
        if (list)
            cr_expect(sv_starts(sv_from(field_at(i + 1)->path), field_elements(f)), "%s", f->path);
    }
}

Test(field, defaults_and_bounds_can_be_read)
{
    struct arena arena;
    struct policy p = {0};

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < field_count(); i++) {
        const struct field *f = field_at(i);
        const char *const texts[] = {f->def, f->min, f->max};
        struct field nowhere = *f;
        struct err err = {0};

        nowhere.offset = FIELD_NOWHERE;
        for (size_t j = 0; j < COUNT_OF(texts); j++) {
            if (texts[j] != NULL)
                cr_expect(field_read(&nowhere, sv_from(texts[j]), &arena, &p, &err), "%s: %s: %s",
                          f->path, texts[j], err.text);
        }
    }
    arena_done(&arena);
}

Test(field, reads_spans)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t us;
    } rows[] = {
        {"90s", true, 90 * US_PER_S},
        {"1h30m", true, 5400 * US_PER_S},
        {"1.5h", true, 5400 * US_PER_S},
        {"500ms", true, 500000},
        {"20us", true, 20},
        {"0", true, 0},
        {"0s", true, 0},
        {".5s", true, 500000},
        {"1.s", true, US_PER_S},
        {"1.23456789s", true, 1234567},
        {"1m1s1ms1us", true, 61001001},
        {"2562047h", true, INT64_C(2562047) * 3600 * US_PER_S},
        {"", false, 0},
        {"90", false, 0},
        {"s", false, 0},
        {".s", false, 0},
        {"-5s", false, 0},
        {"+5s", false, 0},
        {"5 s", false, 0},
        {" 5s", false, 0},
        {"5s ", false, 0},
        {"5d", false, 0},
        {"5min", false, 0},
        {"1.2.3s", false, 0},
        {"1e3s", false, 0},
        {"9223372036854775808s", false, 0},
        {"9999999999999h", false, 0},
        {"2562047788h2562047788h", false, 0},
        {"00", false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t us = -1;

        cr_expect_eq(field_parse_span(sv_from(rows[i].text), &us), rows[i].ok, "%s", rows[i].text);
        cr_expect_eq(us, rows[i].ok ? rows[i].us : -1, "%s: %lld", rows[i].text, (long long)us);
    }
}

Test(field, reads_days)
{
    static const struct {
        const char *text;
        int days; /* -1: refused */
    } rows[] = {
        {"mon", 1},          {"sun", 64},         {"mon-fri", 31},   {"mon-sun", 127},
        {"sat,sun", 96},     {"sat, sun", 96},    {"sat-mon", 97},   {"fri-fri", 16},
        {"mon,wed-thu", 13}, {"mon,mon", 1},      {"", -1},          {"Mon", -1},
        {"monday", -1},      {"mon-", -1},        {"-mon", -1},      {"mon,", -1},
        {",mon", -1},        {"mon-tue-wed", -1}, {"mon - fri", -1}, {"1-5", -1},
    };
    const struct field *f = field_find(SV("spec.schedule[].days"));

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_override o = {0};
        bool ok = field_read(f, sv_from(rows[i].text), NULL, &o, NULL);

        cr_expect_eq(ok, rows[i].days >= 0, "%s", rows[i].text);
        cr_expect_eq(o.days, ok ? rows[i].days : 0, "%s: %d", rows[i].text, o.days);
    }
}

Test(field, reads_times_of_day)
{
    static const struct {
        const char *text;
        int minutes; /* -1: refused */
    } rows[] = {
        {"00:00", 0},     {"08:00", 480}, {"23:59", 1439}, {"24:00", 1440}, {"24:01", -1},
        {"8:00", -1},     {"08:60", -1},  {"0800", -1},    {"08:0", -1},    {"", -1},
        {"08:00:00", -1}, {"-1:00", -1},  {"08:-1", -1},   {"+8:00", -1},   {"25:00", -1},
    };
    const struct field *f = field_find(SV("spec.schedule[].to"));

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_override o = {.to_min = -1};

        cr_expect_eq(field_read(f, sv_from(rows[i].text), NULL, &o, NULL), rows[i].minutes >= 0,
                     "%s", rows[i].text);
        cr_expect_eq(o.to_min, rows[i].minutes, "%s: %d", rows[i].text, o.to_min);
    }
}

Test(field, reads_shares_factors_and_prices)
{
    static const struct {
        const char *path, *text;
        int64_t value; /* -1: refused */
    } rows[] = {
        {"spec.headroom.blocked", "0.5%", 5000},
        {"spec.headroom.blocked", "50%", 500000},
        {"spec.headroom.blocked", "0.0001%", 1},
        {"spec.headroom.blocked", "0.00001%", -1},
        {"spec.headroom.blocked", "0.5", -1},
        {"spec.headroom.blocked", "-0.5%", -1},
        {"spec.advanced.surgeFactor", "2", 200},
        {"spec.advanced.surgeFactor", "1.25", 125},
        {"spec.advanced.surgeFactor", "1.125", -1},
        {"spec.advanced.surgeFactor", "0.99", -1},
        {"spec.report.price", "0.035", 35000},
        {"spec.report.price", "1000000", 1000000000000},
        {"spec.report.price", "1000000.1", -1},
        {"spec.report.price", "1e3", -1},
        {"spec.report.price", "9223372036854775807", -1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct field *f = field_find(sv_from(rows[i].path));
        struct policy p = {0};
        bool ok = field_read(f, sv_from(rows[i].text), NULL, &p, NULL);
        int64_t value = f->type == FIELD_SHARE    ? p.blocked_ppm
                        : f->type == FIELD_FACTOR ? p.advanced.surge_percent
                                                  : p.report.price_micro;

        cr_expect_eq(ok, rows[i].value >= 0, "%s", rows[i].text);
        cr_expect_eq(value, ok ? rows[i].value : 0, "%s: %lld", rows[i].text, (long long)value);
    }
}

/* Whatever a key stores is carried over, and nothing else is. */
Test(field, copies_what_it_stores)
{
    for (size_t i = 0; i < field_count(); i++) {
        const struct field *f = field_at(i);
        struct policy from, to, zero = {0};

        if (!field_is_scheduled(f) || strchr(f->path, '[') != NULL)
            continue;
        memset(&from, 1, sizeof from);
        memset(&to, 0, sizeof to);
        field_copy(f, &to, &from);
        cr_expect_eq(memcmp(&to, &zero, sizeof to) != 0,
                     f->offset != FIELD_NOWHERE || f->has_offset != FIELD_NOWHERE, "%s", f->path);
        for (size_t j = 0; j < field_count(); j++) {
            const struct field *other = field_at(j);

            if (other != f && other->offset != FIELD_NOWHERE && strchr(other->path, '[') == NULL)
                cr_expect_eq(((const char *)&to)[other->offset], 0, "%s changes %s", f->path,
                             other->path);
        }
    }
}

Test(field, reads_cpu_or_a_share)
{
    static const struct {
        const char *text;
        bool ok;
        enum room_kind kind;
        int64_t milli;
    } rows[] = {
        {"30", true, ROOM_CPU, 30000},
        {"1500m", true, ROOM_CPU, 1500},
        {"0.5", true, ROOM_CPU, 500},
        {"1e3", true, ROOM_CPU, 1000000},
        {"1u", true, ROOM_CPU, 1},
        {"5%", true, ROOM_PERCENT, 500},
        {"0.5%", true, ROOM_PERCENT, 50},
        {"12.25%", true, ROOM_PERCENT, 1225},
        {"100%", true, ROOM_PERCENT, 10000},
        {"0%", true, ROOM_PERCENT, 0},
        {"largestNode", true, ROOM_LARGEST_NODE, 0},
        {"100.01%", false, 0, 0},
        {"%", false, 0, 0},
        {".5%", false, 0, 0},
        {"5.%", false, 0, 0},
        {"5.+1%", false, 0, 0},
        {"5 %", false, 0, 0},
        {"largestnode", false, 0, 0},
        {"", false, 0, 0},
        {"-", false, 0, 0},
        {"Ki", false, 0, 0},
        {"92233720368547758070%", false, 0, 0},
        {"-3", false, 0, 0},
    };
    const struct field *f = field_find(SV("spec.reserve.cpu"));

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy p = {.reserve = {.milli = -1}};
        struct err err = {0};

        cr_expect_eq(field_read(f, sv_from(rows[i].text), NULL, &p, &err), rows[i].ok, "%s: %s",
                     rows[i].text, err.text);
        cr_expect_eq(p.reserve.kind, rows[i].kind, "%s", rows[i].text);
        cr_expect_eq(p.reserve.milli, rows[i].ok ? rows[i].milli : -1, "%s: %lld", rows[i].text,
                     (long long)p.reserve.milli);
    }
}

Test(field, finds_the_key_that_was_meant)
{
    static const struct {
        const char *parent, *key, *near;
    } rows[] = {
        {"spec", "replica", "spec.replicas"},
        {"spec", "headrom", "spec.headroom"},
        {"spec", "setle", "spec.settle"},
        {"spec", "MODE", "spec.mode"},
        {"spec", "graceSeconds", "spec.pod.graceSeconds"},
        {"", "meta", NULL},
        {"", "metdata", "metadata"},
        {"spec.replicas", "maximum", NULL},
        {"spec.replicas", "mx", "spec.replicas.max"},
        {"spec.paid.ignore[]", "name_space", "spec.paid.ignore[].namespace"},
        {"", "replicas", "spec.replicas"},
        {"spec.reserve", "memory", NULL},
        {"spec", "x", NULL},
        {"spec", "", NULL},
        {"spec", "a-key-that-is-longer-than-any-key-of-the-table", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *near = field_nearest(sv_from(rows[i].parent), sv_from(rows[i].key));

        if (rows[i].near == NULL)
            cr_expect(near == NULL, "%s: %s", rows[i].key, near);
        else
            cr_expect(near != NULL && strcmp(near, rows[i].near) == 0, "%s: %s", rows[i].key,
                      near != NULL ? near : "none");
    }
}

Test(field, explains_all_keys_as_a_table)
{
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    cr_assert(field_explain(NULL, &out));
    for (size_t i = 0; i < field_count(); i++) {
        if (field_at(i)->type != FIELD_GROUP && field_at(i)->element_size == 0)
            cr_expect(strstr(strbuf_str(&out), field_at(i)->path) != NULL, "%s is missing",
                      field_at(i)->path);
    }
    cr_assert(
        strstr(
            strbuf_str(&out),
            "spec.settle                          span           90s        0s to 1h, or auto\n") !=
            NULL,
        "%s", strbuf_str(&out));
    cr_assert(!out.full);
    strbuf_done(&out);
}

Test(field, explains_one_key_at_length)
{
    static const char settle[] =
        "spec.settle\n"
        "    How long room must have been free before filler takes it. "
        "Best is what a killed filler pod "
        "costs in time. auto: learned from the load and killCost.\n"
        "    type:     span\n"
        "    unit:     time\n"
        "    expected: a span such as 90s or 1h30m from 0s to 1h, or auto\n"
        "    default:  90s\n"
        "    range:    0s to 1h\n";
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    cr_assert(field_explain("spec.settle", &out));
    cr_assert_str_eq(strbuf_str(&out), settle);
    strbuf_clear(&out);
    cr_assert(field_explain("settle", &out), "spec may be left out");
    cr_assert_str_eq(strbuf_str(&out), settle);
    strbuf_clear(&out);
    cr_assert(field_explain("spec.paid", &out));
    cr_assert(strstr(strbuf_str(&out), "\nspec.paid.ignore[].selector\n") != NULL,
              "what stands under it is told too");
    strbuf_clear(&out);
    cr_assert(!field_explain("spec.nothing", &out));
    cr_assert(!field_explain("spe", &out));
    cr_assert_eq(out.len, 0);
    strbuf_done(&out);
}

/* Every key of the table has its place in the schema, and the schema is JSON. */
Test(field, schema_holds_every_key)
{
    struct arena arena;
    struct yaml_doc *docs;
    struct strbuf out;
    struct err err;

    strbuf_init(&out, 1 << 20);
    field_schema(&out);
    arena_init(&arena, 1 << 20);
    cr_assert(yaml_parse(&arena, strbuf_sv(&out), &docs, &err), "%s", err.text);
    for (size_t i = 0; i < field_count(); i++) {
        const struct yaml_node *node = docs->root;
        struct sv rest = sv_from(field_at(i)->path), part;

        while (sv_next(&rest, '.', &part)) {
            struct sv name = sv_ends(part, SV("[]")) ? (struct sv){part.at, part.len - 2} : part;
            CLEANUP(free_ptr) char *key = sv_dup(name);

            node = yaml_get(yaml_get(node, "properties"), key);
            if (name.len != part.len)
                node = yaml_get(node, "items");
        }
        cr_expect(node != NULL && yaml_get(node, "description") != NULL, "%s is not in the schema",
                  field_at(i)->path);
    }
    cr_assert(yaml_get(docs->root, "required")->count == 4);
    arena_done(&arena);
    strbuf_done(&out);
}

Test(field, suggests_the_path_that_was_meant)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"spec.setle", "spec.settle"},
        {"setle", "spec.settle"},
        {"spce.setle", "spec.settle"},
        {"spec.rezerve.cpu", "spec.reserve.cpu"},
        {"reserve.cup", "spec.reserve.cpu"},
        {"metadata.nmae", "metadata.name"},
        {"spec.paid.ignore.namespce", "spec.paid.ignore[].namespace"},
        {"spec.paid.ignore[3].namespce", "spec.paid.ignore[].namespace"},
        {"spec.settle.", "spec.settle"},
        {"spec.settle.x", NULL},
        {"spec.nothingofthesort", NULL},
        {"zzz.settle", NULL},
        {"...", NULL},
        {"", NULL},
        {"schedul", "spec.schedule"},
        {"schedule.form", "spec.schedule[].from"},
        {"headroom.mim", "spec.headroom.min"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *near = field_suggest(sv_from(rows[i].path));

        if (rows[i].want == NULL)
            cr_expect_null(near, "%s: %s", rows[i].path, near);
        else
            cr_expect(near != NULL && strcmp(near, rows[i].want) == 0, "%s: %s", rows[i].path,
                      near != NULL ? near : "nothing");
    }
}
