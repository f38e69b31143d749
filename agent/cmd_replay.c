#include "agent/cmd_replay.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/policy_files.h"
#include "agent/replay_page.h"
#include "base/alloc.h"
#include "base/num.h"
#include "capacity/quantity.h"
#include "policy/field.h"
#include "policy/schedule.h"

static const struct cli_flag flags[] = {
    {"trace", 't', CLI_VALUE, "NAME", NULL, NULL,
     "paid load from NAME.csv, NAME.nodes.csv and NAME.json"},
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL, "paid load from the journal of a history file"},
    REPLAY_PROMETHEUS_FLAGS,
    {"at", 0, CLI_VALUE, "TIME", NULL, NULL,
     "when the trace began, like 2026-10-01T08:00:00Z: what policies' schedules go by"},
    {"policy", 'p', CLI_MANY, "FILE", NULL, NULL,
     "a policy file or a directory of them [one made of NAME.json]"},
    {"peer", 0, CLI_MANY, "NAME", NULL, NULL,
     "also play hpa, hpa-tuned, keda, preempt, static, oracle, or all of them"},
    {"start", 0, CLI_VALUE, "TIME", "5s", NULL, "a filler pod's start-up"},
    {"grace", 0, CLI_VALUE, "TIME", "10s", NULL, "a filler pod's time to stop"},
    {"api-latency", 0, CLI_VALUE, "TIME", "150ms", NULL, "from a decision to its effect"},
    {"controller-latency", 0, CLI_VALUE, "TIME", "150ms", NULL,
     "from a scale to the ReplicaSet controller's look at it"},
    {"same-class", 0, CLI_SWITCH, NULL, NULL, NULL,
     "filler has no lower PriorityClass: nobody is preempted"},
    {"placement", 0, CLI_VALUE, "MODE", NULL, "gate|affinity|spread",
     "instead of the policies' own"},
    {"reserve", 0, CLI_VALUE, "CORES", NULL, NULL,
     "what the autoscalers keep free [NAME.json's reserve]"},
    {"warm-up", 0, CLI_VALUE, "TIME", "600s", NULL, "left out of every figure"},
    {"every", 0, CLI_VALUE, "TIME", "10s", NULL,
     "between the rows of the time series; more where they would be more than 100,000"},
    {"seed", 0, CLI_VALUE, "N", "1", NULL, "of the scheduler's ties"},
    {"what-if", 0, CLI_SWITCH, NULL, NULL, NULL,
     "play each policy again with half of epsilon and other caps"},
    {"strict", 0, CLI_VALUE, "PERCENT", NULL, NULL,
     "exit 1 if a policy blocks more than this share of the paid pods"},
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|json|csv|html", "form of the answer"},
};

static const struct cli_command command = {
    .name = "brim replay",
    .args = "",
    .about = "Plays paid load of the past in a simulated cluster, with the live controller under "
             "one or more policies beside it,\n"
             "and tells what would have been filled and who would have waited. The same input "
             "gives the same answer.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples =
        "  brim replay --trace traces/seed003 --peer all\n"
        "  brim replay --db history.db --policy night.yaml --policy day.yaml -o html >replay.html\n"
        "  brim replay --prometheus http://prometheus:9090 --since 30d --policy night.yaml\n"
        "  brim replay --trace traces/cron --strict 2 --what-if\n"
        "  brim replay --trace traces/cron --at 2026-10-01T00:00:00+02:00 --policy night.yaml\n",
};

/* Rows of a time series: more than that neither a page nor a reader can use. */
enum { MAX_ROWS = 100000 };

struct run {
    struct cli cli;
    struct trace trace;
    struct replay_setting setting;
    struct oracle past;
    struct policy_list policies;
    struct replay_report report;
    bool what_if;
    bool shows;         /* progress on stderr */
    const char *now;    /* who is played */
    int64_t strict_ppm; /* below 0: none */
};

/* ---- flags ---- */

static bool read_span(const struct cli *cli, const char *flag, int64_t *ret_us, struct err *err)
{
    const char *text = cli_value(cli, flag);

    if (!field_parse_span(sv_from(text), ret_us) || *ret_us < 0)
        return err_set(err, ERR_INPUT, 0, "--%s: found %s, expected a time like 10s", flag, text);
    return true;
}

static bool read_cores(const struct cli *cli, const char *flag, int64_t *ret_milli, struct err *err)
{
    const char *text = cli_value(cli, flag);
    struct quantity q;

    if (text == NULL)
        return true;
    if (!quantity_parse(sv_from(text), &q, NULL) || !quantity_milli(&q, ret_milli) ||
        *ret_milli < 0)
        return err_set(err, ERR_INPUT, 0, "--%s: found %s, expected cores like 30 or 1500m", flag,
                       text);
    return true;
}

/* "2", "0.5%": in millionths. */
static bool read_strict(struct run *run, struct err *err)
{
    const char *text = cli_value(&run->cli, "strict");
    struct sv number = sv_from(text);
    struct quantity q;
    int64_t milli;

    run->strict_ppm = -1;
    if (text == NULL)
        return true;
    number.len -= sv_ends(number, SV("%")) ? 1 : 0;
    if (!quantity_parse(number, &q, NULL) || !quantity_milli(&q, &milli) || milli < 0 ||
        milli > 100000)
        return err_set(err, ERR_INPUT, 0, "--strict: found %s, expected a percentage like 0.5",
                       text);
    run->strict_ppm = milli * 10;
    return true;
}

static bool read_setting(struct run *run, struct err *err)
{
    struct replay_setting *s = &run->setting;
    const char *seed = cli_value(&run->cli, "seed");

    *s = replay_setting_default();
    s->same_class = cli_on(&run->cli, "same-class");
    run->what_if = cli_on(&run->cli, "what-if");
    if (!sv_to_u64(sv_from(seed), &s->seed))
        return err_set(err, ERR_INPUT, 0, "--seed: found %s, expected a whole number", seed);
    return read_span(&run->cli, "start", &s->start_us, err) &&
           read_span(&run->cli, "grace", &s->grace_us, err) &&
           read_span(&run->cli, "api-latency", &s->api_us, err) &&
           read_span(&run->cli, "controller-latency", &s->controller_us, err) &&
           read_span(&run->cli, "warm-up", &s->warmup_us, err) &&
           read_span(&run->cli, "every", &s->sample_us, err) && read_strict(run, err);
}

/* ---- input ---- */

/* A journal knows its times, and so does a Prometheus. */
static bool read_start(struct run *run, struct err *err)
{
    const char *text = cli_value(&run->cli, "at");

    if (text == NULL)
        return true;
    if (cli_value(&run->cli, "trace") == NULL)
        return err_set(err, ERR_INPUT, 0,
                       "--at: found it beside %s, which has its own times; expected --trace",
                       cli_value(&run->cli, "db") != NULL ? "--db" : "--prometheus");
    run->trace.dated = wall_parse(sv_from(text), &run->trace.began);
    return run->trace.dated ||
           err_set(err, ERR_INPUT, 0, "--at: found %s, expected a time like 2026-10-01T08:00:00Z",
                   text);
}

static bool read_trace(struct run *run, struct err *err)
{
    const char *name = cli_value(&run->cli, "trace"), *db = cli_value(&run->cli, "db");
    const char *url = cli_value(&run->cli, "prometheus");
    int given = (name != NULL) + (db != NULL) + (url != NULL);

    if (given != 1)
        return err_set(err, ERR_INPUT, 0, "found %s, expected --trace, --db or --prometheus",
                       given == 0 ? "none" : "more than one");
    if (!read_start(run, err))
        return false;
    run->report.trace_name = name != NULL ? name : db != NULL ? db : url;
    if (name != NULL)
        return replay_read_trace(name, &run->trace, err);
    if (db != NULL)
        return replay_read_db(db, &run->trace, err);
    run->report.has_seen = true;
    return replay_read_prometheus(&run->cli, &run->policies, run->shows, &run->trace,
                                  &run->report.seen, err);
}

/* Something must be left to count. */
static bool check_warmup(const struct run *run, struct err *err)
{
    if (run->setting.warmup_us < run->trace.end_us)
        return true;
    return err_set(err, ERR_INPUT, 0,
                   "--warm-up: found %s, expected less than the trace lasts, which is %lld s",
                   cli_value(&run->cli, "warm-up"), (long long)(run->trace.end_us / US_PER_S));
}

/* What NAME.json says, as a policy. */
static bool make_policy(struct run *run, struct err *err)
{
    const struct trace *t = &run->trace;
    struct strbuf text;
    bool ok;

    if (!t->has_filler || t->max_replicas <= 0)
        return err_set(err, ERR_INPUT, 0,
                       "found neither --policy nor a NAME.json, expected one of them");
    strbuf_init(&text, 4096);
    (void)strbuf_addf(
        &text,
        "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: brim}\nspec:\n"
        "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: filler}\n"
        "  replicas: {max: %lld}\n  headroom: {max: %lldm}\n  settle: 90s\n",
        (long long)t->max_replicas, (long long)t->reserve_milli);
    ok = policy_read(SV("the trace's own policy"), strbuf_sv(&text), &run->policies, err);
    strbuf_done(&text);
    return ok;
}

static void warn_of_schedule(const struct run *run, const struct policy *p)
{
    if (p->n_overrides != 0 && !run->trace.dated)
        (void)fprintf(stderr,
                      "brim replay: policy %.*s: its schedule is not followed, what its spec says "
                      "holds at all times; give --at, when the trace began\n",
                      SV_ARG(p->name));
}

static bool read_policies(struct run *run, struct err *err)
{
    for (size_t i = 0; cli_many(&run->cli, "policy", i) != NULL; i++) {
        struct policy_list list = {0};

        if (!policy_files_read(cli_many(&run->cli, "policy", i), &list, err))
            return false;
        for (size_t k = 0; k < list.len; k++)
            VEC_PUSH(run->policies.at, run->policies.len, run->policies.cap, list.at[k]);
        free(list.at);
    }
    return true;
}

/* The policies as they fit the trace. */
static bool settle_policies(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->policies.len; i++)
        warn_of_schedule(run, run->policies.at[i]);
    return run->policies.len != 0 || make_policy(run, err);
}

/* … of the spec, and of the schedule's entries where they are followed. */
static int64_t largest_max(const struct run *run, const struct policy *p)
{
    int64_t most = p->max;

    for (size_t i = 0; run->trace.dated && i < p->n_overrides; i++) {
        struct policy entry = *p;

        schedule_apply(&p->overrides[i], &entry);
        most = max_i64(most, entry.max);
    }
    return most;
}

/* The filler is the trace's; else what a policy says of its pods. Every run is held against the same room: the largest max counts. */
static bool settle_filler(struct run *run, struct err *err)
{
    struct replay_setting *s = &run->setting;
    int64_t most = 0;

    s->filler = run->trace.filler;
    s->reserve_milli = run->trace.reserve_milli;
    for (size_t i = 0; i < run->policies.len; i++) {
        const struct policy *p = run->policies.at[i];

        most = max_i64(most, largest_max(run, p));
        if (s->filler.at[RESOURCE_CPU] == 0 && p->pod.given) {
            s->filler.at[RESOURCE_CPU] = p->pod.cpu_milli;
            s->filler.at[RESOURCE_MEMORY] = p->pod.memory_bytes;
        }
    }
    s->filler.at[RESOURCE_PODS] = 1;
    s->max_replicas = most;
    s->sample_us = max_i64(s->sample_us, run->trace.end_us / MAX_ROWS);
    if (s->filler.at[RESOURCE_CPU] <= 0)
        return err_set(err, ERR_INPUT, 0,
                       "what does a filler pod ask for? expected a NAME.json, or spec.pod in the "
                       "policy");
    return read_cores(&run->cli, "reserve", &s->reserve_milli, err);
}

static void override_placement(struct run *run)
{
    static const char *const modes[] = {[PLACEMENT_GATE] = "gate",
                                        [PLACEMENT_AFFINITY] = "affinity",
                                        [PLACEMENT_SPREAD] = "spread"};
    const char *mode = cli_value(&run->cli, "placement");

    for (size_t m = 0; mode != NULL && m < COUNT_OF(modes); m++) {
        for (size_t i = 0; i < run->policies.len && sv_eq(sv_from(mode), sv_from(modes[m])); i++)
            run->policies.at[i]->placement = (enum placement_mode)m;
    }
}

/* ---- runs ---- */

static void progress(void *self, int percent)
{
    const struct run *run = self;

    (void)fprintf(stderr, "\r%-20s %3d %%%s", run->now, percent, percent >= 99 ? "\r\x1b[K" : "");
}

static void begins(struct run *run, const char *who)
{
    run->now = who;
    run->setting.progress = run->shows ? progress : NULL;
    run->setting.self = run;
}

/* A policy with another epsilon or cap, in its schedule too. */
struct variant {
    struct policy policy;              /* borrows the rest */
    struct policy_override *overrides; /* one for each of the policy's … */
    struct policy *values;             /* … as are their values */
};

static void change(struct policy *p, enum replay_what_if i)
{
    if (i == IF_HALF_EPSILON)
        p->blocked_ppm /= 2;
    else if (i == IF_HALF_CAP)
        p->headroom_max.milli /= 2;
    else if (i == IF_TWICE_CAP)
        p->headroom_max.milli *= 2;
}

static void variant_init(struct variant *v, const struct policy *from, enum replay_what_if i)
{
    size_t n = from->n_overrides;

    *v = (struct variant){.policy = *from,
                          .overrides = xcalloc(n + 1, sizeof *v->overrides),
                          .values = xcalloc(n + 1, sizeof *v->values)};
    change(&v->policy, i);
    for (size_t k = 0; k < n; k++) {
        v->values[k] = *from->overrides[k].values;
        change(&v->values[k], i);
        v->overrides[k] = from->overrides[k];
        v->overrides[k].values = &v->values[k];
    }
    v->policy.overrides = v->overrides;
}

static void variant_done(struct variant *v)
{
    free(v->overrides);
    free(v->values);
}

static bool play_ifs(struct run *run, const struct policy *policy, struct replay_flight *f,
                     struct err *err)
{
    f->has_ifs = true;
    for (enum replay_what_if i = 0; i < IF_COUNT_; i++) {
        struct replay_setting s = run->setting;
        struct replay_result r;
        struct variant other;
        bool ok;

        s.sample_us = 0;
        run->now = replay_if_name(i);
        if (i == IF_CAP) { /* it has been played */
            f->ifs[i] = (struct replay_if){.fill = f->result.fill, .blocked = f->result.blocked};
            continue;
        }
        variant_init(&other, policy, i);
        ok = replay_run(&run->trace, &s, &run->past, &other.policy, &r, err);
        variant_done(&other);
        if (!ok)
            return false;
        f->ifs[i] = (struct replay_if){.fill = r.fill, .blocked = r.blocked};
        replay_result_done(&r);
    }
    return true;
}

static bool play_policy(struct run *run, const struct policy *policy, struct err *err)
{
    static const int64_t settles_s[REPLAY_ADVICES] = REPLAY_ADVICE_S;
    struct replay_flight f = {.name = policy->name, .is_policy = true};

    begins(run, policy->name.at);
    if (!replay_run(&run->trace, &run->setting, &run->past, policy, &f.result, err))
        return err_wrap(err, "%.*s", SV_ARG(policy->name));
    for (size_t i = 0; i < REPLAY_ADVICES; i++)
        f.advice[i] = replay_advise(&f.result, &run->setting, run->trace.end_us,
                                    settles_s[i] * US_PER_S, policy->kill_cost_us);
    VEC_PUSH(run->report.flights, run->report.n, run->report.cap, f);
    return !run->what_if || play_ifs(run, policy, &run->report.flights[run->report.n - 1], err);
}

static bool play_peer(struct run *run, enum peer peer, struct err *err)
{
    struct replay_flight f = {.name = sv_from(peer_name(peer)), .is_oracle = peer == PEER_ORACLE};

    begins(run, peer_name(peer));
    if (!peers_run(&run->trace, &run->setting, &run->past, peer, &f.result, err))
        return err_wrap(err, "%s", peer_name(peer));
    VEC_PUSH(run->report.flights, run->report.n, run->report.cap, f);
    return true;
}

/* Names one by one or with commas between. */
static bool play_peers(struct run *run, struct err *err)
{
    for (size_t i = 0; cli_many(&run->cli, "peer", i) != NULL; i++) {
        struct sv rest = sv_from(cli_many(&run->cli, "peer", i)), name;

        while (sv_next(&rest, ',', &name)) {
            bool all = sv_eq(name, SV("all"));
            enum peer peer = peer_find(name);

            if (!all && peer == PEER_COUNT_)
                return err_set(err, ERR_INPUT, 0,
                               "--peer: found %.*s, expected hpa, hpa-tuned, keda, preempt, "
                               "static, oracle or all",
                               SV_ARG(name));
            for (enum peer p = 0; p < PEER_COUNT_; p++) {
                if ((all || p == peer) && !play_peer(run, p, err))
                    return false;
            }
        }
    }
    return true;
}

static bool play(struct run *run, struct err *err)
{
    begins(run, "without filler");
    if (!oracle_find(&run->trace, &run->setting, &run->past, err))
        return false;
    run->report.trace = &run->trace;
    run->report.setting = &run->setting;
    for (size_t i = 0; i < run->policies.len; i++) {
        if (!play_policy(run, run->policies.at[i], err))
            return false;
    }
    return play_peers(run, err);
}

/* ---- the answer ---- */

static int print(const struct run *run)
{
    struct strbuf out;
    int code;

    strbuf_init(&out, REPLAY_MAX_TEXT);
    switch (cli_value(&run->cli, "output")[0]) {
    case 't':
        replay_table(&run->report, &out);
        break;
    case 'j':
        replay_json(&run->report, &out);
        break;
    case 'c':
        replay_csv(&run->report, &out);
        break;
    default:
        replay_page(&run->report, &out);
    }
    code = cmd_print(&out);
    strbuf_done(&out);
    return code;
}

/* Did every policy keep to --strict? */
static bool kept(const struct run *run)
{
    for (size_t i = 0; run->strict_ppm >= 0 && i < run->report.n; i++) {
        const struct replay_flight *f = &run->report.flights[i];

        if (f->is_policy &&
            (double)f->result.blocked * 1e6 > (double)run->strict_ppm * (double)f->result.paid_pods)
            return false;
    }
    return true;
}

static void done(struct run *run)
{
    for (size_t i = 0; i < run->report.n; i++)
        replay_result_done(&run->report.flights[i].result);
    free(run->report.flights);
    oracle_done(&run->past);
    policy_list_done(&run->policies);
    trace_done(&run->trace);
    cli_done(&run->cli);
}

int cmd_replay(int argc, char **argv)
{
    struct run run = {.shows = isatty(STDERR_FILENO) == 1};
    struct err err = {0};
    int code;

    if (!cli_begin(&command, argc, argv, &run.cli, &code))
        return code;
    trace_init(&run.trace);
    if (read_setting(&run, &err) && read_policies(&run, &err) && read_trace(&run, &err) &&
        check_warmup(&run, &err) && settle_policies(&run, &err) && settle_filler(&run, &err)) {
        override_placement(&run);
        if (play(&run, &err))
            code = print(&run);
        else
            code = cmd_fail(command.name, &err);
        code = code == CLI_DONE && !kept(&run) ? CLI_NO : code;
    } else {
        code = cmd_fail(command.name, &err);
    }
    done(&run);
    return code;
}
