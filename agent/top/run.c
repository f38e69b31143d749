#include "agent/top/run.h"

#include "agent/top/words.h"
#include "base/sv.h"

static int64_t known(int64_t n)
{
    return n > 0 ? n : 0;
}

int64_t run_kept(const struct top_cpu *cpu)
{
    int64_t unused = known(cpu->allocatable) - known(cpu->paid) - known(cpu->waiting) -
                     known(cpu->filler) - known(cpu->leaving);
    int64_t kept = known(cpu->reserve) + known(cpu->headroom);

    return known(kept < unused ? kept : unused);
}

void run_init(struct run *r, int64_t interval_ms)
{
    *r = (struct run){.gap_ms = 3 * interval_ms};
    if (r->gap_ms < RUN_LEAST_GAP_MS)
        r->gap_ms = RUN_LEAST_GAP_MS;
}

static void add_time(struct run *r, int64_t now_ms)
{
    int64_t ms = now_ms - r->last_ms;

    if (!r->has_last || ms <= 0 || ms > r->gap_ms)
        return;
    r->known_ms += ms;
    r->offered += (double)r->last.allocatable * (double)ms;
    r->paid += (double)r->last.paid * (double)ms;
    r->filler += (double)known(r->last.filler) * (double)ms;
}

static int64_t grown(int64_t *last, int64_t now, bool same_agent)
{
    int64_t growth = same_agent && *last >= 0 && now > *last ? now - *last : 0;

    *last = now;
    return growth;
}

/* A restarted agent counts from 0 again. */
static void add_counters(struct run *r, const struct top_view *v)
{
    bool same = r->boot == v->boot;
    int64_t yields = 0, harvests = 0;

    for (size_t i = 0; i < v->n_fillers; i++) {
        yields += known(v->fillers[i].yields);
        harvests += known(v->fillers[i].harvests);
    }
    if (!same && r->boot != 0) { /* what it has counted since its start is new to us */
        r->arrived = r->blocked = r->yields_seen = r->harvests_seen = 0;
        r->has_id = false;
        same = true;
    }
    r->boot = v->boot;
    r->arrivals += grown(&r->arrived, v->arrived_total, same);
    r->waits += grown(&r->blocked, v->blocked_total, same);
    r->yields += grown(&r->yields_seen, yields, same);
    r->harvests += grown(&r->harvests_seen, harvests, same);
}

void run_status(struct run *r, const struct top_view *v, int64_t now_ms)
{
    const struct top_cpu *c = &v->cpu;

    if (r->started_ms == 0)
        r->started_ms = now_ms;
    add_time(r, now_ms);
    add_counters(r, v);
    r->last_ms = now_ms;
    r->last = *c;
    r->has_last = c->allocatable > 0 && c->paid >= 0;
    if (!r->has_last)
        return;
    r->samples[(now_ms / 1000) % RUN_SAMPLES] = (struct run_sample){
        .s = now_ms / 1000,
        .allocatable = c->allocatable,
        .paid = c->paid,
        .waiting = known(c->waiting),
        .filler = known(c->filler),
        .leaving = known(c->leaving),
        .kept = run_kept(c),
    };
}

void run_decisions(struct run *r, const struct top_view *v)
{
    for (size_t i = v->n_decisions; i-- > 0;) {
        const struct top_decision *d = &v->decisions[i];
        int direction = d->to > d->from ? 1 : d->to < d->from ? -1 : 0;

        if (r->has_id && d->id <= r->last_id)
            continue;
        if (d->t >= r->started_ms && direction != 0 && r->direction == -direction)
            r->reversals++;
        if (direction != 0)
            r->direction = direction;
        r->last_id = d->id;
        r->has_id = true;
    }
    if (v->n_decisions == 0)
        r->has_id = true;
}

const struct run_sample *run_at(const struct run *r, int64_t s, int64_t seconds)
{
    for (int64_t k = s + seconds - 1; k >= s - r->gap_ms / 1000; k--) {
        const struct run_sample *sample = &r->samples[k % RUN_SAMPLES];

        if (k > 0 && sample->s == k)
            return sample;
    }
    return NULL;
}

void run_report(const struct run *r, struct strbuf *out)
{
    char span[WORDS_SPAN];

    words_span(r->last_ms - r->started_ms, span);
    (void)strbuf_addf(out, "\nReport of this run\n  %-30s %s", "duration", span);
    if (r->known_ms < r->last_ms - r->started_ms) {
        words_span(r->last_ms - r->started_ms - r->known_ms, span);
        (void)strbuf_addf(out, ", %s of it without news", span);
    }
    if (r->offered > 0) {
        (void)strbuf_addf(out, "\n  %-30s %.1f %%\n  %-30s %.1f %%", "utilisation, paid alone",
                          r->paid * 100 / r->offered, "utilisation, with filler",
                          (r->paid + r->filler) * 100 / r->offered);
        (void)strbuf_addf(out, "\n  %-30s %.2f core-hours", "harvested", r->filler / 3.6e9);
    } else {
        (void)strbuf_add(out, SV("\n  utilisation                    not known"));
    }
    (void)strbuf_addf(out,
                      "\n  %-30s %lld\n  %-30s %lld\n  %-30s %lld\n  %-30s %lld of %lld that "
                      "arrived\n",
                      "harvests", (long long)r->harvests, "yields", (long long)r->yields,
                      "reversals of filler", (long long)r->reversals, "blocked paid pods",
                      (long long)r->waits, (long long)r->arrivals);
}
