#include "agent/top/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/json_read.h"
#include "agent/show.h"
#include "agent/top/words.h"
#include "base/alloc.h"

enum { MAX_TEXT = 4096 };

void answers_plain(char *to, size_t size, struct sv text)
{
    size_t n = text.len < size - 1 ? text.len : size - 1;

    for (size_t i = 0; i < n; i++)
        to[i] = text.at[i] < ' ' || text.at[i] > '~' ? '?' : text.at[i];
    to[n] = '\0';
}

/* Nothing that is counted or timed here comes near it, and sums of a few of them hold in 63 bits. */
#define MOST INT64_C(1000000000000000)

static int64_t number(struct sv json, const char *path)
{
    int64_t n;

    return json_i64(json, path, &n) && n >= 0 && n <= MOST ? n : TOP_UNKNOWN;
}

static void text_at(struct sv json, const char *path, char *to, size_t size)
{
    struct strbuf text;

    strbuf_init(&text, MAX_TEXT);
    (void)json_text(json, path, &text);
    answers_plain(to, size, strbuf_sv(&text));
    strbuf_done(&text);
}

static void read_cpu(struct sv json, struct top_cpu *cpu)
{
    *cpu = (struct top_cpu){
        .allocatable = number(json, "allocatable_milli"),
        .paid = number(json, "paid_milli"),
        .waiting = number(json, "pending_milli"),
        .filler = number(json, "filler_milli"),
        .leaving = number(json, "leaving_milli"),
        .reserve = number(json, "reserve_milli"),
        .headroom = number(json, "headroom_milli"),
    };
}

/* The message of the condition if that is false; returns whether it is. */
static bool read_condition(struct sv json, struct sv type, char *to, size_t size)
{
    struct sv rest = json_at(json, "conditions"), item;

    while (json_next(&rest, &item)) {
        if (!sv_eq(json_at(item, "type"), type) || !sv_eq(json_at(item, "status"), SV("\"False\"")))
            continue;
        text_at(item, "message", to, size);
        return true;
    }
    return false;
}

/* Without the first two the filler is not scaled; without the others it is, but not as it should. */
static void read_conditions(struct sv json, struct top_filler *f)
{
    char usual[WORDS_CORES], need[WORDS_CORES];

    if (read_condition(json, SV("\"AbleToScale\""), f->trouble, sizeof f->trouble) ||
        read_condition(json, SV("\"ScalingActive\""), f->trouble, sizeof f->trouble) ||
        read_condition(json, SV("\"PodsPlaced\""), f->note, sizeof f->note))
        return;
    if (!json_true(json, "headroom.capped"))
        return;
    words_cores(number(json, "headroom.usual_milli"), usual);
    words_cores(number(json, "headroom.need_milli"), need);
    (void)snprintf(f->note, sizeof f->note, "headroom.max is %s cores, paid pods needed %s", usual,
                   need);
}

static struct top_filler read_filler(struct sv json)
{
    struct top_filler f = {
        .wanted = number(json, "wanted"),
        .running = number(json, "running"),
        .starting = number(json, "starting"),
        .leaving = number(json, "leaving"),
        .gated = number(json, "gated"),
        .fit = number(json, "fit"),
        .kept = number(json, "kept"),
        .damped = number(json, "damped"),
        .min = number(json, "min"),
        .max = number(json, "max"),
        .slot = number(json, "slot_milli"),
        .earliest_up_t = number(json, "earliest_up_t"),
        .yields = number(json, "decisions.yield"),
        .harvests = number(json, "decisions.harvest"),
    };

    text_at(json, "policy", f.policy, sizeof f.policy);
    text_at(json, "state", f.state, sizeof f.state);
    text_at(json, "bound_by", f.bound, sizeof f.bound);
    read_conditions(json, &f);
    return f;
}

static void read_fillers(struct sv json, struct top_view *v)
{
    struct sv rest = json_at(json, "fillers"), item;

    v->n_fillers = 0;
    while (v->n_fillers < TOP_FILLERS && json_next(&rest, &item))
        v->fillers[v->n_fillers++] = read_filler(item);
    v->fillers_total = number(json, "fillers_total");
}

static void read_doing(struct sv json, struct top_view *v)
{
    struct strbuf text;

    strbuf_init(&text, MAX_TEXT);
    show_parts(json, json_at(json, "say.doing"), &text);
    answers_plain(v->doing, sizeof v->doing, strbuf_sv(&text));
    strbuf_done(&text);
}

static bool is_answer(struct sv json, const char *part)
{
    return number(json, "v") == 1 && json_at(json, part).len != 0;
}

bool answers_status(struct sv json, struct top_view *v)
{
    int64_t pods, nodes;

    if (!is_answer(json, "cpu"))
        return false;
    pods = number(json, "watch.pods_ms");
    nodes = number(json, "watch.nodes_ms");
    v->has_status = true;
    v->t = number(json, "t");
    v->boot = number(json, "boot");
    text_at(json, "state", v->state, sizeof v->state);
    v->dry_run = json_true(json, "dry_run");
    v->watch_ms = pods > nodes ? pods : nodes;
    v->nodes = number(json, "nodes");
    v->eligible_nodes = number(json, "eligible_nodes");
    v->waiting_pods = number(json, "waiting.pods");
    v->arrived_total = number(json, "waiting.total.paid");
    v->blocked_total = number(json, "waiting.total.blocked");
    v->day_from = number(json, "waiting.day.from_t");
    v->day_paid = number(json, "waiting.day.paid");
    v->day_blocked = number(json, "waiting.day.blocked");
    v->day_core_hours = number(json, "earned.day.core_hours_milli");
    read_cpu(json_at(json, "cpu"), &v->cpu);
    read_doing(json, v);
    read_fillers(json, v);
    return true;
}

bool answers_decisions(struct sv json, struct top_view *v)
{
    struct sv rest = json_at(json, "decisions"), item;

    if (!is_answer(json, "decisions"))
        return false;
    v->n_decisions = 0;
    while (v->n_decisions < TOP_DECISIONS && json_next(&rest, &item)) {
        struct top_decision *d = &v->decisions[v->n_decisions++];

        *d = (struct top_decision){
            .id = (uint64_t)(number(item, "id") > 0 ? number(item, "id") : 0),
            .t = number(item, "t"),
            .from = number(item, "from"),
            .to = number(item, "to"),
            .paid = number(item, "paid_milli"),
            .waiting = number(item, "pending_milli"),
        };
        text_at(item, "policy", d->policy, sizeof d->policy);
        text_at(item, "reason", d->reason, sizeof d->reason);
        text_at(item, "detail", d->detail, sizeof d->detail);
    }
    return true;
}

static int least_free_first(const void *a, const void *b)
{
    const struct top_node *x = a, *y = b;

    if (x->free != y->free)
        return x->free < y->free ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The next number of each column; false where one has ended. */
static bool next_figures(struct sv *columns, size_t n, int64_t *ret_figures)
{
    struct sv item;

    for (size_t i = 0; i < n; i++) {
        if (!json_next(&columns[i], &item))
            return false;
        ret_figures[i] = number(item, "");
    }
    return true;
}

bool answers_nodes(struct sv json, struct top_view *v)
{
    struct sv columns[] = {
        json_at(json, "allocatable_milli"), json_at(json, "paid_milli"),
        json_at(json, "filler_milli"),      json_at(json, "leaving_milli"),
        json_at(json, "free_milli"),        json_at(json, "cordoned"),
    };
    struct sv names = json_at(json, "names"), name;
    int64_t figure[COUNT_OF(columns)];

    if (!is_answer(json, "names"))
        return false;
    v->n_nodes = 0;
    while (v->n_nodes < TOP_NODES && json_next(&names, &name) &&
           next_figures(columns, COUNT_OF(columns), figure)) {
        struct top_node n = {.allocatable = figure[0],
                             .paid = figure[1],
                             .filler = figure[2],
                             .leaving = figure[3],
                             .free = figure[4],
                             .cordoned = figure[5] == 1};

        text_at(name, "", n.name, sizeof n.name);
        VEC_PUSH(v->node, v->n_nodes, v->cap_nodes, n);
    }
    v->has_nodes = true;
    if (v->n_nodes != 0)
        qsort(v->node, v->n_nodes, sizeof *v->node, least_free_first);
    return true;
}

void answers_done(struct top_view *v)
{
    free(v->node);
    v->node = NULL;
    v->n_nodes = v->cap_nodes = 0;
}
