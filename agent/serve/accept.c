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

/* One media range: its weight and version; false if it cannot be read. */
static bool range_parse(struct sv range, struct sv *ret_type, struct sv *ret_version,
                        int *ret_weight)
{
    struct sv piece, name, value, version = {0};
    int weight = 1000;

    if (!sv_next(&range, ';', &piece))
        return false;
    *ret_type = sv_trim(piece);
    while (sv_next(&range, ';', &piece)) {
        if (!sv_cut(piece, '=', &name, &value))
            continue;
        name = sv_trim(name);
        value = sv_trim(value);
        if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
            value = (struct sv){.at = value.at + 1, .len = value.len - 2};
        if (is_word(name, SV("q")))
            weight = weight_parse(value);
        else if (is_word(name, SV("version")))
            version = value;
    }
    *ret_version = version;
    *ret_weight = weight;
    return weight >= 0;
}

enum exposition_format exposition_negotiate(struct sv accept)
{
    /* What the header says of text/plain: by its name, else by text / *, else by * / *; the closer
     * one counts. */
    int text[3] = {-1, -1, -1}, open = 0, plain;
    struct sv range, type, version;
    int weight;

    while (sv_next(&accept, ',', &range)) {
        int *to = NULL;

        if (!range_parse(range, &type, &version, &weight))
            continue;
        if (is_word(type, SV("application/openmetrics-text")) &&
            (version.len == 0 || sv_eq(version, SV("1.0.0"))))
            to = &open;
        else if (is_word(type, SV("text/plain")) &&
                 (version.len == 0 || sv_eq(version, SV("0.0.4"))))
            to = &text[0];
        else if (is_word(type, SV("text/*")))
            to = &text[1];
        else if (sv_eq(type, SV("*/*")))
            to = &text[2];
        if (to != NULL && weight > *to)
            *to = weight;
    }
    plain = text[0] >= 0 ? text[0] : text[1] >= 0 ? text[1] : text[2];
    return open > 0 && open >= plain ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}
