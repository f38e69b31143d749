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

/* Lower case alone: upper case is another text, and the API compares uids as text. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool uuid_parse(struct sv text, struct uid *ret_uid)
{
    uint64_t half[2] = {0, 0};
    int digits = 0;

    if (text.len != 36)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.at[i] != '-')
                return false;
            continue;
        }
        int value = hex_digit(text.at[i]);

        if (value < 0)
            return false;
        half[digits / 16] = half[digits / 16] << 4 | (uint64_t)value;
        digits++;
    }
    *ret_uid = (struct uid){.hi = half[0], .lo = half[1]};
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
