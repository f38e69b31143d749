#include "agent/decide_line.h"

#include <stdlib.h>

#include "agent/cli.h"
#include "base/alloc.h"
#include "base/jsonr.h"
#include "base/yaml.h"
#include "capacity/quantity.h"

enum value_type {
    VALUE_TEXT,
    VALUE_BOOL,
    VALUE_COUNT,
    VALUE_PRIORITY,
    VALUE_SECONDS, /* held in microseconds */
    VALUE_PHASE,
    VALUE_PREEMPTION,
    VALUE_LABELS,
    VALUE_TAINTS,
    VALUE_TOLERATIONS,
};

struct key {
    const char *name;
    unsigned kinds; /* bit 1 << enum line_kind */
    enum line_key key;
    enum value_type type;
    size_t offset;  /* in struct decide_line */
    int64_t absent; /* what null means, for booleans and numbers */
};

#define OF(kind) (1U << LINE_##kind)
#define ROW(kinds_, name_, key_, type_, member_, ...)                                              \
    {                                                                                              \
        .name = (name_), .kinds = (kinds_), .key = KEY_##key_, .type = VALUE_##type_,              \
        .offset = offsetof(struct decide_line, member_), __VA_ARGS__                               \
    }

static const struct key keys[] = {
    ROW(OF(NODE), "name", NAME, TEXT, name),
    ROW(OF(POD), "uid", NAME, TEXT, name),
    ROW(OF(FILLER), "policy", NAME, TEXT, name),
    ROW(OF(POD), "node", NODE, TEXT, node),
    ROW(OF(POD), "phase", PHASE, PHASE, phase),
    ROW(OF(POD), "gone", GONE, BOOL, gone),
    ROW(OF(POD), "created", CREATED, SECONDS, created_us),
    ROW(OF(POD) | OF(FILLER), "priority", PRIORITY, PRIORITY, priority),
    ROW(OF(POD), "unschedulable", UNSCHEDULABLE, BOOL, unschedulable),
    ROW(OF(POD), "nominated", NOMINATED, TEXT, nominated),
    ROW(OF(POD), "policy", POLICY, TEXT, policy),
    ROW(OF(POD), "gated", GATED, BOOL, gated),
    ROW(OF(POD), "ready", READY, BOOL, ready),
    ROW(OF(POD), "deleting", DELETING, BOOL, deleting),
    ROW(OF(POD), "only_node", ONLY_NODE, TEXT, only_node),
    ROW(OF(POD), "preemptionPolicy", PREEMPTION_POLICY, PREEMPTION, preempts_never),
    ROW(OF(POD), "namespace", NAMESPACE, TEXT, ns),
    ROW(OF(POD) | OF(NODE), "labels", LABELS, LABELS, labels),
    ROW(OF(POD) | OF(FILLER), "nodeSelector", NODE_SELECTOR, LABELS, node_selector),
    ROW(OF(POD) | OF(FILLER), "tolerations", TOLERATIONS, TOLERATIONS, tolerations),
    ROW(OF(NODE), "taints", TAINTS, TAINTS, taints),
    ROW(OF(NODE), "schedulable", SCHEDULABLE, BOOL, schedulable, .absent = true),
    ROW(OF(NODE), "ready", READY, BOOL, ready, .absent = true),
    ROW(OF(NODE), "deleted", DELETED, BOOL, deleted),
    ROW(OF(FILLER), "replicas", REPLICAS, COUNT, replicas),
    ROW(OF(FILLER), "graceSeconds", GRACE, SECONDS, grace_us, .absent = DECIDE_GRACE_S * US_PER_S),
    ROW(OF(FILLER), "startSeconds", START, SECONDS, start_us),
};

static const char *const kind_names[] = {
    [LINE_NODE] = "node", [LINE_POD] = "pod", [LINE_FILLER] = "filler", [LINE_STEP] = "step"};
_Static_assert(COUNT_OF(kind_names) == LINE_KIND_COUNT_, "a kind of line has no name");

/* A reading under way. */
struct reading {
    struct jsonr r;
    struct decide_line *line;
    struct resource_names *names;
    struct sv key; /* that is being read */
};

/* Refuses what stands next: it is of the wrong kind. */
static bool wrong(struct reading *in, const char *expected)
{
    enum jsonr_kind kind = jsonr_peek(&in->r);
    char shown[YAML_SHOW_SIZE];

    if (kind == JSONR_NONE)
        return jsonr_expected(&in->r, expected);
    return jsonr_refuse(&in->r, "%s.%s: found %s, expected %s", kind_names[in->line->kind],
                        yaml_show(in->key, shown), jsonr_kind_name(kind), expected);
}

/* Refuses a text that was read. */
static bool refuse(struct reading *in, struct sv found, const char *expected)
{
    char key[YAML_SHOW_SIZE], shown[YAML_SHOW_SIZE];

    return jsonr_refuse(&in->r, "%s.%s: found %s, expected %s", kind_names[in->line->kind],
                        yaml_show(in->key, key), yaml_show(found, shown), expected);
}

static bool read_text(struct reading *in, const char *expected, struct sv *ret_text)
{
    if (jsonr_peek(&in->r) != JSONR_STRING)
        return wrong(in, expected);
    return jsonr_string(&in->r, ret_text);
}

static bool twice(struct reading *in, struct sv what)
{
    char key[YAML_SHOW_SIZE], shown[YAML_SHOW_SIZE];

    if (sv_eq(what, in->key))
        return jsonr_refuse(&in->r, "%s.%.*s: found twice, expected once",
                            kind_names[in->line->kind], SV_ARG(what));
    return jsonr_refuse(&in->r, "%s.%s: found %s twice, expected once", kind_names[in->line->kind],
                        yaml_show(in->key, key), yaml_show(what, shown));
}

/* A number as it is written. */
static bool read_number(struct reading *in, const char *expected, struct sv *ret_text)
{
    if (jsonr_peek(&in->r) != JSONR_NUMBER)
        return wrong(in, expected);
    return jsonr_number(&in->r, ret_text);
}

static bool read_seconds(struct reading *in, int64_t *ret_us)
{
    static const char expected[] = "seconds, at least 0 and at most 1e11";
    struct sv text;
    int64_t us;

    if (!read_number(in, expected, &text))
        return false;
    if (!jsonr_fixed(text, 6, &us) || us < 0 || us > DECIDE_MAX_T_US || text.at[0] == '-')
        return refuse(in, text, expected);
    *ret_us = us;
    return true;
}

static bool read_whole(struct reading *in, int64_t least, const char *expected, int64_t *ret_value)
{
    struct sv text;
    int64_t value;

    if (!read_number(in, expected, &text))
        return false;
    if (!sv_to_i64(text, &value) || value < least || value > INT32_MAX)
        return refuse(in, text, expected);
    *ret_value = value;
    return true;
}

static bool read_phase(struct reading *in, enum pod_phase *ret_phase)
{
    static const char expected[] = "Pending, Running, Succeeded, Failed or Unknown";
    struct sv text;

    if (!read_text(in, expected, &text))
        return false;
    for (int phase = 0; phase < PHASE_COUNT_; phase++) {
        if (sv_eq(text, sv_from(pod_phase_name((enum pod_phase)phase)))) {
            *ret_phase = (enum pod_phase)phase;
            return true;
        }
    }
    return refuse(in, text, expected);
}

static bool read_preemption(struct reading *in, bool *ret_never)
{
    static const char expected[] = "Never or PreemptLowerPriority";
    struct sv text;

    if (!read_text(in, expected, &text))
        return false;
    *ret_never = sv_eq(text, SV("Never"));
    return *ret_never || sv_eq(text, SV("PreemptLowerPriority")) || refuse(in, text, expected);
}

/* Lists. */

static int by_key(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    return sv_cmp(x->key, y->key);
}

/* Labels are sorted by their keys, which shows those that are there twice. */
static bool read_labels(struct reading *in, struct decide_labels *to)
{
    struct label label;

    to->len = 0;
    if (jsonr_peek(&in->r) != JSONR_OBJECT)
        return wrong(in, "an object of strings");
    if (!jsonr_object(&in->r))
        return false;
    while (jsonr_key(&in->r, &label.key)) {
        if (!read_text(in, "an object of strings", &label.value))
            return false;
        VEC_PUSH(to->at, to->len, to->cap, label);
    }
    if (to->len > 1)
        qsort(to->at, to->len, sizeof *to->at, by_key);
    for (size_t i = 1; i < to->len; i++) {
        if (sv_eq(to->at[i].key, to->at[i - 1].key))
            return twice(in, to->at[i].key);
    }
    return true;
}

static enum taint_effect effect_of(struct sv text)
{
    if (text.len == 0)
        return EFFECT_NONE;
    return sv_eq(text, SV("NoSchedule"))         ? EFFECT_NO_SCHEDULE
           : sv_eq(text, SV("PreferNoSchedule")) ? EFFECT_PREFER_NO_SCHEDULE
           : sv_eq(text, SV("NoExecute"))        ? EFFECT_NO_EXECUTE
                                                 : EFFECT_OTHER;
}

/* What taints and tolerations are made of. */
struct mark {
    struct sv key, value, effect, op;
};

/* One object of strings; only a toleration has an operator. tolerationSeconds and timeAdded decide
 * nothing here. */
static bool read_mark(struct reading *in, bool has_operator, struct mark *ret_mark)
{
    const char *expected =
        has_operator ? "objects of key, operator, value, effect" : "objects of key, value, effect";
    struct sv key;

    *ret_mark = (struct mark){0};
    if (jsonr_peek(&in->r) != JSONR_OBJECT)
        return wrong(in, expected);
    if (!jsonr_object(&in->r))
        return false;
    while (jsonr_key(&in->r, &key)) {
        struct sv *to = sv_eq(key, SV("key"))                        ? &ret_mark->key
                        : sv_eq(key, SV("value"))                    ? &ret_mark->value
                        : sv_eq(key, SV("effect"))                   ? &ret_mark->effect
                        : has_operator && sv_eq(key, SV("operator")) ? &ret_mark->op
                                                                     : NULL;

        if (to == NULL)
            return refuse(in, key, expected);
        if (to->at != NULL)
            return twice(in, key);
        if (!read_text(in, expected, to))
            return false;
    }
    return true;
}

static bool read_taints(struct reading *in, struct decide_taints *to)
{
    struct mark mark;

    to->len = 0;
    if (jsonr_peek(&in->r) != JSONR_ARRAY)
        return wrong(in, "a list of taints");
    if (!jsonr_array(&in->r))
        return false;
    while (jsonr_element(&in->r)) {
        if (!read_mark(in, false, &mark))
            return false;

        struct taint taint = {
            .key = mark.key, .value = mark.value, .effect = effect_of(mark.effect)};

        if (taint.effect == EFFECT_NONE || taint.effect == EFFECT_OTHER)
            return refuse(in, mark.effect, "the effect NoSchedule, PreferNoSchedule or NoExecute");
        VEC_PUSH(to->at, to->len, to->cap, taint);
    }
    return true;
}

static bool read_tolerations(struct reading *in, struct decide_tolerations *to)
{
    struct mark mark;

    to->len = 0;
    if (jsonr_peek(&in->r) != JSONR_ARRAY)
        return wrong(in, "a list of tolerations");
    if (!jsonr_array(&in->r))
        return false;
    while (jsonr_element(&in->r)) {
        if (!read_mark(in, true, &mark))
            return false;

        struct toleration toleration = {
            .key = mark.key, .value = mark.value, .effect = effect_of(mark.effect)};

        toleration.op = mark.op.len == 0 || sv_eq(mark.op, SV("Equal")) ? TOLERATE_EQUAL
                        : sv_eq(mark.op, SV("Exists"))                  ? TOLERATE_EXISTS
                                                                        : TOLERATE_OTHER;
        if (toleration.op == TOLERATE_OTHER)
            return refuse(in, mark.op, "the operator Equal or Exists");
        if (toleration.effect == EFFECT_OTHER)
            return refuse(in, mark.effect, "the effect NoSchedule, PreferNoSchedule or NoExecute");
        VEC_PUSH(to->at, to->len, to->cap, toleration);
    }
    return true;
}

/* Amounts. */

/* The place of a key that names a resource. False: it names none. */
static bool find_resource(struct reading *in, int *ret_place)
{
    struct sv name = in->key;

    if (sv_eq(name, SV("ephemeral")))
        name = SV("ephemeral-storage");
    if (sv_eq(name, SV("cpu")))
        *ret_place = RESOURCE_CPU;
    else if (sv_eq(name, SV("memory")))
        *ret_place = RESOURCE_MEMORY;
    else if (in->line->kind == LINE_STEP ||
             (sv_eq(name, SV("pods")) && in->line->kind != LINE_NODE) || !resource_countable(name))
        return false;
    else
        *ret_place = resource_names_find(in->names, name, true);
    return true;
}

static struct decide_amount *find_amount(struct decide_line *line, int place)
{
    for (size_t i = 0; i < line->n_amounts; i++) {
        if (line->amounts[i].place == place)
            return &line->amounts[i];
    }
    return NULL;
}

/* Those that found no place are one: what any of them asks for is not to be had. */
static void put_amount(struct decide_line *line, int place, int64_t value)
{
    struct decide_amount *amount = find_amount(line, place);

    if (amount == NULL)
        line->amounts[line->n_amounts++] = (struct decide_amount){.place = place, .value = value};
    else if (amount->value < value)
        amount->value = value;
}

static bool read_amount(struct reading *in, int place)
{
    const char *expected =
        place == RESOURCE_CPU ? "a quantity such as 4 or 1500m" : "a quantity such as 110 or 64Gi";
    enum jsonr_kind kind = jsonr_peek(&in->r);
    struct quantity q;
    struct sv text;
    int64_t value;
    bool ok;

    if (place >= 0 && find_amount(in->line, place) != NULL)
        return twice(in, in->key);
    if (kind == JSONR_NULL) {
        put_amount(in->line, place, place == RESOURCE_PODS ? DECIDE_NODE_PODS : 0);
        return jsonr_null(&in->r);
    }
    if (kind != JSONR_STRING && kind != JSONR_NUMBER)
        return wrong(in, expected);
    if (kind == JSONR_STRING ? !jsonr_string(&in->r, &text) : !jsonr_number(&in->r, &text))
        return false;
    if (!quantity_parse(text, &q, NULL) || q.nano < 0)
        return refuse(in, text, expected);
    ok = place == RESOURCE_CPU
             ? quantity_milli(&q, &value) && value <= DECIDE_MAX_CPU_MILLI
             : quantity_value(&q, &value) && (place != RESOURCE_PODS || value <= INT32_MAX);
    if (!ok)
        return refuse(in, text, "a quantity that is not as large");
    put_amount(in->line, place, value);
    return true;
}

/* Objects. */

static const struct key *find_key(enum line_kind kind, struct sv name)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if ((keys[i].kinds & 1U << kind) != 0 && sv_eq(name, sv_from(keys[i].name)))
            return &keys[i];
    }
    return NULL;
}

static bool unknown_key(struct reading *in)
{
    const char *names[COUNT_OF(keys) + 3] = {"cpu", "memory", "pods"};
    size_t n = in->line->kind == LINE_NODE ? 3 : 2;
    char shown[YAML_SHOW_SIZE];
    const char *near;

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if ((keys[i].kinds & 1U << in->line->kind) != 0)
            names[n++] = keys[i].name;
    }
    near = cli_nearest(in->key, names, n);
    if (near != NULL)
        return jsonr_refuse(&in->r, "%s: found the key %s, did you mean %s?",
                            kind_names[in->line->kind], yaml_show(in->key, shown), near);
    return jsonr_refuse(
        &in->r,
        "%s: found the key %s, expected one that docs/DECIDE.md lists or the name of a resource",
        kind_names[in->line->kind], yaml_show(in->key, shown));
}

/* null: the value that an absent key has. */
static bool withdraw(struct reading *in, const struct key *k)
{
    void *to = (char *)in->line + k->offset;

    if (k->key == KEY_NAME)
        return wrong(in, "a name");
    in->line->withdrawn |= UINT32_C(1) << k->key;
    switch (k->type) {
    case VALUE_TEXT:
        *(struct sv *)to = (struct sv){0};
        break;
    case VALUE_BOOL:
    case VALUE_PREEMPTION:
        *(bool *)to = k->absent != 0;
        break;
    case VALUE_COUNT:
    case VALUE_PRIORITY:
    case VALUE_SECONDS:
        *(int64_t *)to = k->absent;
        break;
    case VALUE_PHASE:
        *(enum pod_phase *)to = PHASE_PENDING;
        break;
    case VALUE_LABELS:
        ((struct decide_labels *)to)->len = 0;
        break;
    case VALUE_TAINTS:
        ((struct decide_taints *)to)->len = 0;
        break;
    case VALUE_TOLERATIONS:
        ((struct decide_tolerations *)to)->len = 0;
        break;
    }
    return jsonr_null(&in->r);
}

static bool read_value(struct reading *in, const struct key *k)
{
    void *to = (char *)in->line + k->offset;

    if (jsonr_peek(&in->r) == JSONR_NULL)
        return withdraw(in, k);
    switch (k->type) {
    case VALUE_TEXT:
        return read_text(in, k->key == KEY_NAME ? "a name" : "a string or null", to);
    case VALUE_BOOL:
        return jsonr_peek(&in->r) == JSONR_TRUE || jsonr_peek(&in->r) == JSONR_FALSE
                   ? jsonr_bool(&in->r, to)
                   : wrong(in, "true or false");
    case VALUE_COUNT:
        return read_whole(in, 0, "a whole number from 0 to 2147483647", to);
    case VALUE_PRIORITY:
        return read_whole(in, INT32_MIN, "a whole number of 32 bits", to);
    case VALUE_SECONDS:
        return read_seconds(in, to);
    case VALUE_PHASE:
        return read_phase(in, to);
    case VALUE_PREEMPTION:
        return read_preemption(in, to);
    case VALUE_LABELS:
        return read_labels(in, to);
    case VALUE_TAINTS:
        return read_taints(in, to);
    case VALUE_TOLERATIONS:
        return read_tolerations(in, to);
    }
    return false;
}

static bool read_member(struct reading *in)
{
    const struct key *k = find_key(in->line->kind, in->key);
    uint32_t bit;
    int place;

    if (k == NULL)
        return find_resource(in, &place) ? read_amount(in, place) : unknown_key(in);
    bit = UINT32_C(1) << k->key;
    if ((in->line->given & bit) != 0)
        return jsonr_refuse(&in->r, "%s.%s: found twice, expected once", kind_names[in->line->kind],
                            k->name);
    in->line->given |= bit;
    return read_value(in, k);
}

static bool read_object(struct reading *in)
{
    static const char *const name_keys[] = {
        [LINE_NODE] = "name", [LINE_POD] = "uid", [LINE_FILLER] = "policy", [LINE_STEP] = ""};
    enum line_kind kind = in->line->kind;

    if (jsonr_peek(&in->r) != JSONR_OBJECT && jsonr_peek(&in->r) != JSONR_NONE)
        return jsonr_refuse(&in->r, "%s: found %s, expected an object", kind_names[kind],
                            jsonr_kind_name(jsonr_peek(&in->r)));
    if (!jsonr_object(&in->r))
        return false;
    while (jsonr_key(&in->r, &in->key)) {
        if (!read_member(in))
            return false;
    }
    if (in->line->name.len == 0)
        return jsonr_refuse(&in->r, "%s: found no %s, expected one", kind_names[kind],
                            name_keys[kind]);
    return true;
}

static bool read_step(struct reading *in)
{
    bool asks = false;

    if (jsonr_peek(&in->r) == JSONR_TRUE)
        return jsonr_bool(&in->r, &asks);
    return jsonr_refuse(&in->r, "step: found %s, expected true",
                        jsonr_kind_name(jsonr_peek(&in->r)));
}

static bool read_t(struct reading *in)
{
    static const char expected[] = "seconds, at least 0 and at most 1e11";
    enum jsonr_kind kind = jsonr_peek(&in->r);
    char shown[YAML_SHOW_SIZE];
    struct sv text;

    if (kind != JSONR_NUMBER)
        return jsonr_refuse(&in->r, "t: found %s, expected %s", jsonr_kind_name(kind), expected);
    if (!jsonr_number(&in->r, &text))
        return false;
    if (!jsonr_fixed(text, 6, &in->line->t_us) || text.at[0] == '-' ||
        in->line->t_us > DECIDE_MAX_T_US)
        return jsonr_refuse(&in->r, "t: found %s, expected %s", yaml_show(text, shown), expected);
    return true;
}

static bool read_top_key(struct reading *in, bool *has_t, bool *has_fact)
{
    static const char *const expected = "t and one of node, pod, filler or step";
    char shown[YAML_SHOW_SIZE];
    int kind = 0;

    if (sv_eq(in->key, SV("t"))) {
        if (*has_t)
            return jsonr_refuse(&in->r, "t: found twice, expected once");
        *has_t = true;
        return read_t(in);
    }
    while (kind < LINE_KIND_COUNT_ && !sv_eq(in->key, sv_from(kind_names[kind])))
        kind++;
    if (kind == LINE_KIND_COUNT_)
        return jsonr_refuse(&in->r, "found the key %s, expected %s", yaml_show(in->key, shown),
                            expected);
    if (*has_fact)
        return jsonr_refuse(&in->r, "found %s beside %s, expected %s", kind_names[kind],
                            kind_names[in->line->kind], expected);
    *has_fact = true;
    in->line->kind = (enum line_kind)kind;
    return kind == LINE_STEP ? read_step(in) : read_object(in);
}

/* Empties all but the lists' memory. */
static void clear(struct decide_line *line)
{
    line->given = line->withdrawn = 0;
    line->name = (struct sv){0};
    line->n_amounts = 0;
}

bool decide_line_read(struct decide_line *line, char *text, size_t len,
                      struct resource_names *names, struct err *err)
{
    struct reading in = {.line = line, .names = names};
    bool has_t = false, has_fact = false;

    clear(line);
    jsonr_init(&in.r, text, len);
    if (jsonr_object(&in.r)) {
        while (jsonr_key(&in.r, &in.key) && read_top_key(&in, &has_t, &has_fact))
            continue;
    }
    if (!has_t)
        (void)jsonr_refuse(&in.r, "found no t, expected the time in seconds");
    else if (!has_fact)
        (void)jsonr_refuse(&in.r, "found no fact, expected one of node, pod, filler or step");
    return jsonr_end(&in.r, err);
}

void decide_line_done(struct decide_line *line)
{
    free(line->labels.at);
    free(line->node_selector.at);
    free(line->taints.at);
    free(line->tolerations.at);
    *line = (struct decide_line){0};
}
