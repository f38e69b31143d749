/*
 * cmd_replay: what the files of `brim replay` share.
 *
 * cmd_replay.c        flags, the runs, the exit status
 * cmd_replay_input.c  a trace from files, a trace from a journal
 * cmd_replay_prometheus.c  a trace from a Prometheus
 * cmd_replay_show.c   table, JSON, CSV
 * replay_page.c       HTML
 */
#ifndef BRIM_AGENT_CMD_REPLAY_H
#define BRIM_AGENT_CMD_REPLAY_H

#include "agent/cli.h"
#include "agent/prom/flags.h"
#include "agent/prom/ksm.h"
#include "base/strbuf.h"
#include "policy/sim/peers.h"
#include "storage/history.h"

/* The T that advice is given for, in seconds. */
#define REPLAY_ADVICE_S                                                                            \
    {                                                                                              \
        30, 60, 90, 120, 300, 900                                                                  \
    }
enum { REPLAY_ADVICES = 6 };

/* The policy with another epsilon or cap, played again. */
enum replay_what_if { IF_HALF_EPSILON, IF_HALF_CAP, IF_CAP, IF_TWICE_CAP, IF_COUNT_ };

struct replay_if {
    double fill;
    uint64_t blocked;
};

/* What a pilot made of the trace. */
struct replay_flight {
    struct sv name; /* the policy's, or the peer's */
    bool is_policy;
    bool is_oracle; /* fill alone is known */
    struct replay_result result;
    struct replay_advice advice[REPLAY_ADVICES]; /* of a policy */
    bool has_ifs;
    struct replay_if ifs[IF_COUNT_];
};

struct replay_report {
    const char *trace_name;
    const struct trace *trace;
    const struct replay_setting *setting;
    struct replay_flight *flights;
    size_t n, cap;
    bool has_seen; /* the trace is from a Prometheus */
    struct ksm_seen seen;
};

/* ---- input ---- */

/* NAME.csv, NAME.nodes.csv and, if it is there, NAME.json; NAME may be given with its ".csv". */
bool replay_read_trace(const char *name, struct trace *t, struct err *err) MUST_CHECK;

/* A history file's journal. The filler's shape is the one that was seen last. Where the journal forgot (an agent's restart), pods that
 * were there are taken to have gone, and what it then found to have been found. */
bool replay_read_db(const char *path, struct trace *t, struct err *err) MUST_CHECK;
/* A part of an open history's journal. */
bool replay_read_history(struct history *h, int64_t since_ms, int64_t until_ms, struct trace *t,
                         struct err *err) MUST_CHECK;

/* What the command line says of --prometheus, as flags for its table. */
#define REPLAY_PROMETHEUS_FLAGS                                                                    \
    {"prometheus",                                                                                 \
     0,                                                                                            \
     CLI_VALUE,                                                                                    \
     "URL",                                                                                        \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "paid load from kube-state-metrics' series in a Prometheus, Thanos, Mimir, VictoriaMetrics"}, \
        {"since",                                                                                  \
         0,                                                                                        \
         CLI_VALUE,                                                                                \
         "TIME",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "of it: 30d, 2026-10-01 or 2026-10-01T08:00:00Z [7d before --until]"},                    \
        {"until", 0, CLI_VALUE, "TIME", NULL, NULL, "up to, but without [now]"},                   \
        {"match", 0, CLI_VALUE, "LABELS", "", NULL, "series with these alone: cluster=\"eu1\""},   \
        {"scrape-interval", 0, CLI_VALUE, "TIME", NULL, NULL, "of kube-state-metrics [measured]"}, \
        PROM_FLAGS

/* Asks the Prometheus that the command line names; pods of the policies' targets are left out. `shows`: progress on stderr. */
bool replay_read_prometheus(const struct cli *cli, const struct policy_list *policies, bool shows,
                            struct trace *t, struct ksm_seen *ret_seen, struct err *err) MUST_CHECK;

/* What the scrapes show and hide, a line each. */
void replay_seen_text(const struct ksm_seen *seen, struct strbuf *out);

/* ---- output ---- */

enum { REPLAY_MAX_TEXT = 1 << 30 };

void replay_table(const struct replay_report *r, struct strbuf *out);
void replay_json(const struct replay_report *r, struct strbuf *out);
/* The time series of all flights. */
void replay_csv(const struct replay_report *r, struct strbuf *out);

/* The figures of a flight, in the order in which they are shown; what is not known of it is left out. */
struct replay_figure {
    const char *name, *key, *unit;
    int64_t milli;
    bool whole; /* a count */
};
enum { REPLAY_MAX_FIGURES = 40 };
size_t replay_figures(const struct replay_flight *f,
                      struct replay_figure figures[static REPLAY_MAX_FIGURES]);
/* NULL: it is not among them. */
const struct replay_figure *replay_figure_find(const struct replay_figure *figures, size_t n,
                                               const char *key);
/* The flight with most figures. */
const struct replay_flight *replay_fullest(const struct replay_report *r);
/* One decimal, none of a count. */
void replay_figure_text(const struct replay_figure *f, struct strbuf *out);
const char *replay_if_name(enum replay_what_if i);

#endif
