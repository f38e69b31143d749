#include "agent/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/jsonw.h"

/* The names of the figures in JSON, YAML and CSV. */
static const char *const figure_names[] = {
    [TALLY_CPU_ALLOCATABLE] = "cpu_allocatable_milli",
    [TALLY_CPU_PAID] = "cpu_paid_milli",
    [TALLY_CPU_FILLER] = "cpu_filler_milli",
    [TALLY_CPU_FREE] = "cpu_free_milli",
    [TALLY_MEMORY_ALLOCATABLE] = "memory_allocatable_bytes",
    [TALLY_MEMORY_PAID] = "memory_paid_bytes",
    [TALLY_MEMORY_FILLER] = "memory_filler_bytes",
    [TALLY_MEMORY_FREE] = "memory_free_bytes",
    [TALLY_PODS_ALLOCATABLE] = "pods_allocatable",
    [TALLY_PODS_PAID] = "pods_paid",
    [TALLY_PODS_FILLER] = "pods_filler",
    [TALLY_PODS_FREE] = "pods_free",
    [TALLY_FITS] = "fits",
};
_Static_assert(COUNT_OF(figure_names) == TALLY_COUNT_, "a figure has no name");

static bool is_free(int figure)
{
    return figure == TALLY_CPU_FREE || figure == TALLY_MEMORY_FREE || figure == TALLY_PODS_FREE;
}

static void add_row(struct tally_row *to, const struct tally_row *from)
{
    to->nodes += from->nodes;
    to->ready = to->ready && from->ready;
    to->schedulable = to->schedulable && from->schedulable;
    for (int i = 0; i < TALLY_COUNT_; i++) {
        if (!is_free(i) || from->figure[i] > 0)
            (void)(__builtin_add_overflow(to->figure[i], from->figure[i], &to->figure[i]) &&
                   (to->figure[i] = INT64_MAX));
    }
}

static void count_fits(struct cluster *c, const struct node_record *node,
                       const struct resources *room, const struct room_shape *shape,
                       struct tally_row *row)
{
    struct room_here here = room_here(shape, rules_check_node(shape->rules, node), room);
    const struct resource_names *names = cluster_names(c);
    const char *why = room_refusal_text(here.refusal);

    row->figure[TALLY_FITS] = here.pods;
    if (here.bound >= 0 && here.bound < names->count)
        why = names->name[here.bound];
    (void)snprintf(row->why, sizeof row->why, "%s", why != NULL ? why : "");
}

static struct tally_row row_of(struct cluster *c, const struct cluster_node *n,
                               const struct node_record *record, const struct room_shape *shape)
{
    static const int places[] = {RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_PODS};
    struct tally_row row = {.nodes = 1, .ready = n->ready, .schedulable = !n->unschedulable};
    struct resources room = cluster_sum(n, NODE_SUM_ALLOCATABLE);
    struct resources paid = cluster_sum(n, NODE_SUM_PAID);
    struct resources filler = cluster_sum(n, NODE_SUM_FILLER);

    resources_sub(&room, &paid);
    resources_sub(&room, &filler);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        row.figure[4 * i] = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, places[i]);
        row.figure[4 * i + 1] = paid.at[places[i]];
        row.figure[4 * i + 2] = filler.at[places[i]];
        row.figure[4 * i + 3] = room.at[places[i]];
    }
    if (shape != NULL)
        count_fits(c, record, &room, shape, &row);
    return row;
}
_Static_assert(TALLY_MEMORY_ALLOCATABLE == 4 && TALLY_PODS_ALLOCATABLE == 8 && TALLY_CPU_FREE == 3,
               "row_of() counts on four figures a resource");

static struct tally_row *find_group(struct tally *t, struct sv name)
{
    for (size_t i = 0; i < t->len; i++) {
        if (sv_eq(sv_from(t->at[i].name), name))
            return &t->at[i];
    }
    return NULL;
}

static void take(struct tally *t, struct tally_row row, struct sv name, bool group)
{
    struct tally_row *old = group ? find_group(t, name) : NULL;

    add_row(&t->total, &row);
    if (old != NULL) {
        add_row(old, &row);
        return;
    }
    row.name = sv_dup(name);
    if (group) {
        row.why[0] = '\0';
        for (int i = 0; i < TALLY_COUNT_; i++) {
            if (is_free(i) && row.figure[i] < 0)
                row.figure[i] = 0;
        }
    }
    VEC_PUSH(t->at, t->len, t->cap, row);
}

void tally_init(struct tally *t, struct cluster *c, const struct selector *nodes, const char *group,
                const struct room_shape *shape)
{
    *t = (struct tally){.has_fits = shape != NULL, .total = {.ready = true, .schedulable = true}};
    for (uint32_t i = 0; i < cluster_node_limit(c); i++) {
        const struct cluster_node *n = cluster_node(c, i);
        struct node_record record;
        struct sv name;

        if (n == NULL)
            continue;
        record = cluster_node_record(n);
        if (!selector_matches(nodes, record.labels, record.n_labels))
            continue;
        name = record.name;
        if (group != NULL) {
            const struct sv *label = label_find(record.labels, record.n_labels, sv_from(group));

            name = label != NULL ? *label : SV("<none>");
        }
        take(t, row_of(c, n, &record, shape), name, group != NULL);
    }
}

void tally_done(struct tally *t)
{
    for (size_t i = 0; i < t->len; i++)
        free(t->at[i].name);
    free(t->at);
    *t = (struct tally){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tally_row *)a)->name, ((const struct tally_row *)b)->name);
}

/* `sign` 1: the least first. Equal ones by name, so that the order is always the same. */
static int by_figure(const void *a, const void *b, int figure, int sign)
{
    int64_t x = ((const struct tally_row *)a)->figure[figure],
            y = ((const struct tally_row *)b)->figure[figure];

    return x != y ? (x < y ? -sign : sign) : by_name(a, b);
}

static int by_free(const void *a, const void *b)
{
    return by_figure(a, b, TALLY_CPU_FREE, 1);
}

static int by_cpu(const void *a, const void *b)
{
    return by_figure(a, b, TALLY_CPU_ALLOCATABLE, -1);
}

static int by_fits(const void *a, const void *b)
{
    return by_figure(a, b, TALLY_FITS, -1);
}

void tally_sort(struct tally *t, enum tally_order order)
{
    static int (*const compare[])(const void *, const void *) = {[TALLY_BY_NAME] = by_name,
                                                                 [TALLY_BY_FREE] = by_free,
                                                                 [TALLY_BY_CPU] = by_cpu,
                                                                 [TALLY_BY_FITS] = by_fits};

    if (t->len != 0)
        qsort(t->at, t->len, sizeof *t->at, compare[order]);
}

enum { CELL_SIZE = 32 };

/* A figure as the table shows it: cores, GiB with one decimal, plain numbers. */
static void cell(int figure, int64_t value, char text[static CELL_SIZE])
{
    struct strbuf out;

    strbuf_init(&out, CELL_SIZE - 1);
    if (figure <= TALLY_CPU_FREE)
        jsonw_milli_text(&out, value);
    else if (figure <= TALLY_MEMORY_FREE)
        (void)strbuf_addf(&out, "%s%lld.%lldGi",
                          value < 0 && value > -(INT64_C(1) << 30) ? "-" : "",
                          (long long)(value / (INT64_C(1) << 30)),
                          (long long)llabs(value % (INT64_C(1) << 30)) * 10 / (INT64_C(1) << 30));
    else
        (void)strbuf_addf(&out, "%lld", (long long)value);
    (void)snprintf(text, CELL_SIZE, "%s", strbuf_str(&out));
    strbuf_done(&out);
}

struct column {
    int figure;
    const char *title;
    bool wide;
};

static const struct column columns[] = {
    {TALLY_CPU_ALLOCATABLE, "CPU", false},      {TALLY_CPU_PAID, "PAID", false},
    {TALLY_CPU_FILLER, "FILLER", false},        {TALLY_CPU_FREE, "FREE", false},
    {TALLY_MEMORY_ALLOCATABLE, "MEMORY", true}, {TALLY_MEMORY_PAID, "PAID", true},
    {TALLY_MEMORY_FILLER, "FILLER", true},      {TALLY_MEMORY_FREE, "FREE", true},
    {TALLY_PODS_ALLOCATABLE, "PODS", true},     {TALLY_PODS_PAID, "PAID", true},
    {TALLY_PODS_FILLER, "FILLER", true},        {TALLY_PODS_FREE, "FREE", true},
};

static void table_row(const struct tally *t, const struct tally_row *row, int name_width, bool wide,
                      struct strbuf *out)
{
    char text[CELL_SIZE];

    (void)strbuf_add_shown_left(out, sv_from(row->name != NULL ? row->name : "TOTAL"), name_width);
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        if (columns[i].wide && !wide)
            continue;
        cell(columns[i].figure, row->figure[columns[i].figure], text);
        (void)strbuf_addf(out, "  %10s", text);
    }
    if (t->has_fits)
        (void)strbuf_addf(out, "  %6lld  %s", (long long)row->figure[TALLY_FITS], row->why);
    if (wide)
        (void)strbuf_addf(out, "  %s%s", row->ready ? "Ready" : "NotReady",
                          row->schedulable ? "" : ",SchedulingDisabled");
    (void)strbuf_add_char(out, '\n');
}

void tally_table(const struct tally *t, bool wide, struct strbuf *out)
{
    size_t width = sizeof "TOTAL" - 1;

    for (size_t i = 0; i < t->len; i++)
        width = strlen(t->at[i].name) > width ? strlen(t->at[i].name) : width;
    (void)strbuf_addf(out, "%-*s", (int)width, "NODE");
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        if (!columns[i].wide || wide)
            (void)strbuf_addf(out, "  %10s", columns[i].title);
    }
    (void)strbuf_addf(out, "%s%s\n", t->has_fits ? "    FITS  BOUND BY" : "",
                      wide ? "  STATE" : "");
    for (size_t i = 0; i < t->len; i++)
        table_row(t, &t->at[i], (int)width, wide, out);
    table_row(t, &t->total, (int)width, wide, out);
}

static bool shown(const struct tally *t, int figure)
{
    return figure != TALLY_FITS || t->has_fits;
}

static void json_row(const struct tally *t, struct jsonw *w, const char *key,
                     const struct tally_row *row)
{
    jsonw_object(w, key);
    if (row->name != NULL)
        jsonw_cstr(w, "name", row->name);
    jsonw_i64(w, "nodes", row->nodes);
    jsonw_bool(w, "ready", row->ready);
    jsonw_bool(w, "schedulable", row->schedulable);
    for (int i = 0; i < TALLY_COUNT_; i++) {
        if (shown(t, i))
            jsonw_i64(w, figure_names[i], row->figure[i]);
    }
    if (t->has_fits && row->why[0] != '\0')
        jsonw_cstr(w, "bound_by", row->why);
    jsonw_end(w);
}

void tally_json(const struct tally *t, struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_array(&w, "rows");
    for (size_t i = 0; i < t->len; i++)
        json_row(t, &w, NULL, &t->at[i]);
    jsonw_end(&w);
    json_row(t, &w, "total", &t->total);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

/* Strings in JSON's quotes are YAML's too. */
static void yaml_row(const struct tally *t, const char *indent, const struct tally_row *row,
                     struct strbuf *out)
{
    const char *first = row->name != NULL ? "- " : indent;

    if (row->name != NULL) {
        (void)strbuf_addf(out, "%sname: ", first);
        jsonw_text(out, sv_from(row->name));
        (void)strbuf_add_char(out, '\n');
    }
    (void)strbuf_addf(out, "%snodes: %lld\n", indent, (long long)row->nodes);
    (void)strbuf_addf(out, "%sready: %s\n", indent, row->ready ? "true" : "false");
    (void)strbuf_addf(out, "%sschedulable: %s\n", indent, row->schedulable ? "true" : "false");
    for (int i = 0; i < TALLY_COUNT_; i++) {
        if (shown(t, i))
            (void)strbuf_addf(out, "%s%s: %lld\n", indent, figure_names[i],
                              (long long)row->figure[i]);
    }
    if (t->has_fits && row->why[0] != '\0') {
        (void)strbuf_addf(out, "%sbound_by: ", indent);
        jsonw_text(out, sv_from(row->why));
        (void)strbuf_add_char(out, '\n');
    }
}

void tally_yaml(const struct tally *t, struct strbuf *out)
{
    (void)strbuf_addf(out, "v: 1\nrows:%s\n", t->len == 0 ? " []" : "");
    for (size_t i = 0; i < t->len; i++)
        yaml_row(t, "  ", &t->at[i], out);
    (void)strbuf_add(out, SV("total:\n"));
    yaml_row(t, "  ", &t->total, out);
}

void tally_csv(const struct tally *t, struct strbuf *out)
{
    (void)strbuf_add(out, SV("name,nodes,ready,schedulable"));
    for (int i = 0; i < TALLY_COUNT_; i++) {
        if (shown(t, i))
            (void)strbuf_addf(out, ",%s", figure_names[i]);
    }
    (void)strbuf_addf(out, "%s\n", t->has_fits ? ",bound_by" : "");
    for (size_t i = 0; i < t->len; i++) {
        const struct tally_row *row = &t->at[i];

        (void)strbuf_add_csv(out, sv_from(row->name));
        (void)strbuf_addf(out, ",%lld,%s,%s", (long long)row->nodes, row->ready ? "true" : "false",
                          row->schedulable ? "true" : "false");
        for (int k = 0; k < TALLY_COUNT_; k++) {
            if (shown(t, k))
                (void)strbuf_addf(out, ",%lld", (long long)row->figure[k]);
        }
        if (t->has_fits) {
            (void)strbuf_add_char(out, ',');
            (void)strbuf_add_csv(out, sv_from(row->why));
        }
        (void)strbuf_add_char(out, '\n');
    }
}
