/*
 * pocket: a pocket cluster: the Kubernetes API over HTTP or HTTPS, around a simulated cluster, in real time or sped up.
 * README.md tells what it answers and what it leaves out.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "base/alloc.h"
#include "tests/pocket/scenario.h"
#include "tests/pocket/wire.h"

/* Where --scenario NAME is looked for: NAME.yaml. */
#ifndef POCKET_SCENARIOS
#define POCKET_SCENARIOS "tests/pocket/scenarios"
#endif

enum { MAX_PEM = 1 << 20, MAX_CONFIG = 8192 };

/* No wait is longer: watches have bookmarks and ends. */
#define MAX_WAIT_US (100 * US_PER_MS)

static const struct cli_flag flags[] = {
    {"listen", 0, CLI_VALUE, "ADDRESS:PORT", "127.0.0.1:0", NULL,
     "where the API is served; port 0: any"},
    {"tls-cert", 0, CLI_VALUE, "FILE", NULL, NULL, "serve HTTPS with this certificate (PEM)"},
    {"tls-key", 0, CLI_VALUE, "FILE", NULL, NULL, "… and its key"},
    {"scenario", 0, CLI_VALUE, "FILE|NAME", "empty", NULL,
     "what the cluster begins with; names: 003, empty"},
    {"speed", 0, CLI_VALUE, "N", "1", NULL, "how many times as fast the cluster's time runs"},
    {"kubeconfig", 0, CLI_VALUE, "FILE", NULL, NULL,
     "write a kubeconfig for this server, once it listens"},
    {"nodes", 0, CLI_VALUE, "N", "0", NULL, "add so many nodes"},
    {"pods", 0, CLI_VALUE, "N", "0", NULL, "… and so many running pods on them"},
    {"fat", 0, CLI_SWITCH, NULL, NULL, NULL,
     "pods are as large as real ones: about 6.4 KB as protobuf"},
    {"node-cores", 0, CLI_VALUE, "N", "32", NULL, "how large those nodes are"},
    {"swift", 0, CLI_SWITCH, NULL, NULL, NULL,
     "controllers without rate limit, a scheduler with hardly a back-off"},
    {"events", 0, CLI_VALUE, "N", "0", NULL, "change so many paid pods a second"},
    {"probes", 0, CLI_VALUE, "N", "0", NULL,
     "create up to so many paid pods a second that wait for filler to leave, and measure how soon "
     "it is told to"},
    {"probes-preempt", 0, CLI_SWITCH, NULL, NULL, NULL,
     "… which may preempt: the scheduler deletes filler for them itself"},
    {"probe-target", 0, CLI_VALUE, "NS/NAME", NULL, NULL, "the filler's Deployment"},
    {"seed", 0, CLI_VALUE, "N", "1", NULL, "of whatever is random"},
    {"ring", 0, CLI_VALUE, "N", "16384", NULL,
     "changes of each kind from which a watch can resume"},
    {"json-only", 0, CLI_SWITCH, NULL, NULL, NULL, "give no protobuf, even where it is preferred"},
    {"gone", 0, CLI_VALUE, "HOW", "event", "event|status",
     "how a watch from too far back is refused with 410"},
    {"watch-list", 0, CLI_VALUE, "HOW", "on", "on|off|ignored|old-etcd",
     "what becomes of a watch that asks for initial events"},
};

static const struct cli_command command = {
    .name = "pocket",
    .args = "",
    .about = "Serves the Kubernetes API around a simulated cluster, until SIGTERM or SIGINT. "
             "SIGHUP makes it forget\n"
             "all history and end all watches, as an API server does that is restarted; SIGUSR2 "
             "the same, and no watch\n"
             "can resume from where it was: all is listed anew; SIGURG the same, and versions go "
             "back to half of what\n"
             "they were, as after a restore of etcd. SIGUSR1 prints what was measured since the "
             "last time,\n"
             "and lets events and probes begin when it comes first.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  pocket --listen 127.0.0.1:8001 --scenario 003 --speed 10 --kubeconfig "
                "/tmp/pocket.kubeconfig\n"
                "  pocket --nodes 5000 --pods 150000 --fat --listen 127.0.0.1:8001\n",
};

struct pocket {
    struct clock clock;
    struct world *world;
    struct scenario *scenario;
    struct stress *stress; /* begun by the first SIGUSR1, if at all */
    struct stress_config stress_config;
    struct api api;
    struct wire *wire;
    struct strbuf cert, key;
    int signals;
};

static bool number_of(const struct cli *cli, const char *flag, int64_t min, int64_t max,
                      int64_t *ret_number, struct err *err)
{
    const char *text = cli_value(cli, flag);

    if (sv_to_i64(sv_from(text), ret_number) && *ret_number >= min && *ret_number <= max)
        return true;
    return err_set(err, ERR_INPUT, 0, "--%s: found '%s', expected a number from %lld to %lld", flag,
                   text, (long long)min, (long long)max);
}

static enum watch_list watch_list_of(const char *text)
{
    static const char *const names[] = {[WATCH_LIST_ON] = "on",
                                        [WATCH_LIST_OFF] = "off",
                                        [WATCH_LIST_IGNORED] = "ignored",
                                        [WATCH_LIST_OLD_ETCD] = "old-etcd"};
    size_t i = 0;

    /* The flag's choices are these. */
    while (strcmp(names[i], text) != 0)
        i++;
    return (enum watch_list)i;
}

static bool make_world(struct pocket *p, const struct cli *cli, struct err *err)
{
    int64_t speed, seed, ring;
    struct scenario_fill fill;
    const char *scenario = cli_value(cli, "scenario");
    char path[4096];

    if (!number_of(cli, "speed", 1, WORLD_MAX_SPEED, &speed, err) ||
        !number_of(cli, "seed", 0, INT64_MAX, &seed, err) ||
        !number_of(cli, "ring", 1, 1 << 24, &ring, err) ||
        !number_of(cli, "nodes", 0, 100000, &fill.nodes, err) ||
        !number_of(cli, "node-cores", 1, 10000, &fill.cores, err) ||
        !number_of(cli, "pods", 0, 1000000, &fill.pods, err) ||
        !number_of(cli, "events", 0, 100000, &p->stress_config.events_per_s, err) ||
        !number_of(cli, "probes", 0, 10000, &p->stress_config.probes_per_s, err))
        return false;
    fill.seed = p->stress_config.seed = (uint64_t)seed;
    p->stress_config.preempt = cli_on(cli, "probes-preempt");
    p->stress_config.target = cli_value(cli, "probe-target");
    p->stress_config.clock = p->clock;
    p->world = world_new(&(struct world_config){.seed = (uint64_t)seed,
                                                .speed = (int32_t)speed,
                                                .ring = (size_t)ring,
                                                .fat = cli_on(cli, "fat"),
                                                .swift = cli_on(cli, "swift"),
                                                .now = p->clock.mono(p->clock.self),
                                                .wall = p->clock.wall(p->clock.self)});
    (void)snprintf(path, sizeof path, "%s", scenario);
    if (strchr(scenario, '/') == NULL && !sv_ends(sv_from(scenario), SV(".yaml")))
        (void)snprintf(path, sizeof path, "%s/%s.yaml", POCKET_SCENARIOS, scenario);
    p->api = (struct api){.world = p->world,
                          .watch_list = watch_list_of(cli_value(cli, "watch-list")),
                          .gone_by_status = strcmp(cli_value(cli, "gone"), "status") == 0,
                          .json_only = cli_on(cli, "json-only"),
                          .random = (uint64_t)seed};
    return scenario_load(p->world, path, &p->scenario, err) && scenario_fill(p->world, &fill, err);
}

static bool read_pem(const struct cli *cli, const char *flag, struct strbuf *out, struct err *err)
{
    strbuf_init(out, MAX_PEM);
    return cli_value(cli, flag) == NULL || cmd_read(cli_value(cli, flag), out, err);
}

/* Written beside and renamed, so that whoever waits for the file never sees half of it. */
static bool write_kubeconfig(const struct pocket *p, const struct cli *cli, struct err *err)
{
    const char *path = cli_value(cli, "kubeconfig");
    bool tls = p->cert.len != 0;
    char beside[4096], cert[4096] = "";
    FILE *f;

    if (path == NULL)
        return true;
    if (tls && realpath(cli_value(cli, "tls-cert"), cert) == NULL)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", cli_value(cli, "tls-cert"),
                       strerror(errno));
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    f = fopen(beside, "we");
    if (f == NULL)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", beside, strerror(errno));
    (void)fprintf(f,
                  "apiVersion: v1\nkind: Config\nclusters:\n- name: pocket\n  cluster:\n    "
                  "server: %s://%s\n%s%s%s"
                  "users:\n- name: pocket\n  user: {token: pocket}\n"
                  "contexts:\n- name: pocket\n  context: {cluster: pocket, user: "
                  "pocket}\ncurrent-context: pocket\n",
                  tls ? "https" : "http", wire_address(p->wire),
                  tls ? "    certificate-authority: " : "", cert, tls ? "\n" : "");
    if (fclose(f) != 0 || rename(beside, path) != 0)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
    return true;
}

static bool begin(struct pocket *p, const struct cli *cli, struct err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigaddset(&set, SIGURG);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (p->signals < 0)
        return err_set(err, ERR_SYSTEM, errno, "signalfd: %s", strerror(errno));
    if (!read_pem(cli, "tls-cert", &p->cert, err) || !read_pem(cli, "tls-key", &p->key, err))
        return false;
    if ((cli_value(cli, "tls-cert") != NULL) != (p->cert.len != 0) ||
        (p->cert.len != 0) != (p->key.len != 0))
        return err_set(err, ERR_INPUT, 0,
                       "--tls-cert and --tls-key: expected both, with PEM in the files");
    if (!make_world(p, cli, err))
        return false;
    return wire_start(&(struct wire_config){.listen = cli_value(cli, "listen"),
                                            .cert = strbuf_sv(&p->cert),
                                            .key = strbuf_sv(&p->key)},
                      &p->api, &p->wire, err) &&
           write_kubeconfig(p, cli, err);
}

/* As its manual says of these signals. */
static void restart(struct pocket *p, int signal)
{
    struct store *s = world_store(p->world);

    if (signal == SIGUSR2)
        store_pass_version(s);
    if (signal == SIGURG)
        store_put_back(s, store_version(s) / 2);
    store_forget(s);
    p->api.closed++;
}

static void report(struct pocket *p)
{
    struct err err = {0};

    if (p->stress != NULL)
        stress_report(p->stress, stdout);
    else if (!stress_new(p->world, &p->stress_config, &p->stress, &err))
        (void)fprintf(stderr, "pocket: %s\n", err.text);
    p->api.stress = p->stress;
}

/* False: it is time to end. */
static bool take_signals(struct pocket *p)
{
    struct signalfd_siginfo info;

    while (read(p->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
            report(p);
            continue;
        }
        if (info.ssi_signo != SIGHUP && info.ssi_signo != SIGUSR2 && info.ssi_signo != SIGURG)
            return false;
        restart(p, (int)info.ssi_signo);
    }
    return true;
}

static void serve(struct pocket *p)
{
    do {
        struct pollfd fds[] = {{.fd = wire_fd(p->wire), .events = POLLIN},
                               {.fd = p->signals, .events = POLLIN}};
        int64_t wait_us = wire_timeout_us(p->wire, world_idle_us(p->world, MAX_WAIT_US));
        struct timespec wait = {0};
        uint64_t before;

        if (p->stress != NULL)
            wait_us = stress_idle_us(p->stress, wait_us);
        wait.tv_nsec = wait_us * 1000;
        (void)ppoll(fds, COUNT_OF(fds), &wait, NULL);
        world_advance(p->world, p->clock.mono(p->clock.self));
        if (p->stress != NULL)
            stress_run(p->stress);
        wire_run(p->wire);
        /* What requests have just changed goes to the watches now. */
        do {
            before = store_version(world_store(p->world));
            wire_run(p->wire);
        } while (before != store_version(world_store(p->world)));
    } while (take_signals(p));
}

static void end(struct pocket *p)
{
    wire_stop(p->wire);
    stress_free(p->stress);
    world_free(p->world);
    scenario_free(p->scenario);
    strbuf_done(&p->cert);
    strbuf_done(&p->key);
    if (p->signals >= 0)
        (void)close(p->signals);
}

int main(int argc, char **argv)
{
    struct pocket p = {.clock = clock_system(), .signals = -1};
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    if (begin(&p, &cli, &err)) {
        (void)printf("pocket: %s\n", wire_address(p.wire));
        (void)fflush(stdout);
        serve(&p);
        code = CLI_DONE;
    } else {
        code = cmd_fail(command.name, &err);
    }
    end(&p);
    cli_done(&cli);
    return code;
}
