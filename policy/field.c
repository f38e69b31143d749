#include "policy/field.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/yaml.h"
#include "capacity/quantity.h"
#include "capacity/selector.h"
#include "policy/policy.h"

static const char *const api_versions[] = {"brim.dev/v1", NULL};
static const char *const kinds[] = {"FillerPolicy", NULL};
static const char *const headroom_modes[] = {"fixed", NULL};
static const char *const placements[] = {
    [PLACEMENT_AFFINITY] = "affinity", [PLACEMENT_SPREAD] = "spread", [PLACEMENT_COUNT_] = NULL};
static const char *const stale_thens[] = {
    [STALE_HOLD] = "hold", [STALE_SHRINK] = "shrink", [STALE_COUNT_] = NULL};
static const char *const modes[] = {
    [MODE_CONTROL] = "control", [MODE_DRY_RUN] = "dry-run", [MODE_METRICS_ONLY] = "metrics-only", [MODE_COUNT_] = NULL};
/* The decoder stores a word's place as an int. */
_Static_assert(sizeof(enum placement) == sizeof(int) && sizeof(enum stale_then) == sizeof(int) &&
                   sizeof(enum policy_mode) == sizeof(int),
               "an enum is not an int");

#define FIELD(path_, type_, ...) \
    {.path = path_, .type = type_, .offset = FIELD_NOWHERE, .has_offset = FIELD_NOWHERE, __VA_ARGS__}
#define IN_POLICY(member) .offset = offsetof(struct policy, member)
#define IN_RULE(member) .offset = offsetof(struct paid_ignore, member)

/* A later designator overrides FIELD's offset on purpose. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct field fields[] = {
    FIELD("apiVersion", FIELD_WORD, .required = true, .words = api_versions, .doc = "The version of this format."),
    FIELD("kind", FIELD_WORD, .required = true, .words = kinds, .doc = "What the document is."),
    FIELD("metadata", FIELD_GROUP, .required = true, .doc = "What the policy is called."),
    FIELD("metadata.name", FIELD_SUBDOMAIN, .required = true, IN_POLICY(name),
          .doc = "The policy's name in metrics, logs and commands. No two policies share one."),
    FIELD("spec", FIELD_GROUP, .required = true, .doc = "What the policy says."),

    FIELD("spec.target", FIELD_GROUP, .required = true, .doc = "The filler: a workload with a scale subresource."),
    FIELD("spec.target.apiVersion", FIELD_API_VERSION, .required = true, IN_POLICY(target_api_version),
          .doc = "Group and version of the target, such as apps/v1."),
    FIELD("spec.target.kind", FIELD_KIND, .required = true, IN_POLICY(target_kind),
          .doc = "Kind of the target, such as Deployment."),
    FIELD("spec.target.namespace", FIELD_LABEL, .required = true, IN_POLICY(target_ns), .doc = "Namespace of the target."),
    FIELD("spec.target.name", FIELD_SUBDOMAIN, .required = true, IN_POLICY(target_name), .doc = "Name of the target."),

    FIELD("spec.replicas", FIELD_GROUP, .required = true, .doc = "Between which counts the filler is scaled."),
    FIELD("spec.replicas.min", FIELD_INT32, .unit = "replicas", .min = "0", .max = "1000000", .def = "0", IN_POLICY(min),
          .doc = "The filler keeps this many replicas, as far as they fit, even when no room is left for them. At most max."),
    FIELD("spec.replicas.max", FIELD_INT32, .required = true, .unit = "replicas", .min = "0", .max = "1000000",
          IN_POLICY(max), .doc = "The filler never has more replicas."),

    FIELD("spec.reserve", FIELD_GROUP, .doc = "Room that is always kept free and is no part of what the metric calls remaining."),
    FIELD("spec.reserve.cpu", FIELD_ROOM, .unit = "cores", .min = "0", .max = "100%", .def = "0", IN_POLICY(reserve),
          .doc = "Cores, a share of what the nodes offer, or largestNode: as much as the largest node offers."),

    FIELD("spec.headroom", FIELD_GROUP, .doc = "Room kept free beyond the reserve, because paid pods will soon want it."),
    FIELD("spec.headroom.mode", FIELD_WORD, .words = headroom_modes, .def = "fixed", .doc = "fixed: always max."),
    FIELD("spec.headroom.max", FIELD_ROOM, .unit = "cores", .min = "0", .max = "100%", .def = "16%", IN_POLICY(headroom_max),
          .doc = "Cores, a share of what the nodes offer, or largestNode."),

    FIELD("spec.settle", FIELD_SPAN, .unit = "time", .min = "0s", .max = "1h", .def = "90s", IN_POLICY(settle_us),
          .doc = "How long room must have been free before filler takes it. Best is what a killed filler pod costs in time."),
    FIELD("spec.placement", FIELD_WORD, .words = placements, .def = "affinity", IN_POLICY(placement),
          .doc = "affinity: the filler's template packs it together by a preferred affinity to itself. spread: the scheduler's "
                 "own choice."),

    FIELD("spec.paid", FIELD_GROUP, .doc = "Which pods the filler makes room for."),
    FIELD("spec.paid.ignore", FIELD_LIST, IN_POLICY(ignore),
          .doc = "Pending pods that make no claim on room. A rule holds where all that it gives holds."),
    FIELD("spec.paid.ignore[].namespace", FIELD_LABEL, IN_RULE(ns), .doc = "Pods of this namespace."),
    FIELD("spec.paid.ignore[].selector", FIELD_SELECTOR, IN_RULE(selector),
          .doc = "Pods with these labels, such as app=batch,tier in (low,idle)."),
    FIELD("spec.paid.ignore[].priorityBelow", FIELD_INT32, .min = "-2147483648", .max = "2147483647", IN_RULE(priority_below),
          .has_offset = offsetof(struct paid_ignore, has_priority_below), .doc = "Pods of a lower priority than this."),

    FIELD("spec.stale", FIELD_GROUP, .doc = "What to do when the API server is silent."),
    FIELD("spec.stale.after", FIELD_SPAN, .unit = "time", .min = "1s", .max = "1h", .def = "90s", IN_POLICY(stale_after_us),
          .doc = "How old facts may be. On older ones the filler never grows."),
    FIELD("spec.stale.then", FIELD_WORD, .words = stale_thens, .def = "hold", IN_POLICY(stale_then),
          .doc = "hold: keep the count. shrink: go down to replicas.min."),

    FIELD("spec.mode", FIELD_WORD, .words = modes, .def = "control", IN_POLICY(mode),
          .doc = "control: scale the target. dry-run: decide and record, write nothing. metrics-only: publish, decide nothing."),

    FIELD("spec.pod", FIELD_GROUP, .has_offset = offsetof(struct policy, pod.given),
          .doc = "The filler's pods, where neither a live one nor the target's template tells."),
    FIELD("spec.pod.cpu", FIELD_CPU, .required = true, .unit = "cores", .min = "1m", .max = "1000000", IN_POLICY(pod.cpu_milli),
          .doc = "What one pod requests."),
    FIELD("spec.pod.memory", FIELD_BYTES, .unit = "bytes", .min = "0", .max = "1Pi", .def = "0", IN_POLICY(pod.memory_bytes),
          .doc = "What one pod requests."),
    FIELD("spec.pod.graceSeconds", FIELD_INT64, .unit = "seconds", .min = "0", .max = "86400", .def = "30", IN_POLICY(pod.grace_s),
          .doc = "Its termination grace period."),
    FIELD("spec.pod.priority", FIELD_INT32, .min = "-2147483648", .max = "1000000000", .def = "0", IN_POLICY(pod.priority),
          .doc = "The value of its PriorityClass."),
};
#pragma GCC diagnostic pop

/* Keys of the design that later releases have. */
static const char *const later[] = {
    "spec.advanced", "spec.headroom.blocked", "spec.headroom.min", "spec.killCost", "spec.nodes", "spec.onRemove",
    "spec.pod.nodeSelector", "spec.pod.tolerations", "spec.priority", "spec.report", "spec.schedule", "spec.service",
    "spec.weight",
};

static const char *const type_names[] = {
    [FIELD_GROUP] = "mapping",      [FIELD_LIST] = "list",           [FIELD_WORD] = "word",
    [FIELD_LABEL] = "DNS label",    [FIELD_SUBDOMAIN] = "DNS name",  [FIELD_API_VERSION] = "API version",
    [FIELD_KIND] = "kind",          [FIELD_SELECTOR] = "selector",   [FIELD_INT32] = "whole number",
    [FIELD_INT64] = "whole number", [FIELD_SPAN] = "span",           [FIELD_ROOM] = "cpu or share",
    [FIELD_CPU] = "quantity",       [FIELD_BYTES] = "quantity",
};
_Static_assert(COUNT_OF(type_names) == FIELD_TYPE_COUNT_, "a type has no name");

const char *field_type_name(enum field_type type)
{
    return type_names[type];
}

size_t field_count(void)
{
    return COUNT_OF(fields);
}

const struct field *field_at(size_t i)
{
    return &fields[i];
}

const struct field *field_find(struct sv path)
{
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (sv_eq(sv_from(fields[i].path), path))
            return &fields[i];
    }
    return NULL;
}

/* The key under which a path stands directly in its parent. */
static bool split_child(struct sv path, struct sv parent, struct sv *ret_key)
{
    if (parent.len != 0) {
        if (!sv_starts(path, parent) || path.len <= parent.len + 1 || path.at[parent.len] != '.')
            return false;
        path = sv_skip(path, parent.len + 1);
    }
    if (memchr(path.at, '.', path.len) != NULL)
        return false;
    *ret_key = path;
    return true;
}

bool field_is_child(const struct field *f, struct sv parent, struct sv *ret_key)
{
    return split_child(sv_from(f->path), parent, ret_key);
}

const struct field *field_child(struct sv parent, struct sv key)
{
    struct sv name;

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (field_is_child(&fields[i], parent, &name) && sv_eq(name, key))
            return &fields[i];
    }
    return NULL;
}

struct sv field_elements(const struct field *list)
{
    struct sv path = sv_from(list->path);

    /* Borrowed from its first child, which stands right behind it. */
    assert(list->type == FIELD_LIST);
    return (struct sv){.at = list[1].path, .len = path.len + 2};
}

bool field_is_later(struct sv parent, struct sv key)
{
    struct sv name;

    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (split_child(sv_from(later[i]), parent, &name) && sv_eq(name, key))
            return true;
    }
    return false;
}

enum { NEAR_MAX = 32 }; /* longer keys are near to none */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, letters' case aside. Both texts are at most NEAR_MAX long. */
static size_t distance(struct sv a, struct sv b)
{
    size_t row[NEAR_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = tolower((unsigned char)a.at[i - 1]) == tolower((unsigned char)b.at[j - 1]);
            size_t replaced = diagonal + !same;

            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

/* The last part of a path. */
static struct sv last_key(const char *path)
{
    const char *dot = strrchr(path, '.');

    return sv_from(dot != NULL ? dot + 1 : path);
}

const char *field_nearest(struct sv parent, struct sv key)
{
    const char *nearest = NULL;
    size_t best = key.len / 3 + 2; /* a letter or two, in long keys a third of them */
    struct sv sibling;

    if (key.len == 0 || key.len > NEAR_MAX)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!field_is_child(&fields[i], parent, &sibling) || sibling.len > NEAR_MAX)
            continue;

        size_t far = distance(key, sibling);

        if (far < best && far < key.len) {
            best = far;
            nearest = fields[i].path;
        }
    }
    for (size_t i = 0; i < COUNT_OF(fields) && nearest == NULL; i++) {
        if (sv_starts(sv_from(fields[i].path), parent) && sv_eq(last_key(fields[i].path), key))
            nearest = fields[i].path;
    }
    return nearest;
}

/* ---- values ---- */

/* One number with its unit off the front of a span, in microseconds. */
static bool take_span_part(struct sv *rest, int64_t *ret_us)
{
    static const struct {
        struct sv unit;
        int64_t us;
    } units[] = {{{"ms", 2}, US_PER_MS}, {{"us", 2}, 1},           {{"h", 1}, 3600 * US_PER_S},
                 {{"m", 1}, 60 * US_PER_S}, {{"s", 1}, US_PER_S}};
    int64_t whole = 0, part = 0, scale = 1;
    size_t digits = 0;
    bool point = false;

    for (; rest->len != 0 && (isdigit((unsigned char)rest->at[0]) || (rest->at[0] == '.' && !point)); *rest = sv_skip(*rest, 1)) {
        int digit = rest->at[0] - '0';

        if (rest->at[0] == '.') {
            point = true;
            continue;
        }
        digits++;
        if (!point && (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, digit, &whole)))
            return false;
        if (point && scale < 1000000) { /* finer than this is cut */
            part = part * 10 + digit;
            scale *= 10;
        }
    }
    if (digits == 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (!sv_starts(*rest, units[i].unit))
            continue;
        *rest = sv_skip(*rest, units[i].unit.len);
        return !__builtin_mul_overflow(whole, units[i].us, &whole) &&
               !__builtin_add_overflow(whole, part * units[i].us / scale, ret_us);
    }
    return false;
}

bool field_parse_span(struct sv text, int64_t *ret_us)
{
    int64_t sum = 0, part;

    if (sv_eq(text, SV("0"))) {
        *ret_us = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len != 0) {
        if (!take_span_part(&text, &part) || __builtin_add_overflow(sum, part, &sum))
            return false;
    }
    *ret_us = sum;
    return true;
}

/* The grammar of quantities takes a bare suffix or sign for 0; in a policy that is a slip of the pen. */
static bool has_digit(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (isdigit((unsigned char)text.at[i]))
            return true;
    }
    return false;
}

/* "5%", "12.25%" in hundredths of a percent. */
static bool parse_percent(struct sv text, int64_t *ret_value)
{
    struct sv whole, part;
    int64_t value, hundredths = 0;

    if (!sv_ends(text, SV("%")))
        return false;
    text.len--;
    if (!sv_cut(text, '.', &whole, &part))
        whole = text, part = SV("0");
    if (!has_digit(whole) || part.len == 0 || part.len > 2 || !isdigit((unsigned char)part.at[0]) ||
        !sv_to_i64(whole, &value) || !sv_to_i64(part, &hundredths) || __builtin_mul_overflow(value, 100, &value))
        return false;
    if (part.len == 1)
        hundredths *= 10;
    return !__builtin_add_overflow(value, whole.at[0] == '-' ? -hundredths : hundredths, ret_value);
}

/* Any type that is a number: as an int64 in the unit in which it is stored. */
static bool parse_number(enum field_type type, struct sv text, int64_t *ret_value)
{
    struct quantity q;

    switch (type) {
    case FIELD_INT32:
    case FIELD_INT64:
        return sv_to_i64(text, ret_value);
    case FIELD_SPAN:
        return field_parse_span(text, ret_value);
    case FIELD_CPU:
    case FIELD_BYTES:
    case FIELD_ROOM:
        if (!has_digit(text) || !quantity_parse(text, &q, NULL))
            return false;
        /* An amount too large to hold is saturated, and then above every maximum. */
        if (type == FIELD_BYTES)
            (void)quantity_value(&q, ret_value);
        else
            (void)quantity_milli(&q, ret_value);
        return true;
    case FIELD_GROUP:
    case FIELD_LIST:
    case FIELD_WORD:
    case FIELD_LABEL:
    case FIELD_SUBDOMAIN:
    case FIELD_API_VERSION:
    case FIELD_KIND:
    case FIELD_SELECTOR:
    case FIELD_TYPE_COUNT_:
        break;
    }
    return false;
}

static bool refuse(const struct field *f, struct sv text, struct err *err)
{
    char shown[YAML_SHOW_SIZE];
    struct strbuf expected;

    strbuf_init(&expected, sizeof err->text);
    field_expected(f, &expected);
    (void)err_set(err, ERR_INPUT, 0, "found %s, expected %s", yaml_show(text, shown), strbuf_str(&expected));
    strbuf_done(&expected);
    return false;
}

static bool check_range(struct sv text, int64_t value, int64_t min, int64_t max, const char *min_text,
                        const char *max_text, struct err *err)
{
    char shown[YAML_SHOW_SIZE];

    if (value < min)
        return err_set(err, ERR_INPUT, 0, "found %s, expected at least %s", yaml_show(text, shown), min_text);
    if (value > max)
        return err_set(err, ERR_INPUT, 0, "found %s, expected at most %s", yaml_show(text, shown), max_text);
    return true;
}

static bool read_number(const struct field *f, struct sv text, int64_t *ret_value, struct err *err)
{
    int64_t value, min, max;
    bool bounds = parse_number(f->type, sv_from(f->min), &min) && parse_number(f->type, sv_from(f->max), &max);

    assert(bounds);
    (void)bounds;
    /* Of a negative span only the sign is wrong. */
    if (f->type == FIELD_SPAN && sv_starts(text, SV("-")) && field_parse_span(sv_skip(text, 1), &value))
        value = -1;
    else if (!parse_number(f->type, text, &value))
        return refuse(f, text, err);
    if (!check_range(text, value, min, max, f->min, f->max, err))
        return false;
    *ret_value = value;
    return true;
}

static bool read_room(const struct field *f, struct sv text, struct room_spec *ret_room, struct err *err)
{
    struct room_spec room = {.kind = ROOM_CPU};

    if (sv_eq(text, SV("largestNode"))) {
        room.kind = ROOM_LARGEST_NODE;
    } else if (parse_percent(text, &room.milli)) {
        room.kind = ROOM_PERCENT;
        if (!check_range(text, room.milli, 0, 10000, "0%", "100%", err))
            return false;
    } else {
        if (!parse_number(f->type, text, &room.milli))
            return refuse(f, text, err);
        if (!check_range(text, room.milli, 0, FIELD_MAX_CORES * INT64_C(1000), "0", "1000000", err))
            return false;
    }
    *ret_room = room;
    return true;
}

static bool is_alnum_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(struct sv text)
{
    if (text.len == 0 || text.len > 63 || !is_alnum_lower(text.at[0]) || !is_alnum_lower(text.at[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum_lower(text.at[i]) && text.at[i] != '-')
            return false;
    }
    return true;
}

static bool is_subdomain(struct sv text)
{
    struct sv label;

    if (text.len == 0 || text.len > 253 || sv_ends(text, SV(".")))
        return false;
    while (sv_next(&text, '.', &label)) {
        if (!is_label(label))
            return false;
    }
    return true;
}

static bool is_api_version(struct sv text)
{
    struct sv group, version;

    return sv_cut(text, '/', &group, &version) ? is_subdomain(group) && is_label(version) : is_label(text);
}

static bool is_kind(struct sv text)
{
    if (text.len == 0 || text.len > 63 || !isupper((unsigned char)text.at[0]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum((unsigned char)text.at[i]))
            return false;
    }
    return true;
}

static bool check_selector(struct sv text, struct err *err)
{
    enum { SCRATCH_BYTES = 1 << 20 };
    struct arena scratch;
    struct selector selector;
    bool ok;

    if (text.len > FIELD_MAX_SELECTOR)
        return err_set(err, ERR_INPUT, 0, "found %zu bytes, expected a selector of at most %d", text.len, FIELD_MAX_SELECTOR);
    if (text.len == 0)
        return err_set(err, ERR_INPUT, 0, "found \"\", expected a selector such as app=batch");
    arena_init(&scratch, SCRATCH_BYTES);
    ok = selector_parse(&scratch, text, &selector, err);
    arena_done(&scratch);
    return ok;
}

static bool check_text(const struct field *f, struct sv text, struct err *err)
{
    bool ok;

    if (f->type == FIELD_SELECTOR)
        return check_selector(text, err);
    ok = f->type == FIELD_LABEL       ? is_label(text)
         : f->type == FIELD_SUBDOMAIN ? is_subdomain(text)
         : f->type == FIELD_KIND      ? is_kind(text)
                                      : is_api_version(text);
    return ok || refuse(f, text, err);
}

static bool read_word(const struct field *f, struct sv text, int *ret_place, struct err *err)
{
    for (int i = 0; f->words[i] != NULL; i++) {
        if (sv_eq(text, sv_from(f->words[i]))) {
            *ret_place = i;
            return true;
        }
    }
    return refuse(f, text, err);
}

/* memcpy, so that the table need not tell the compiler the member's type. */
static void store(const struct field *f, void *object, const void *value, size_t size)
{
    if (f->offset != FIELD_NOWHERE)
        memcpy((char *)object + f->offset, value, size);
}

static bool read_text(const struct field *f, struct sv text, struct arena *arena, void *object, struct err *err)
{
    struct sv copy;

    if (!check_text(f, text, err))
        return false;
    copy = arena_dup(arena, text);
    if (copy.at == NULL)
        return err_set(err, ERR_LIMIT, 0, "the policy is larger than the limit of %zu bytes", arena->max);
    store(f, object, &copy, sizeof copy);
    return true;
}

bool field_read(const struct field *f, struct sv text, struct arena *arena, void *object, struct err *err)
{
    struct room_spec room = {0};
    int64_t number = 0;
    int32_t small;
    int place = 0;

    switch (f->type) {
    case FIELD_WORD:
        if (!read_word(f, text, &place, err))
            return false;
        store(f, object, &place, sizeof place);
        return true;
    case FIELD_ROOM:
        if (!read_room(f, text, &room, err))
            return false;
        store(f, object, &room, sizeof room);
        return true;
    case FIELD_INT32:
        if (!read_number(f, text, &number, err))
            return false;
        small = (int32_t)number; /* the range of each such field is within int32 */
        store(f, object, &small, sizeof small);
        return true;
    case FIELD_INT64:
    case FIELD_SPAN:
    case FIELD_CPU:
    case FIELD_BYTES:
        if (!read_number(f, text, &number, err))
            return false;
        store(f, object, &number, sizeof number);
        return true;
    case FIELD_LABEL:
    case FIELD_SUBDOMAIN:
    case FIELD_API_VERSION:
    case FIELD_KIND:
    case FIELD_SELECTOR:
        return read_text(f, text, arena, object, err);
    case FIELD_GROUP:
    case FIELD_LIST:
    case FIELD_TYPE_COUNT_:
        break;
    }
    return refuse(f, text, err);
}

static void add_words(const struct field *f, struct strbuf *out)
{
    for (size_t i = 0; f->words[i] != NULL; i++) {
        const char *before = i == 0 ? "" : f->words[i + 1] == NULL ? " or " : ", ";

        (void)strbuf_addf(out, "%s%s", before, f->words[i]);
    }
}

void field_expected(const struct field *f, struct strbuf *out)
{
    static const char *const texts[] = {
        [FIELD_GROUP] = "a mapping",
        [FIELD_LIST] = "a list",
        [FIELD_WORD] = NULL, /* the words themselves */
        [FIELD_LABEL] = "a name of at most 63 characters a-z, 0-9 and -, beginning and ending with a letter or digit",
        [FIELD_SUBDOMAIN] = "a name of a-z, 0-9, - and ., each part at most 63 long, all at most 253",
        [FIELD_API_VERSION] = "a group and version such as apps/v1",
        [FIELD_KIND] = "a kind such as Deployment",
        [FIELD_SELECTOR] = "a selector such as app=batch",
        [FIELD_INT32] = "a whole number",
        [FIELD_INT64] = "a whole number",
        [FIELD_SPAN] = "a span such as 90s or 1h30m",
        [FIELD_ROOM] = "cores such as 30 or 1500m, a share such as 5%, or largestNode",
        [FIELD_CPU] = "cores such as 2 or 500m",
        [FIELD_BYTES] = "bytes such as 512Mi",
    };
    _Static_assert(COUNT_OF(texts) == FIELD_TYPE_COUNT_, "a type has no text");

    if (f->type == FIELD_WORD) {
        add_words(f, out);
        return;
    }
    (void)strbuf_add(out, sv_from(texts[f->type]));
    if (f->min != NULL && f->max != NULL && f->type != FIELD_ROOM)
        (void)strbuf_addf(out, " from %s to %s", f->min, f->max);
}
