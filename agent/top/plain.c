#include "agent/top/plain.h"

#include <string.h>

#include "agent/top/words.h"
#include "base/attr.h"

enum { PICTURE_COLS = 80, PICTURE_ROWS = 24 };

static void add_picture(const struct screen *s, struct strbuf *out)
{
    const struct canvas_style style = {0};
    struct canvas c;

    canvas_init(&c, PICTURE_COLS, PICTURE_ROWS);
    screen_draw(s, &c);
    canvas_write(&c, &style, out);
    canvas_done(&c);
}

/* How things stand, behind each change. */
static void add_figures(const struct top_view *v, struct strbuf *out)
{
    const struct top_cpu *p = &v->cpu;
    int64_t unused = p->allocatable - p->paid - p->filler - p->leaving;
    char paid[WORDS_CORES], filler[WORDS_CORES], idle[WORDS_CORES], waiting[WORDS_COUNT];

    words_cores(p->paid, paid);
    words_cores(p->filler, filler);
    words_cores(p->allocatable < 0 ? TOP_UNKNOWN : unused > 0 ? unused : 0, idle);
    words_count(v->waiting_pods, waiting);
    (void)strbuf_addf(out, "; paid %s filler %s free %s waiting %s\n", paid, filler, idle, waiting);
}

static void add_decision(const struct top_view *v, const struct top_decision *d, struct strbuf *out)
{
    const char *detail = strstr(d->detail, ": ");
    char time[WORDS_TIME];

    words_time(d->t, time);
    (void)strbuf_addf(out, "%s %s %s %lld -> %lld", time, d->reason, d->policy, (long long)d->from,
                      (long long)d->to);
    if (detail != NULL)
        (void)strbuf_addf(out, ": %s", detail + 2);
    add_figures(v, out);
}

/* steady, hold, harvest and yield are one state: filler is scaled as room allows. */
static bool same_state(const char *a, const char *b)
{
    static const char *const usual[] = {"steady", "hold", "harvest", "yield"};
    bool a_usual = false, b_usual = false;

    for (size_t i = 0; i < COUNT_OF(usual); i++) {
        a_usual |= strcmp(a, usual[i]) == 0;
        b_usual |= strcmp(b, usual[i]) == 0;
    }
    return strcmp(a, b) == 0 || (a_usual && b_usual);
}

/* Does this decision change more than what is waited for? The one before it is further back in the list. */
static bool is_change(const struct top_view *v, size_t index)
{
    const struct top_decision *d = &v->decisions[index];
    const char *before = "steady";

    for (size_t i = index + 1; i < v->n_decisions; i++) {
        if (strcmp(v->decisions[i].policy, d->policy) == 0) {
            before = v->decisions[i].reason;
            break;
        }
    }
    return d->from != d->to || !same_state(d->reason, before);
}

static void add_state(const struct top_view *v, int64_t now_ms, struct strbuf *out)
{
    char time[WORDS_TIME];

    words_time(now_ms, time);
    (void)strbuf_addf(out, "%s %s", time, v->state);
    add_figures(v, out);
}

static void add_away(struct plain *p, const struct screen *s, struct strbuf *out)
{
    bool away = s->trouble[0] != '\0';
    char time[WORDS_TIME];

    if (away == p->away)
        return;
    p->away = away;
    words_time(s->now_ms, time);
    if (away)
        (void)strbuf_addf(out, "%s agent does not answer: %s\n", time, s->trouble);
    else
        (void)strbuf_addf(out, "%s agent answers\n", time);
}

void plain_add(struct plain *p, const struct screen *s, struct strbuf *out)
{
    const struct top_view *v = s->view;
    size_t before = out->len;

    add_away(p, s, out);
    if (!v->has_status || p->away)
        return;
    if (p->boot != v->boot) { /* another process counts its decisions anew */
        p->boot = v->boot;
        p->last_id = 0;
    }
    for (size_t i = v->n_decisions; p->begun && i-- > 0;) {
        if (v->decisions[i].id > p->last_id && is_change(v, i))
            add_decision(v, &v->decisions[i], out);
    }
    if (v->n_decisions != 0)
        p->last_id = v->decisions[0].id;
    if (!p->begun)
        add_picture(s, out);
    else if (out->len == before && s->now_ms - p->said_ms >= PLAIN_QUIET_MS)
        add_state(v, s->now_ms, out);
    if (out->len != before)
        p->said_ms = s->now_ms;
    p->begun = true;
}
