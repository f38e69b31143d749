#include <stdio.h>
#include <string.h>

#include "agent/cmd_replay.h"
#include "agent/prom/flags.h"
#include "agent/prom/ksm_ask.h"
#include "agent/prom/matchers.h"
#include "agent/report_ask.h"
#include "base/alloc.h"
#include "base/num.h"
#include "policy/field.h"

#define MS_PER_S INT64_C(1000)
/* How far back it goes from --until that nobody said since when. */
#define SINCE_MS (INT64_C(7) * 24 * 3600 * MS_PER_S)

/* ---- flags ---- */

/* In UTC, spans before now; cut to whole seconds. */
static bool read_time(const struct cli *cli, const char *flag, int64_t now_ms, int64_t *ret_ms,
                      struct err *err)
{
    const char *text = cli_value(cli, flag);
    int64_t span_ms = 0;

    *ret_ms = now_ms;
    if (text != NULL && text[0] != '\0' && !report_time(sv_from(text), NULL, ret_ms, &span_ms, err))
        return err_wrap(err, "--%s", flag);
    if (span_ms > 0)
        *ret_ms = now_ms - span_ms;
    *ret_ms -= *ret_ms % MS_PER_S;
    return true;
}

static bool read_interval(const struct cli *cli, int64_t *ret_ms, struct err *err)
{
    const char *text = cli_value(cli, "scrape-interval");
    int64_t us;

    *ret_ms = 0;
    if (text == NULL)
        return true;
    if (!field_parse_span(sv_from(text), &us) || us < US_PER_S || us > 3600 * US_PER_S)
        return err_set(err, ERR_INPUT, 0,
                       "--scrape-interval: found %s, expected a time from 1s to 1h", text);
    *ret_ms = us / US_PER_MS;
    return true;
}

static bool read_period(const struct cli *cli, struct ksm_period *period, struct err *err)
{
    const struct clock clock = clock_system();
    int64_t now_ms = clock.wall(clock.self).us / US_PER_MS;

    *period = (struct ksm_period){.match = cli_value(cli, "match")};
    if (!matchers_check(sv_from(period->match), err))
        return err_wrap(err, "--match");
    if (!read_time(cli, "since", now_ms, &period->since_ms, err) ||
        !read_time(cli, "until", now_ms, &period->until_ms, err) ||
        !read_interval(cli, &period->interval_ms, err))
        return false;
    period->until_ms = min_i64(period->until_ms, now_ms);
    if (cli_value(cli, "since") == NULL)
        period->since_ms = period->until_ms - SINCE_MS;
    return period->since_ms < period->until_ms ||
           err_set(err, ERR_INPUT, 0, "--since: found %s, expected a time before --until",
                   cli_value(cli, "since"));
}

/* ---- asking ---- */

static void progress(void *self UNUSED, int percent)
{
    (void)fprintf(stderr, "\r%-20s %3d %%%s", "asking Prometheus", percent,
                  percent >= 100 ? "\r\x1b[K" : "");
}

static void tell_trouble(const struct prom_asked *asked)
{
    if (asked->partial != 0)
        (void)fprintf(
            stderr, "brim replay: %llu of %llu answers may lack something; the first says: %s\n",
            (unsigned long long)asked->partial, (unsigned long long)asked->queries, asked->warning);
}

static bool ask_all(struct prom *p, struct ksm_period *period, const struct ksm_target *targets,
                    size_t n_targets, struct trace *t, struct ksm_seen *ret_seen, struct err *err)
{
    struct ksm_asked asked;
    struct ksm *k;
    bool ok;

    if (period->interval_ms == 0 && !ksm_ask_interval(p, period, &period->interval_ms, err))
        return false;
    k = ksm_new(period->since_ms, period->until_ms, period->interval_ms, targets, n_targets);
    ok = ksm_ask(p, period, k, &asked, err) && ksm_trace(k, t, ret_seen, err);
    if (ok)
        tell_trouble(&asked.asked);
    ksm_free(k);
    return ok;
}

bool replay_read_prometheus(const struct cli *cli, const struct policy_list *policies, bool shows,
                            struct trace *t, struct ksm_seen *ret_seen, struct err *err)
{
    const struct prom_options options = prom_flags_read(cli);
    struct ksm_target *targets;
    struct ksm_period period;
    struct prom prom;
    bool ok;

    if (policies->len == 0)
        return err_set(err, ERR_INPUT, 0, "found --prometheus without --policy, expected both");
    if (!read_period(cli, &period, err) || !prom_open(&prom, &options, err))
        return false;
    period.progress = shows ? progress : NULL;
    targets = xcalloc(policies->len, sizeof *targets);
    for (size_t i = 0; i < policies->len; i++)
        targets[i] = (struct ksm_target){policies->at[i]->target_ns, policies->at[i]->target_kind,
                                         policies->at[i]->target_name};
    ok = ask_all(&prom, &period, targets, policies->len, t, ret_seen, err);
    free(targets);
    prom_close(&prom);
    return ok;
}

/* ---- what the scrapes hide ---- */

static void put_count(struct strbuf *out, uint64_t n, const char *what)
{
    if (n != 0)
        (void)strbuf_addf(out, "%llu %s\n", (unsigned long long)n, what);
}

static void put_hidden(const struct ksm_seen *seen, struct strbuf *out)
{
    if (seen->once == 0)
        return;
    (void)strbuf_addf(out, "%llu pods were seen by one scrape alone",
                      (unsigned long long)seen->once);
    if (seen->has_hidden)
        (void)strbuf_addf(out,
                          "; about %llu more came and went between two scrapes and are missing",
                          (unsigned long long)seen->hidden);
    else
        (void)strbuf_add(out,
                         SV("; how many more came and went between two scrapes cannot be told"));
    (void)strbuf_add_char(out, '\n');
}

void replay_seen_text(const struct ksm_seen *seen, struct strbuf *out)
{
    char began[WALL_TEXT_SIZE], ended[WALL_TEXT_SIZE];

    wall_format(seen->began, 0, began);
    wall_format(seen->ended, 0, ended);
    (void)strbuf_addf(
        out, "kube-state-metrics from %s to %s, a scrape each %lld s: %llu pods, %llu nodes\n",
        began, ended, (long long)(seen->interval_us / US_PER_S), (unsigned long long)seen->pods,
        (unsigned long long)seen->nodes);
    put_count(out, seen->filler_pods, "pods of the policies' targets are left out");
    put_count(out, seen->vanished,
              "pods' ends are known to half an interval only: they were gone at the next scrape");
    put_hidden(seen, out);
    if (seen->gaps != 0)
        (void)strbuf_addf(out,
                          "gaps without a scrape: %llu, %lld s together, the longest %lld s; %llu "
                          "pods ended in one\n",
                          (unsigned long long)seen->gaps, (long long)(seen->gap_us / US_PER_S),
                          (long long)(seen->longest_gap_us / US_PER_S),
                          (unsigned long long)seen->ended_in_gap);
    put_count(out, seen->waited,
              "pods were bound more than a minute after they came: whether for want of room is not "
              "known");
    put_count(out, seen->never_scheduled,
              "pods were never bound: they wait for room here, whatever they waited for");
    put_count(out, seen->no_request, "pods asked for no cpu, or their requests were not scraped");
    put_count(out, seen->no_created, "pods without kube_pod_created are left out");
}
