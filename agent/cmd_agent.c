#include <sys/stat.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/policy_files.h"
#include "agent/recorder.h"
#include "agent/report_ask.h"
#include "agent/serve/httpd.h"
#include "agent/serve/metrics/metrics_ask.h"
#include "agent/truth.h"
#include "agent/wire.h"
#include "base/log.h"
#include "policy/planner.h"

static const struct cli_flag flags[] = {
    {"policy", 0, CLI_VALUE, "FILE|DIR", NULL, NULL,
     "the fillers' policies; of a directory, which may be filled later, every *.yaml, *.yml and "
     "*.json"},
    {"listen", 0, CLI_VALUE, "ADDRESS:PORT", HTTPD_DEFAULT_LISTEN, NULL,
     "where metrics, probes and the API are served over plain HTTP: a loopback address"},
    {"secure-listen", 0, CLI_VALUE, "ADDRESS:PORT", NULL, NULL,
     "where they are served over TLS to whoever reaches it, like :6443; needs the next two"},
    {"tls-cert-file", 0, CLI_VALUE, "FILE", NULL, NULL,
     "the serving certificate, then those that signed it, as PEM; read again when it changes"},
    {"tls-private-key-file", 0, CLI_VALUE, "FILE", NULL, NULL, "its key, as PEM"},
    {"metrics-api", 0, CLI_VALUE, "GROUPS", NULL, NULL,
     "also serve custom.metrics.k8s.io, external.metrics.k8s.io: \"custom\", \"external\" or "
     "\"custom,external\""},
    {"db", 0, CLI_VALUE, "FILE", NULL, NULL,
     "keep history in this SQLite file (reports, replay); without it none is kept"},
    {"keep-samples", 0, CLI_VALUE, "TIME", "14d", NULL,
     "how long the history keeps samples of every 10 s, and decisions: 2d to 3650d"},
    {"keep-minutes", 0, CLI_VALUE, "TIME", "90d", NULL,
     "figures by the minute: no shorter than samples, at most 3650d"},
    {"keep-hours", 0, CLI_VALUE, "TIME", "forever", NULL,
     "figures by the hour and the day: no shorter than those by the minute, or forever"},
    {"lease", 0, CLI_VALUE, "NAMESPACE/NAME", "off", NULL,
     "run with others: the one that holds this Lease writes, the others stand by (docs/HA.md)"},
    {"advertise", 0, CLI_VALUE, "URL", NULL, NULL,
     "with --lease: where people reach this replica alone; others send them there for the report "
     "while it leads"},
    {"dry-run", 0, CLI_SWITCH, NULL, NULL, NULL, "decide and record, but write nothing"},
    {"kubeconfig", 0, CLI_VALUE, "FILE", NULL, NULL,
     "default: $KUBECONFIG, ~/.kube/config, then the pod's own account"},
    {"context", 0, CLI_VALUE, "NAME", NULL, NULL, "the kubeconfig's context"},
    {"log-level", 'v', CLI_VALUE, "LEVEL", "info", "error|warn|info|debug", "how much is logged"},
    {"log-format", 0, CLI_VALUE, "FORMAT", "text", "text|json", "form of the log, on stderr"},
};

static const struct cli_command command = {
    .name = "brim agent",
    .args = "",
    .about = "Watches pods and nodes, computes the CPU that paid pods leave, and scales "
             "the policies' fillers into it. Runs\n"
             "until SIGTERM; filler then stays as it is.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim agent --policy /etc/brim/policies\n"
                "  brim agent --policy miner.yaml --dry-run -v debug\n",
};

static enum log_level level_of(struct sv name)
{
    return sv_eq(name, SV("error"))   ? LOG_ERROR
           : sv_eq(name, SV("warn"))  ? LOG_WARN
           : sv_eq(name, SV("debug")) ? LOG_DEBUG
                                      : LOG_INFO;
}

static bool count_policies(const char *path, const struct policy_list *list, size_t least,
                           struct err *err)
{
    if (list->len < least)
        return err_set(err, ERR_INPUT, 0, "%s: found no policy, expected at least one", path);
    if (list->len > PLANNER_MAX_FILLERS)
        return err_set(err, ERR_LIMIT, 0, "%s: found %zu policies, expected at most %d", path,
                       list->len, PLANNER_MAX_FILLERS);
    return true;
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A directory may be filled later, as that of a ConfigMap is. */
static bool read_dir(const char *path, struct policy_list *list, struct err *err)
{
    CLEANUP(policy_texts_done) struct policy_texts texts = {0};

    if (!policy_texts_load(path, &texts, err) || !policy_texts_read(&texts, list, err) ||
        !count_policies(path, list, 0, err))
        return false;
    if (list->len == 0)
        log_warn("there is no policy yet: waiting for one", F_STR("directory", path));
    return true;
}

static bool read_good(const char *path, struct policy_list *list, struct err *err)
{
    if (is_dir(path))
        return read_dir(path, list, err);
    return policy_files_read(path, list, err) && count_policies(path, list, 1, err);
}

/* Files that are broken at a start are an error, unless a good text was kept by an earlier run. */
static bool read_policies(const char *path, struct agent_options *options, struct err *err)
{
    struct err stored = {0};

    if (path == NULL)
        return err_set(err, ERR_INPUT, 0,
                       "--policy is missing: a FillerPolicy file or a directory of them");
    if (read_good(path, &options->policies, err)) {
        if (!sv_eq(sv_from(path), SV("-"))) {
            policy_list_done(&options->policies);
            options->policy = path;
        }
        return true;
    }
    if (options->db == NULL || !recorder_stored_policies(options->db, &options->stored, &stored) ||
        options->stored.len == 0)
        return false;
    options->policy = path;
    return true;
}

/* A day's figures are made of its samples once it is over. */
#define LEAST_KEPT_MS (INT64_C(2) * 24 * 3600 * 1000)
#define MOST_KEPT_MS  (INT64_C(3650) * 24 * 3600 * 1000)

static bool read_keep(const struct cli *cli, const char *flag, int64_t least_ms, int64_t *ret_ms,
                      struct err *err)
{
    struct sv text = sv_from(cli_value(cli, flag));
    int64_t t_ms, span_ms;

    if (!report_time(text, NULL, &t_ms, &span_ms, NULL) || span_ms < least_ms ||
        span_ms > MOST_KEPT_MS)
        return err_set(err, ERR_INPUT, 0, "--%s: found %.*s, expected %lldd to 3650d", flag,
                       SV_ARG(text), (long long)(least_ms / (LEAST_KEPT_MS / 2)));
    *ret_ms = span_ms;
    return true;
}

static bool read_retention(const struct cli *cli, struct history_keep *keep, struct err *err)
{
    bool forever = sv_eq(sv_from(cli_value(cli, "keep-hours")), SV("forever"));

    return read_keep(cli, "keep-samples", LEAST_KEPT_MS, &keep->samples_ms, err) &&
           read_keep(cli, "keep-minutes", keep->samples_ms, &keep->minutes_ms, err) &&
           (forever || read_keep(cli, "keep-hours", keep->minutes_ms, &keep->hours_ms, err));
}

static bool read_metrics_groups(const struct cli *cli, unsigned *ret_groups, struct err *err)
{
    const char *text = cli_value(cli, "metrics-api");

    if (text != NULL && !metrics_groups_parse(sv_from(text), ret_groups))
        return err_set(err, ERR_INPUT, 0,
                       "--metrics-api: found '%s', expected custom, external or custom,external",
                       text);
    return true;
}

static bool check_advertised(const char *url, struct err *err)
{
    return url == NULL || truth_is_url(sv_from(url)) ||
           err_set(err, ERR_INPUT, 0,
                   "--advertise: found '%s', expected http:// or https://, a host, and maybe a "
                   "port and a path without a / behind it",
                   url);
}

static bool begin(const struct cli *cli, struct err *err)
{
    struct agent_options options = {
        .kube =
            kube_config_options_from_env(cli_value(cli, "kubeconfig"), cli_value(cli, "context")),
        .listen = cli_value(cli, "listen"),
        .secure = {.listen = cli_value(cli, "secure-listen"),
                   .cert_file = cli_value(cli, "tls-cert-file"),
                   .key_file = cli_value(cli, "tls-private-key-file")},
        .db = cli_value(cli, "db"),
        .advertise = cli_value(cli, "advertise"),
        .dry_run = cli_on(cli, "dry-run"),
    };

    if (!sv_eq(sv_from(cli_value(cli, "lease")), SV("off")))
        options.lease = cli_value(cli, "lease");
    log_setup(level_of(sv_from(cli_value(cli, "log-level"))),
              sv_eq(sv_from(cli_value(cli, "log-format")), SV("json")));
    if (read_retention(cli, &options.keep, err) && check_advertised(options.advertise, err) &&
        read_metrics_groups(cli, &options.metrics_groups, err) &&
        read_policies(cli_value(cli, "policy"), &options, err))
        return agent_run(&options, err);
    policy_list_done(&options.policies);
    return false;
}

int cmd_agent(int argc, char **argv)
{
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    code = begin(&cli, &err) ? CLI_DONE : cmd_fail(command.name, &err);
    cli_done(&cli);
    return code;
}
