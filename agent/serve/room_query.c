#include "agent/serve/room_query.h"

#include "capacity/names.h"
#include "capacity/quantity.h"
#include "capacity/selector.h"

/* Texts in messages are cut. */
#define SHOWN(text) (int)((text).len > 60 ? 60 : (text).len), (text).at

static bool read_amount(struct sv text, bool milli, int64_t *ret_amount, struct err *err)
{
    struct quantity q;
    struct err why = {0};
    bool fits;

    if (!quantity_parse(text, &q, &why))
        return err_set(err, ERR_INPUT, 0, "found '%.*s', expected a quantity like %s (%s)",
                       SHOWN(text), milli ? "1500m or 2" : "2Gi or 1", why.text);
    if (q.nano < 0)
        return err_set(err, ERR_INPUT, 0, "found '%.*s', expected 0 or more", SHOWN(text));
    fits = milli ? quantity_milli(&q, ret_amount) : quantity_value(&q, ret_amount);
    return fits || err_set(err, ERR_INPUT, 0, "found '%.*s', expected less than 2^63%s",
                           SHOWN(text), milli ? " thousandths" : "");
}

static bool read_basic(struct sv name, struct sv value, struct room_query *q, bool *ret_is,
                       struct err *err)
{
    int place = sv_eq(name, SV("cpu"))                 ? RESOURCE_CPU
                : sv_eq(name, SV("memory"))            ? RESOURCE_MEMORY
                : sv_eq(name, SV("ephemeral-storage")) ? RESOURCE_EPHEMERAL
                                                       : -1;

    *ret_is = place >= 0;
    return place < 0 || read_amount(value, place == RESOURCE_CPU, &q->request.at[place], err);
}

/* Where a resource that no node offers stands; -1: no place is left. */
static int place_behind(const struct resource_names *names, const struct room_query *q)
{
    int place = names->count;

    for (size_t i = 0; i < q->n_extended; i++)
        place += q->extended[i].place >= names->count;
    return place < RESOURCE_MAX && !names->overflow ? place : -1;
}

static bool read_extended(struct sv name, struct sv value, const struct resource_names *names,
                          struct room_query *q, struct err *err)
{
    struct room_amount a = {.name = name, .place = place_behind(names, q)};

    if (!read_amount(value, false, &a.amount, err))
        return false;
    for (int i = RESOURCE_FIRST_EXTENDED; i < names->count; i++) {
        if (sv_eq(name, sv_from(names->name[i])))
            a.place = i;
    }
    if (a.place < 0)
        return err_set(err, ERR_LIMIT, 0,
                       "the cluster has more extended resources than the %d that are counted: this "
                       "one may be among them",
                       RESOURCE_MAX - RESOURCE_FIRST_EXTENDED);
    q->request.at[a.place] = a.amount;
    q->extended[q->n_extended++] = a;
    return true;
}

struct sv room_query_name(const struct room_query *q, const struct resource_names *names, int place)
{
    for (size_t i = 0; i < q->n_extended; i++) {
        if (q->extended[i].place == place)
            return q->extended[i].name;
    }
    return place >= 0 && place < names->count ? sv_from(names->name[place]) : (struct sv){0};
}

static bool read_selector(struct sv text, struct arena *arena, struct room_query *q,
                          struct err *err)
{
    struct selector s = {0};

    if (!selector_parse(arena, text, &s, err))
        return false;
    q->term = (struct node_term){.exprs = s.reqs, .n_exprs = s.n};
    if (s.n != 0) { /* an empty term matches nothing */
        q->rules.has_affinity = true;
        q->rules.terms = &q->term;
        q->rules.n_terms = 1;
    }
    return true;
}

static bool read_effect(struct sv text, enum taint_effect *ret_effect, struct err *err)
{
    if (sv_eq(text, SV("NoSchedule")))
        *ret_effect = EFFECT_NO_SCHEDULE;
    else if (sv_eq(text, SV("NoExecute")))
        *ret_effect = EFFECT_NO_EXECUTE;
    else if (sv_eq(text, SV("PreferNoSchedule")))
        *ret_effect = EFFECT_PREFER_NO_SCHEDULE;
    else
        return err_set(err, ERR_INPUT, 0,
                       "found effect '%.*s', expected NoSchedule, PreferNoSchedule or NoExecute",
                       SHOWN(text));
    return true;
}

static bool read_toleration(struct sv text, struct room_query *q, struct err *err)
{
    struct toleration t = {.op = TOLERATE_EXISTS};
    struct sv rest = text, effect;

    if (sv_cut(text, ':', &rest, &effect) && !read_effect(effect, &t.effect, err))
        return false;
    if (!sv_eq(rest, SV("*"))) {
        t.key = rest;
        if (sv_cut(rest, '=', &t.key, &t.value))
            t.op = TOLERATE_EQUAL;
        if (!names_qualified(t.key) || !names_label_value(t.value))
            return err_set(
                err, ERR_INPUT, 0,
                "found '%.*s', expected KEY, KEY=VALUE, KEY:EFFECT, KEY=VALUE:EFFECT or *",
                SHOWN(text));
    }
    q->tolerations[q->rules.n_tolerations++] = t;
    q->rules.tolerations = q->tolerations;
    return true;
}

static bool read_nodes(struct sv value, struct room_query *q, struct err *err)
{
    q->nodes = sv_eq(value, SV("1"));
    return q->nodes || sv_eq(value, SV("0")) ||
           err_set(err, ERR_INPUT, 0, "found '%.*s', expected 1 or 0", SHOWN(value));
}

static bool read_param(const struct routes_param *p, const struct resource_names *names,
                       struct arena *arena, struct room_query *q, struct err *err)
{
    bool basic;

    if (!read_basic(p->key, p->value, q, &basic, err))
        return false;
    if (basic)
        return true;
    if (sv_eq(p->key, SV("nodeSelector")))
        return read_selector(p->value, arena, q, err);
    if (sv_eq(p->key, SV("toleration")))
        return read_toleration(p->value, q, err);
    if (sv_eq(p->key, SV("nodes")))
        return read_nodes(p->value, q, err);
    if (!sv_eq(p->key, SV("pods")) && names_qualified(p->key) && resource_countable(p->key))
        return read_extended(p->key, p->value, names, q, err);
    return err_set(
        err, ERR_INPUT, 0,
        "no such parameter; expected cpu, memory, ephemeral-storage, an extended resource "
        "like nvidia.com/gpu, nodeSelector, toleration or nodes");
}

static bool came_before(const struct routes_param *params, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (sv_eq(params[k].key, params[i].key))
            return true;
    }
    return false;
}

bool room_query_read(const struct routes_param *params, size_t n,
                     const struct resource_names *names, struct arena *arena,
                     struct room_query *ret_q, struct room_problem *ret_problem)
{
    *ret_q = (struct room_query){.request.at[RESOURCE_PODS] = 1};
    for (size_t i = 0; i < n && i < ROUTES_MAX_PARAMS; i++) {
        struct err err = {0};

        if (params[i].key.len == 0 && params[i].value.len == 0)
            continue; /* "?&", or one & too many */
        if (came_before(params, i) && !sv_eq(params[i].key, SV("toleration")))
            (void)err_set(&err, ERR_INPUT, 0, "found it twice, expected it once");
        else if (read_param(&params[i], names, arena, ret_q, &err))
            continue;
        *ret_problem = (struct room_problem){.field = params[i].key, .err = err};
        return false;
    }
    return true;
}
