#include "tests/pocket/match.h"

#include "agent/json_read.h"

/* The value of a field that objects of this kind can be selected by; false: there is none. */
static bool pod_field(const struct object *o, struct sv field, struct sv *ret_value)
{
    if (sv_eq(field, SV("spec.nodeName")))
        *ret_value = o->is.node;
    else if (sv_eq(field, SV("status.phase")))
        *ret_value = o->is.phase;
    else if (sv_eq(field, SV("status.nominatedNodeName")))
        *ret_value = o->is.nominated;
    else if (sv_eq(field, SV("spec.schedulerName")))
        *ret_value = SV("default-scheduler");
    else
        return false;
    return true;
}

/* "regarding.name" of an Event; its text lies in the object's JSON without escapes, as names do. */
static bool event_field(const struct object *o, struct sv field, char *text, size_t size,
                        struct sv *ret_value)
{
    static const char *const fields[] = {"regarding.kind", "regarding.namespace",
                                         "regarding.name", "regarding.uid",
                                         "reason",         "type"};
    struct strbuf json;

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!sv_eq(field, sv_from(fields[i])))
            continue;
        strbuf_init(&json, SIZE_MAX);
        object_json(o, 0, false, &json);
        struct sv value = json_at(strbuf_sv(&json), fields[i]);
        size_t len = value.len >= 2 ? value.len - 2 : 0;

        if (len > size)
            len = size;
        memcpy(text, value.at != NULL ? value.at + 1 : "", len);
        *ret_value = (struct sv){.at = text, .len = len};
        strbuf_done(&json);
        return true;
    }
    return false;
}

static bool has_field(enum kind kind, struct sv field)
{
    struct object probe = {.is = {.kind = kind}};
    struct sv value;
    char text[1];

    if (sv_eq(field, SV("metadata.name")) || sv_eq(field, SV("metadata.namespace")))
        return true;
    return (kind == KIND_PODS && pod_field(&probe, field, &value)) ||
           (kind == KIND_NODES && sv_eq(field, SV("spec.unschedulable"))) ||
           (kind == KIND_EVENTS && event_field(&probe, field, text, sizeof text, &value));
}

static bool term_holds(const struct object *o, struct sv field, struct sv wanted)
{
    char text[256];
    struct sv value = {0};

    if (sv_eq(field, SV("metadata.name")))
        value = o->is.name;
    else if (sv_eq(field, SV("metadata.namespace")))
        value = o->is.ns;
    else if (o->is.kind == KIND_PODS)
        (void)pod_field(o, field, &value);
    else if (o->is.kind == KIND_NODES)
        value = o->is.unschedulable ? SV("true") : SV("false");
    else
        (void)event_field(o, field, text, sizeof text, &value);
    return sv_eq(value, wanted);
}

static bool add_term(struct match *m, enum kind kind, struct sv text, struct err *err)
{
    struct sv field, value;
    bool unequal;

    if (!sv_cut(text, '=', &field, &value))
        return err_set(err, ERR_INPUT, 0, "invalid selector: '%.*s'; can't understand '%.*s'",
                       SV_ARG(text), SV_ARG(text));
    unequal = sv_ends(field, SV("!"));
    if (unequal)
        field.len--;
    if (sv_starts(value, SV("=")))
        value = sv_skip(value, 1);
    if (!has_field(kind, field))
        return err_set(err, ERR_INPUT, 0, "field label not supported: %.*s", SV_ARG(field));
    if (m->n_terms == MATCH_MAX_TERMS)
        return err_set(err, ERR_INPUT, 0, "found more than %d terms in a field selector",
                       MATCH_MAX_TERMS);
    m->terms[m->n_terms].field = field;
    m->terms[m->n_terms].value = value;
    m->terms[m->n_terms++].unequal = unequal;
    return true;
}

bool match_init(struct match *m, enum kind kind, struct sv ns, struct sv fields, struct sv labels,
                struct err *err)
{
    struct sv rest, term;

    *m = (struct match){0};
    arena_init(&m->arena, MATCH_MAX_SELECTOR);
    m->ns = arena_dup(&m->arena, ns);
    rest = arena_dup(&m->arena, fields);
    if (m->ns.at == NULL || rest.at == NULL)
        return err_set(err, ERR_INPUT, 0, "the selector is too long");
    while (sv_next(&rest, ',', &term))
        if (term.len != 0 && !add_term(m, kind, term, err))
            return false;
    return labels.len == 0 || selector_parse(&m->arena, labels, &m->labels, err);
}

void match_done(struct match *m)
{
    arena_done(&m->arena);
}

bool match_selects(const struct match *m)
{
    return m->n_terms != 0 || m->labels.n != 0;
}

bool match_object(const struct match *m, const struct object *o)
{
    if (m->ns.len != 0 && !sv_eq(m->ns, o->is.ns))
        return false;
    for (size_t i = 0; i < m->n_terms; i++)
        if (term_holds(o, m->terms[i].field, m->terms[i].value) == m->terms[i].unequal)
            return false;
    return selector_matches(&m->labels, o->is.labels, o->is.n_labels);
}
