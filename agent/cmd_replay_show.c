#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/cmd_replay.h"
#include "base/jsonw.h"
#include "policy/headroom.h"

static const char *const if_names[] = {
    [IF_HALF_EPSILON] = "epsilon / 2",
    [IF_HALF_CAP] = "headroom.max x 0.5",
    [IF_CAP] = "headroom.max x 1",
    [IF_TWICE_CAP] = "headroom.max x 2",
};
_Static_assert(COUNT_OF(if_names) == IF_COUNT_, "a case has no name");

const char *replay_if_name(enum replay_what_if i)
{
    return if_names[i];
}

/* ---- figures ---- */

static int64_t milli(double value)
{
    return (int64_t)llround(value * 1000);
}

struct list {
    struct replay_figure *at;
    size_t n;
};

static void add(struct list *l, const char *name, const char *key, const char *unit, double value)
{
    l->at[l->n++] =
        (struct replay_figure){.name = name, .key = key, .unit = unit, .milli = milli(value)};
}

static void add_count(struct list *l, const char *name, const char *key, uint64_t value)
{
    l->at[l->n++] = (struct replay_figure){
        .name = name, .key = key, .unit = "", .milli = (int64_t)value * 1000, .whole = true};
}

static void add_rate(struct list *l, const char *name, const char *key, uint64_t count,
                     double hours)
{
    add(l, name, key, "", hours > 0 ? (double)count / hours : 0);
}

static double share(uint64_t part, uint64_t of)
{
    return of != 0 ? 100 * (double)part / (double)of : 0;
}

static void add_waits(struct list *l, const struct replay_result *r)
{
    add_count(l, "paid pods", "paid_pods", r->paid_pods);
    add_count(l, "blocked", "blocked_pods", r->blocked);
    add(l, "blocked", "blocked_percent", "%", share(r->blocked, r->paid_pods));
    add(l, "wait, p50", "wait_p50_seconds", "s", (double)r->wait_p50_us / 1e6);
    add(l, "wait, p99", "wait_p99_seconds", "s", (double)r->wait_p99_us / 1e6);
    add(l, "wait, longest", "wait_max_seconds", "s", (double)r->wait_max_us / 1e6);
    add(l, "wait, median blocked", "blocked_p50_seconds", "s", (double)r->blocked_p50_us / 1e6);
    add(l, "wait, core-hours", "wait_core_hours", "", r->wait_core_h);
    add_count(l, "delayed", "delayed_pods", r->delayed);
}

static void add_moves(struct list *l, const struct replay_result *r)
{
    add_rate(l, "kills an hour", "kills_per_hour", r->kills, r->hours);
    add_count(l, "young kills", "young_kills", r->young_kills);
    add(l, "wasted", "wasted_percent", "%", 100 * r->wasted);
    add_rate(l, "reversals/h, writes", "write_reversals_per_hour", r->write_turns, r->hours);
    add_rate(l, "reversals/h, filler", "pod_reversals_per_hour", r->pod_turns, r->hours);
    add_rate(l, "reversals/h, paid", "paid_reversals_per_hour", r->paid_turns, r->hours);
    add_rate(l, "scale writes/h", "scale_writes_per_hour", r->scale_writes, r->hours);
    add_rate(l, "pod writes/h", "pod_writes_per_hour", r->pod_writes, r->hours);
}

static void add_learned(struct list *l, const struct replay_result *r)
{
    const struct replay_learned *k = &r->learned;

    add_count(l, "refused", "refused_pods", r->refused);
    add(l, "need, cores", "need_cores", "", (double)k->need_milli / 1000);
    add(l, "H0, cores", "usual_cores", "", (double)k->usual_milli / 1000);
    add(l, "rise above H0", "above_percent", "%", share(k->above, k->arrivals));
    add_count(l, "surges", "surges", k->surges);
    add_count(l, "expected, came", "expected_came", k->expected_came);
    add_count(l, "expected, did not", "expected_missed", k->expected_missed);
    add_count(l, "hole, slots", "hole_slots", (uint64_t)k->hole_slots);
}

size_t replay_figures(const struct replay_flight *f,
                      struct replay_figure figures[static REPLAY_MAX_FIGURES])
{
    const struct replay_result *r = &f->result;
    struct list l = {.at = figures};

    add(&l, "fill", "fill_percent", "%", 100 * r->fill);
    add(&l, "of the oracle", "of_oracle_percent", "%", 100 * r->of_oracle);
    if (f->is_oracle)
        return l.n;
    add(&l, "utilisation", "utilisation_percent", "%", 100 * r->utilisation);
    add_waits(&l, r);
    add_moves(&l, r);
    if (r->has_learned)
        add_learned(&l, r);
    return l.n;
}

const struct replay_figure *replay_figure_find(const struct replay_figure *figures, size_t n,
                                               const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(figures[i].key, key) == 0)
            return &figures[i];
    }
    return NULL;
}

void replay_figure_text(const struct replay_figure *f, struct strbuf *out)
{
    int64_t tenths = (f->milli + (f->milli < 0 ? -50 : 50)) / 100;
    const char *sign = tenths < 0 ? "-" : "";

    tenths = tenths < 0 ? -tenths : tenths;
    (void)strbuf_addf(out, "%s%lld", sign, (long long)(tenths / 10));
    if (!f->whole)
        (void)strbuf_addf(out, ".%lld", (long long)(tenths % 10));
    (void)strbuf_addf(out, "%s%s", f->unit[0] != '\0' && f->unit[0] != '%' ? " " : "", f->unit);
}

/* ---- table ---- */

enum { NAME_WIDTH = 22, CELL_WIDTH = 14 };

static void put_cell(struct strbuf *out, struct sv text)
{
    int width = text.len < CELL_WIDTH ? CELL_WIDTH : (int)text.len;

    (void)strbuf_addf(out, "  %*.*s", width, SV_ARG(text));
}

/* The row of the figure that stands at a place with the flight that knows most. */
static void put_row(const struct replay_report *r, const struct replay_figure *row,
                    struct strbuf *out)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];
    struct strbuf text;

    strbuf_init(&text, 256);
    (void)strbuf_addf(out, "%-*s", NAME_WIDTH, row->name);
    for (size_t i = 0; i < r->n; i++) {
        const struct replay_figure *f =
            replay_figure_find(figures, replay_figures(&r->flights[i], figures), row->key);

        strbuf_clear(&text);
        if (f != NULL)
            replay_figure_text(f, &text);
        else
            (void)strbuf_add_char(&text, '-');
        put_cell(out, strbuf_sv(&text));
    }
    (void)strbuf_add_char(out, '\n');
    strbuf_done(&text);
}

static void put_advice(const struct replay_flight *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "\n%.*s with another settle\n%-*s  %12s  %12s  %24s\n", SV_ARG(f->name),
                      NAME_WIDTH, "", "fill", "kills/h", "fill less kills' cost");
    for (size_t i = 0; i < REPLAY_ADVICES; i++) {
        const struct replay_advice *a = &f->advice[i];

        (void)strbuf_addf(out, "%-*lld  %11.1f%%  %12.1f  %23.1f%%\n", NAME_WIDTH,
                          (long long)(a->settle_us / US_PER_S), 100 * a->fill, a->kills_h,
                          100 * a->net);
    }
    for (int i = 0; f->has_ifs && i < IF_COUNT_; i++)
        (void)strbuf_addf(out, "%s%-*s  %11.1f%%  %6llu blocked\n", i == 0 ? "\n" : "", NAME_WIDTH,
                          if_names[i], 100 * f->ifs[i].fill, (unsigned long long)f->ifs[i].blocked);
}

const struct replay_flight *replay_fullest(const struct replay_report *r)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];
    const struct replay_flight *best = &r->flights[0];

    for (size_t i = 1; i < r->n; i++) {
        if (replay_figures(&r->flights[i], figures) > replay_figures(best, figures))
            best = &r->flights[i];
    }
    return best;
}

void replay_table(const struct replay_report *r, struct strbuf *out)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];
    size_t n = replay_figures(replay_fullest(r), figures);

    (void)strbuf_addf(out, "%-*s", NAME_WIDTH, r->trace_name);
    for (size_t i = 0; i < r->n; i++)
        put_cell(out, r->flights[i].name);
    (void)strbuf_add_char(out, '\n');
    for (size_t i = 0; i < n; i++)
        put_row(r, &figures[i], out);
    for (size_t i = 0; i < r->n; i++) {
        if (r->flights[i].is_policy)
            put_advice(&r->flights[i], out);
    }
    if (r->has_seen) {
        (void)strbuf_add_char(out, '\n');
        replay_seen_text(&r->seen, out);
    }
}

/* ---- JSON ---- */

static void put_flight(struct jsonw *w, const struct replay_flight *f)
{
    struct replay_figure figures[REPLAY_MAX_FIGURES];
    size_t n = replay_figures(f, figures);

    jsonw_object(w, NULL);
    jsonw_str(w, "name", f->name);
    jsonw_cstr(w, "kind", f->is_policy ? "policy" : "peer");
    for (size_t i = 0; i < n; i++)
        jsonw_milli(w, figures[i].key, figures[i].milli);
    if (f->result.has_learned)
        jsonw_bool(w, "headroom_capped", f->result.learned.capped);
    if (f->is_policy) {
        jsonw_array(w, "settle");
        for (size_t i = 0; i < REPLAY_ADVICES; i++) {
            const struct replay_advice *a = &f->advice[i];

            jsonw_object(w, NULL);
            jsonw_milli(w, "settle_seconds", a->settle_us / 1000);
            jsonw_milli(w, "fill_percent", milli(100 * a->fill));
            jsonw_milli(w, "kills_per_hour", milli(a->kills_h));
            jsonw_milli(w, "net_percent", milli(100 * a->net));
            jsonw_end(w);
        }
        jsonw_end(w);
    }
    if (f->has_ifs) {
        jsonw_array(w, "what_if");
        for (int i = 0; i < IF_COUNT_; i++) {
            jsonw_object(w, NULL);
            jsonw_cstr(w, "change", if_names[i]);
            jsonw_milli(w, "fill_percent", milli(100 * f->ifs[i].fill));
            jsonw_i64(w, "blocked_pods", (int64_t)f->ifs[i].blocked);
            jsonw_end(w);
        }
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_seen(struct jsonw *w, const struct ksm_seen *seen)
{
    char ended[WALL_TEXT_SIZE];

    wall_format(seen->ended, 3, ended);
    jsonw_object(w, "scrapes");
    jsonw_cstr(w, "ended", ended);
    jsonw_milli(w, "interval_seconds", seen->interval_us / 1000);
    jsonw_i64(w, "pods", (int64_t)seen->pods);
    jsonw_i64(w, "nodes", (int64_t)seen->nodes);
    jsonw_i64(w, "filler_pods", (int64_t)seen->filler_pods);
    jsonw_i64(w, "ended_between", (int64_t)seen->vanished);
    jsonw_i64(w, "seen_once", (int64_t)seen->once);
    if (seen->has_hidden)
        jsonw_i64(w, "missing_estimated", (int64_t)seen->hidden);
    jsonw_i64(w, "gaps", (int64_t)seen->gaps);
    jsonw_milli(w, "gap_seconds", seen->gap_us / 1000);
    jsonw_i64(w, "ended_in_gap", (int64_t)seen->ended_in_gap);
    jsonw_i64(w, "bound_late", (int64_t)seen->waited);
    jsonw_i64(w, "never_bound", (int64_t)seen->never_scheduled);
    jsonw_i64(w, "without_request", (int64_t)seen->no_request);
    jsonw_i64(w, "without_creation", (int64_t)seen->no_created);
    jsonw_end(w);
}

void replay_json(const struct replay_report *r, struct strbuf *out)
{
    const struct replay_setting *s = r->setting;
    char began[WALL_TEXT_SIZE];
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "version", 1);
    jsonw_cstr(&w, "trace", r->trace_name);
    jsonw_milli(&w, "seconds", r->trace->end_us / 1000);
    if (r->trace->dated) {
        wall_format(r->trace->began, 3, began);
        jsonw_cstr(&w, "began", began);
    }
    if (r->has_seen)
        put_seen(&w, &r->seen);
    jsonw_object(&w, "setting");
    jsonw_milli(&w, "filler_cores", s->filler.at[RESOURCE_CPU]);
    jsonw_i64(&w, "filler_memory_bytes", s->filler.at[RESOURCE_MEMORY]);
    jsonw_i64(&w, "max_replicas", s->max_replicas);
    jsonw_milli(&w, "reserve_cores", s->reserve_milli);
    jsonw_milli(&w, "start_seconds", s->start_us / 1000);
    jsonw_milli(&w, "grace_seconds", s->grace_us / 1000);
    jsonw_milli(&w, "api_seconds", s->api_us / 1000);
    jsonw_milli(&w, "controller_seconds", s->controller_us / 1000);
    jsonw_milli(&w, "warmup_seconds", s->warmup_us / 1000);
    jsonw_bool(&w, "lower_class", !s->same_class);
    jsonw_i64(&w, "seed", (int64_t)s->seed);
    jsonw_end(&w);
    jsonw_array(&w, "runs");
    for (size_t i = 0; i < r->n; i++)
        put_flight(&w, &r->flights[i]);
    jsonw_end(&w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

/* ---- CSV ---- */

static void put_milli(struct strbuf *out, int64_t value)
{
    (void)strbuf_add_char(out, ',');
    jsonw_milli_text(out, value);
}

static void put_count(struct strbuf *out, int64_t value)
{
    (void)strbuf_addf(out, ",%lld", (long long)value);
}

static void put_series(const struct replay_flight *f, const struct replay_row *row,
                       struct strbuf *out)
{
    (void)strbuf_add(out, f->name);
    put_milli(out, row->at_us / 1000);
    put_milli(out, row->demand_milli);
    put_milli(out, row->waiting_milli);
    put_count(out, row->active);
    put_count(out, row->leaving);
    put_count(out, row->pending);
    put_count(out, row->replicas);
    put_count(out, row->blocked);
    if (!f->is_policy) {
        (void)strbuf_add(out, SV(",,,,,,,\n"));
        return;
    }
    put_milli(out, row->rise_milli);
    put_milli(out, row->headroom_milli);
    (void)strbuf_addf(out, ",%s", headroom_kind_name((enum headroom_kind)row->kind));
    put_count(out, row->slots);
    put_count(out, row->kept_slots);
    put_count(out, row->set_point);
    put_count(out, row->damped);
    (void)strbuf_add_char(out, '\n');
}

void replay_csv(const struct replay_report *r, struct strbuf *out)
{
    (void)strbuf_add(out,
                     SV("run,time_s,demand_cores,waiting_cores,active,leaving,pending,replicas,"
                        "blocked,rise_cores,headroom_cores,headroom_kind,slots,kept_slots,"
                        "set_point,damped\n"));
    for (size_t i = 0; i < r->n; i++) {
        const struct replay_flight *f = &r->flights[i];

        for (size_t k = 0; k < f->result.n_rows; k++)
            put_series(f, &f->result.rows[k], out);
    }
}
