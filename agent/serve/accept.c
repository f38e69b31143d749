#include "agent/serve/accept.h"

#include "agent/serve/exposition.h"

/* RFC 9110, 12.5.1. A weight in thousandths, -1 where it is not one. */
static int weight_parse(struct sv text)
{
    static const int place[] = {100, 10, 1};
    int weight;

    if (text.len == 0 || text.len > 5 || (text.at[0] != '0' && text.at[0] != '1'))
        return -1;
    weight = (text.at[0] - '0') * 1000;
    if (text.len > 1 && text.at[1] != '.')
        return -1;
    for (size_t i = 2; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        weight += (text.at[i] - '0') * place[i - 2];
    }
    return weight <= 1000 ? weight : -1;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Types and parameter names do not heed case. `word` is lower case. */
static bool is_word(struct sv text, struct sv word)
{
    if (text.len != word.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (lower(text.at[i]) != word.at[i])
            return false;
    }
    return true;
}

/* One media range; a parameter that it does not have is empty. */
struct range {
    struct sv type, version, group, v, as;
    int weight;
};

static struct sv unquoted(struct sv value)
{
    if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
        return (struct sv){.at = value.at + 1, .len = value.len - 2};
    return value;
}

static void read_param(struct sv name, struct sv value, struct range *r)
{
    if (is_word(name, SV("q")))
        r->weight = weight_parse(value);
    else if (is_word(name, SV("version")))
        r->version = value;
    else if (is_word(name, SV("g")))
        r->group = value;
    else if (is_word(name, SV("v")))
        r->v = value;
    else if (is_word(name, SV("as")))
        r->as = value;
}

/* False if it cannot be read. */
static bool range_parse(struct sv text, struct range *ret_range)
{
    struct range r = {.weight = 1000};
    struct sv piece, name, value;

    if (!sv_next(&text, ';', &piece))
        return false;
    r.type = sv_trim(piece);
    while (sv_next(&text, ';', &piece)) {
        if (sv_cut(piece, '=', &name, &value))
            read_param(sv_trim(name), unquoted(sv_trim(value)), &r);
    }
    *ret_range = r;
    return r.weight >= 0;
}

enum exposition_format exposition_negotiate(struct sv accept)
{
    /* What the header says of text/plain: by its name, else by text / *, else by * / *; the closer
     * one counts. */
    int text[3] = {-1, -1, -1}, open = 0, plain;
    struct range r;
    struct sv piece;

    while (sv_next(&accept, ',', &piece)) {
        int *to = NULL;

        if (!range_parse(piece, &r))
            continue;
        if (is_word(r.type, SV("application/openmetrics-text")) &&
            (r.version.len == 0 || sv_eq(r.version, SV("1.0.0"))))
            to = &open;
        else if (is_word(r.type, SV("text/plain")) &&
                 (r.version.len == 0 || sv_eq(r.version, SV("0.0.4"))))
            to = &text[0];
        else if (is_word(r.type, SV("text/*")))
            to = &text[1];
        else if (sv_eq(r.type, SV("*/*")))
            to = &text[2];
        if (to != NULL && r.weight > *to)
            *to = r.weight;
    }
    plain = text[0] >= 0 ? text[0] : text[1] >= 0 ? text[1] : text[2];
    return open > 0 && open >= plain ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}

/* What is said of a form: by the closest of the ranges that match it, and there by the first. */
struct wish {
    int closeness; /* 0: nothing was said */
    int weight;
    size_t place;
};

static void wish(struct wish *w, int closeness, int weight, size_t place)
{
    if (closeness > w->closeness || (closeness == w->closeness && weight > w->weight))
        *w = (struct wish){.closeness = closeness, .weight = weight, .place = place};
}

static void read_wish(const struct range *r, size_t place, struct wish *wishes)
{
    bool json = is_word(r->type, SV("application/json"));

    if (json && r->as.len == 0)
        wish(&wishes[ACCEPT_JSON], 3, r->weight, place);
    else if (is_word(r->type, SV("application/*")))
        wish(&wishes[ACCEPT_JSON], 2, r->weight, place);
    else if (sv_eq(r->type, SV("*/*")))
        wish(&wishes[ACCEPT_JSON], 1, r->weight, place);
    if (!json || !sv_eq(r->as, SV("APIGroupDiscoveryList")) ||
        !sv_eq(r->group, SV("apidiscovery.k8s.io")))
        return;
    if (sv_eq(r->v, SV("v2")))
        wish(&wishes[ACCEPT_GROUPS_V2], 3, r->weight, place);
    else if (sv_eq(r->v, SV("v2beta1")))
        wish(&wishes[ACCEPT_GROUPS_V2BETA1], 3, r->weight, place);
}

enum accept_form accept_json(struct sv accept, bool groups)
{
    struct wish wishes[ACCEPT_FORM_COUNT_] = {0};
    const struct wish *best = &wishes[ACCEPT_NOTHING];
    struct range r;
    struct sv piece;
    size_t place = 0;

    if (sv_trim(accept).len == 0)
        return ACCEPT_JSON;
    for (; sv_next(&accept, ',', &piece); place++) {
        if (range_parse(piece, &r))
            read_wish(&r, place, wishes);
    }
    for (int f = ACCEPT_JSON; f < (groups ? ACCEPT_FORM_COUNT_ : ACCEPT_JSON + 1); f++) {
        const struct wish *w = &wishes[f];

        if (w->weight > best->weight || (w->weight == best->weight && w->place < best->place))
            best = w;
    }
    return (enum accept_form)(best - wishes);
}
