#include "capacity/records.h"

static const char *const phase_names[] = {
    [PHASE_PENDING] = "Pending", [PHASE_RUNNING] = "Running", [PHASE_SUCCEEDED] = "Succeeded",
    [PHASE_FAILED] = "Failed",   [PHASE_UNKNOWN] = "Unknown",
};
_Static_assert(COUNT_OF(phase_names) == PHASE_COUNT_, "a phase has no name");

const char *pod_phase_name(enum pod_phase phase)
{
    return phase_names[phase];
}

/*
 * One more than the digit's value; 0: none. Lower case alone: upper case is another text, and the API
 * compares uids as text.
 */
static const uint8_t hex_digits[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* So many digits, appended to *value. */
static bool hex_parse(const char *at, int digits, uint64_t *value)
{
    for (int i = 0; i < digits; i++) {
        unsigned digit = hex_digits[(unsigned char)at[i]];

        if (digit == 0)
            return false;
        *value = *value << 4 | (digit - 1);
    }
    return true;
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool uuid_parse(struct sv text, struct uid *ret_uid)
{
    struct uid uid = {0};
    const char *at = text.at;

    if (text.len != 36 || at[8] != '-' || at[13] != '-' || at[18] != '-' || at[23] != '-' ||
        !hex_parse(at, 8, &uid.hi) || !hex_parse(at + 9, 4, &uid.hi) ||
        !hex_parse(at + 14, 4, &uid.hi) || !hex_parse(at + 19, 4, &uid.lo) ||
        !hex_parse(at + 24, 12, &uid.lo))
        return false;
    *ret_uid = uid;
    return true;
}

/* FNV-1a: a second hash, independent of sv_hash(). */
static uint64_t fnv(struct sv text)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * 0x100000001b3ULL;
    return hash;
}

struct uid uid_parse(struct sv text)
{
    struct uid uid = {0};

    if (text.len == 0 || (uuid_parse(text, &uid) && !uid_is_zero(uid)))
        return uid;
    uid = (struct uid){.hi = fnv(text), .lo = sv_hash(text)};
    if (uid_is_zero(uid))
        uid.lo = 1;
    return uid;
}

void uid_format(struct uid uid, char text[static UID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (int i = 0; i < 32; i++) {
        uint64_t half = i < 16 ? uid.hi : uid.lo;

        if (i == 8 || i == 12 || i == 16 || i == 20)
            text[n++] = '-';
        text[n++] = digits[half >> (60 - i % 16 * 4) & 15];
    }
    text[n] = '\0';
}

bool pod_record_counted(const struct pod_record *pod)
{
    return pod->node.len != 0 && pod->phase != PHASE_SUCCEEDED && pod->phase != PHASE_FAILED;
}
