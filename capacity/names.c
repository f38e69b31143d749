#include "capacity/names.h"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool letter_or_digit(char c)
{
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Letters and digits, with '-', '_' and '.' between them. */
static bool name_part(struct sv text)
{
    if (text.len == 0 || text.len > NAMES_MAX_PART)
        return false;
    if (!letter_or_digit(text.at[0]) || !letter_or_digit(text.at[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!letter_or_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

bool names_subdomain(struct sv text)
{
    char before = '.';

    if (text.len == 0 || text.len > NAMES_MAX_PREFIX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        /* Each label begins and ends with a letter or digit. */
        if (c == '.' ? !lower_or_digit(before) : c == '-' ? before == '.' : !lower_or_digit(c))
            return false;
        before = c;
    }
    return lower_or_digit(before);
}

bool names_qualified(struct sv text)
{
    struct sv prefix, name;

    if (!sv_cut(text, '/', &prefix, &name))
        return name_part(text);
    return names_subdomain(prefix) && name_part(name);
}

bool names_label_value(struct sv text)
{
    return text.len == 0 || name_part(text);
}
