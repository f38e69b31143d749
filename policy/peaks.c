#include "policy/peaks.h"

#include <assert.h>

#include "base/num.h"

static int64_t number_of(const struct peaks *p, int64_t us)
{
    int64_t number = us / p->width_us;

    return number * p->width_us > us ? number - 1 : number;
}

static struct peaks_part *part_of(struct peaks *p, int64_t number)
{
    int64_t place = number % (PEAKS + 1);

    return &p->at[place < 0 ? place + PEAKS + 1 : place];
}

static void add(struct peaks *p, int64_t number, int64_t highest, int64_t known_us)
{
    struct peaks_part *part = part_of(p, number);

    if (!part->used || part->number != number)
        *part = (struct peaks_part){.used = true, .number = number, .highest = highest};
    part->highest = max_i64(part->highest, highest);
    part->known_us += known_us;
}

void peaks_init(struct peaks *p, int64_t window_us)
{
    *p = (struct peaks){.width_us = (max_i64(window_us, PEAKS) - 1) / PEAKS + 1};
}

void peaks_set_window(struct peaks *p, int64_t window_us)
{
    struct peaks old = *p;

    peaks_init(p, window_us);
    if (p->width_us == old.width_us) {
        *p = old;
        return;
    }
    p->last = old.last;
    for (size_t i = 0; i <= PEAKS; i++) {
        const struct peaks_part *part = &old.at[i];
        int64_t end = min_i64((part->number + 1) * old.width_us, old.last.us);
        int64_t newest = number_of(p, end - 1), oldest = number_of(p, old.last.us) - PEAKS;

        if (!part->used || newest < oldest)
            continue;
        for (int64_t n = max_i64(number_of(p, part->number * old.width_us), oldest); n <= newest;
             n++)
            add(p, n, part->highest, n == newest ? part->known_us : 0);
    }
}

void peaks_note(struct peaks *p, struct mono from, struct mono to, int64_t value)
{
    assert(from.us <= to.us);
    if (from.us == to.us)
        return;

    int64_t newest = number_of(p, to.us - 1),
            oldest = max_i64(number_of(p, from.us), newest - PEAKS);

    for (int64_t n = oldest; n <= newest; n++) {
        int64_t begin = max_i64(from.us, n * p->width_us);
        int64_t end = n < newest ? (n + 1) * p->width_us : to.us;

        add(p, n, value, end - begin);
    }
    p->last = to;
    p->summed = p->summed && oldest == newest && newest == p->number;
    if (p->summed) {
        p->sum.highest = max_i64(p->sum.highest, value);
        p->sum.known_us += mono_since_us(from, to);
    }
}

/* What the parts from `oldest` to `newest` come to. */
static struct peaks_sum sum_of(const struct peaks *p, int64_t oldest, int64_t newest)
{
    struct peaks_sum sum = {.highest = INT64_MIN};

    for (size_t i = 0; i <= PEAKS; i++) {
        const struct peaks_part *part = &p->at[i];

        if (!part->used || part->number < oldest || part->number > newest)
            continue;
        sum.highest = max_i64(sum.highest, part->highest);
        sum.known_us += part->known_us;
    }
    return sum;
}

struct peaks_sum peaks_at(struct peaks *p, struct mono now)
{
    int64_t number = number_of(p, now.us);

    if (p->summed && p->number == number)
        return p->sum;
    p->summed = true;
    p->number = number;
    p->sum = sum_of(p, number - PEAKS, number);
    return p->sum;
}

struct mono peaks_falls(struct peaks *p, struct mono now, int64_t known_us)
{
    int64_t newest = number_of(p, now.us), oldest = newest - PEAKS;
    struct peaks_sum all = peaks_at(p, now);
    int64_t left_us = all.known_us;

    /* The part that has the highest value and leaves last, or the one whose leaving leaves too
     * little. */
    for (int64_t n = newest; n >= oldest; n--) {
        const struct peaks_part *part = part_of(p, n);

        if (part->used && part->number == n && part->highest == all.highest) {
            newest = n;
            break;
        }
    }
    for (int64_t n = oldest; n < newest; n++) {
        const struct peaks_part *part = part_of(p, n);

        if (!part->used || part->number != n)
            continue;
        left_us -= part->known_us;
        if (left_us < known_us)
            newest = n;
    }
    return (struct mono){.us = (newest + PEAKS + 1) * p->width_us};
}
