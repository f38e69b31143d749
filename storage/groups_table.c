#include "storage/groups_table.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/codec.h"
#include "storage/figures.h"

enum {
    KIND_MISSING,
    KIND_MEAN,
    KIND_MOST_PAID = KIND_MEAN + GROUP_FIELD_COUNT_,
    KIND_MOST_NODES,
    KIND_COUNT_
};
enum { ID_STEP, ID_COVERED, ID_GROUPS = 16, OWN_COLUMNS = 2 };

_Static_assert(OWN_COLUMNS + GROUPS_TABLE_MAX * KIND_COUNT_ <= CODEC_MAX_COLUMNS,
               "a chunk has too few columns");
_Static_assert(KIND_COUNT_ == 8, "files count on eight numbers a group");

int64_t groups_mean_milli(const struct groups_sum *sum, enum group_field field)
{
    return sum->covered_ms > 0
               ? (int64_t)((sum->area[field] + sum->covered_ms / 2) / sum->covered_ms)
               : 0;
}

void groups_sum_add(struct groups_sum *sum, const int64_t milli[GROUP_FIELD_COUNT_], int64_t ms)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        sum->area[k] += (__int128)milli[k] * ms;
    sum->covered_ms += ms;
    sum->most_paid_milli = max_i64(sum->most_paid_milli, milli[GROUP_PAID]);
    sum->most_nodes_milli = max_i64(sum->most_nodes_milli, milli[GROUP_NODES]);
}

void groups_sum_join(struct groups_sum *to, const struct groups_sum *from, int64_t part,
                     int64_t whole)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        to->area[k] += part == whole ? from->area[k] : from->area[k] * part / whole;
    to->covered_ms += (int64_t)((__int128)from->covered_ms * part / whole);
    to->most_paid_milli = max_i64(to->most_paid_milli, from->most_paid_milli);
    to->most_nodes_milli = max_i64(to->most_nodes_milli, from->most_nodes_milli);
}

void groups_sum_beside(struct groups_sum *to, const struct groups_sum *from)
{
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        to->area[k] += from->area[k];
    to->covered_ms = max_i64(to->covered_ms, from->covered_ms);
    to->most_paid_milli += from->most_paid_milli;
    to->most_nodes_milli += from->most_nodes_milli;
}

size_t groups_table_row(struct groups_table *t, int64_t step)
{
    size_t i = 0;

    while (i < t->rows && t->step[i] < step)
        i++;
    if (i < t->rows && t->step[i] == step)
        return i;
    if (t->rows == GROUPS_TABLE_ROWS)
        return GROUPS_TABLE_ROWS;
    memmove(&t->step[i + 1], &t->step[i], (t->rows - i) * sizeof *t->step);
    memmove(&t->covered[i + 1], &t->covered[i], (t->rows - i) * sizeof *t->covered);
    memmove(groups_table_at(t, i + 1, 0), groups_table_at(t, i, 0),
            (t->rows - i) * GROUPS_TABLE_MAX * sizeof *t->at);
    memset(groups_table_at(t, i, 0), 0, GROUPS_TABLE_MAX * sizeof *t->at);
    t->step[i] = step;
    t->covered[i] = 0;
    t->rows++;
    return i;
}

size_t groups_table_group(struct groups_table *t, int64_t id)
{
    size_t i = 0;

    while (i < t->n && t->id[i] != id)
        i++;
    if (i == t->n && t->n < GROUPS_TABLE_MAX)
        t->id[t->n++] = id;
    return i;
}

void groups_table_join(struct groups_table *t, size_t group, size_t to)
{
    size_t last = t->n - 1;

    for (size_t i = 0; i < t->rows; i++) {
        groups_sum_beside(groups_table_at(t, i, to), groups_table_at(t, i, group));
        *groups_table_at(t, i, group) = *groups_table_at(t, i, last);
        *groups_table_at(t, i, last) = (struct groups_sum){0};
    }
    t->id[group] = t->id[last];
    t->n--;
}

/* ---- into bytes ---- */

static int64_t value_of(const struct groups_sum *sum, int64_t covered_ms, int kind)
{
    if (kind == KIND_MISSING)
        return covered_ms - sum->covered_ms;
    if (kind == KIND_MOST_PAID)
        return max_i64(0, sum->most_paid_milli - groups_mean_milli(sum, GROUP_PAID));
    if (kind == KIND_MOST_NODES)
        return max_i64(0, sum->most_nodes_milli - groups_mean_milli(sum, GROUP_NODES));
    return groups_mean_milli(sum, (enum group_field)(kind - KIND_MEAN));
}

struct packing {
    struct codec_column columns[OWN_COLUMNS + GROUPS_TABLE_MAX * KIND_COUNT_];
    size_t n;
    int64_t *values; /* of all columns, rows of each */
};

static void pack_group(struct packing *p, const struct groups_table *t, size_t group)
{
    for (int kind = 0; kind < KIND_COUNT_; kind++) {
        int64_t *values = p->values + p->n * t->rows, any = 0;

        for (size_t i = 0; i < t->rows; i++) {
            values[i] = value_of(&t->at[i * GROUPS_TABLE_MAX + group], t->covered[i], kind);
            any |= values[i];
        }
        if (any != 0 || kind == KIND_MEAN)
            p->columns[p->n++] = (struct codec_column){
                .id = (uint32_t)(ID_GROUPS + KIND_COUNT_ * t->id[group] + kind), .values = values};
    }
}

/* The place of the group with the least number above `above`; n: there is none. */
static size_t next_group(const struct groups_table *t, int64_t above)
{
    size_t next = t->n;

    for (size_t i = 0; i < t->n; i++) {
        if (t->id[i] > above && (next == t->n || t->id[i] < t->id[next]))
            next = i;
    }
    return next;
}

void groups_table_pack(const struct groups_table *t, struct strbuf *out)
{
    struct packing p = {.n = OWN_COLUMNS};

    p.columns[0] = (struct codec_column){.id = ID_STEP, .values = t->step};
    p.columns[1] = (struct codec_column){.id = ID_COVERED, .values = t->covered};
    p.values = xcalloc(COUNT_OF(p.columns) * t->rows, sizeof *p.values);
    for (size_t i = next_group(t, -1); i < t->n; i = next_group(t, t->id[i]))
        pack_group(&p, t, i);
    codec_pack(p.columns, p.n, t->rows, out);
    free(p.values);
}

/* ---- out of them ---- */

/* What a column says of a row, before all of them are in. */
static void put_value(struct groups_sum *sum, int kind, int64_t value)
{
    if (kind == KIND_MISSING)
        sum->covered_ms = value;
    else if (kind == KIND_MOST_PAID)
        sum->most_paid_milli = value;
    else if (kind == KIND_MOST_NODES)
        sum->most_nodes_milli = value;
    else
        sum->area[kind - KIND_MEAN] = value;
}

static bool take_column(const struct codec *c, const struct codec_cursor *cursor,
                        struct groups_table *t, int64_t *values, struct err *damage)
{
    size_t group;

    if (!codec_values(c, cursor, values, damage))
        return false;
    if (cursor->id == ID_STEP || cursor->id == ID_COVERED) {
        memcpy(cursor->id == ID_STEP ? t->step : t->covered, values, c->rows * sizeof *values);
        return true;
    }
    if (cursor->id < ID_GROUPS)
        return true;
    group = groups_table_group(t, (cursor->id - ID_GROUPS) / KIND_COUNT_);
    for (size_t i = 0; i < c->rows && group < GROUPS_TABLE_MAX; i++)
        put_value(groups_table_at(t, i, group), (int)(cursor->id % KIND_COUNT_), values[i]);
    return true;
}
_Static_assert(ID_GROUPS % KIND_COUNT_ == 0, "a column's kind is what is left of its number");

/* A file may say anything. */
static int64_t bounded(int64_t value)
{
    return value < 0 ? 0 : value > FIGURES_MAX ? FIGURES_MAX : value;
}

/* From what the columns say to sums. */
static void settle(struct groups_sum *sum, int64_t covered_ms)
{
    int64_t missing_ms = sum->covered_ms;

    sum->covered_ms = missing_ms < 0 || missing_ms >= covered_ms ? 0 : covered_ms - missing_ms;
    sum->most_paid_milli = bounded((int64_t)sum->area[GROUP_PAID]) + bounded(sum->most_paid_milli);
    sum->most_nodes_milli =
        bounded((int64_t)sum->area[GROUP_NODES]) + bounded(sum->most_nodes_milli);
    for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
        sum->area[k] = (__int128)bounded((int64_t)sum->area[k]) * sum->covered_ms;
    if (sum->covered_ms == 0)
        *sum = (struct groups_sum){0};
}

static bool is_sound(const struct groups_table *t, int64_t step_ms)
{
    for (size_t i = 0; i < t->rows; i++) {
        if (t->step[i] < 0 || t->step[i] >= GROUPS_TABLE_ROWS ||
            (i > 0 && t->step[i] <= t->step[i - 1]) || t->covered[i] <= 0 ||
            t->covered[i] > step_ms)
            return false;
    }
    return true;
}

bool groups_table_unpack(struct sv data, int64_t step_ms, struct groups_table *t)
{
    int64_t values[GROUPS_TABLE_ROWS];
    struct codec_cursor cursor = {0};
    struct err damage = {0};
    struct codec c;

    *t = (struct groups_table){0};
    if (!codec_open(data, &c, NULL) || c.rows > GROUPS_TABLE_ROWS)
        return false;
    t->rows = c.rows;
    while (codec_next(&c, &cursor, &damage) && take_column(&c, &cursor, t, values, &damage))
        continue;
    if (damage.kind != ERR_NONE || !is_sound(t, step_ms))
        return false;
    for (size_t i = 0; i < t->rows; i++) {
        for (size_t k = 0; k < t->n; k++)
            settle(groups_table_at(t, i, k), t->covered[i]);
    }
    return true;
}
