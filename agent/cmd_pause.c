#include <stdio.h>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/json_read.h"
#include "agent/kube/scale.h"
#include "agent/policy_files.h"
#include "base/alloc.h"

static const struct cli_flag flags[] = {
    {"up", 0, CLI_SWITCH, NULL, NULL, NULL, "growing alone"},
    {"down", 0, CLI_SWITCH, NULL, NULL, NULL, "yielding alone"},
    {"policy", 0, CLI_VALUE, "FILE|DIR", NULL, NULL,
     "where the policy stands; without it the agent is asked what its target is"},
    {"agent", 0, CLI_VALUE, "URL", API_DEFAULT_AGENT, NULL, "where the agent listens"},
    {"kubeconfig", 0, CLI_VALUE, "FILE", NULL, NULL,
     "default: $KUBECONFIG, ~/.kube/config, then the pod's own account"},
    {"context", 0, CLI_VALUE, "NAME", NULL, NULL, "the kubeconfig's context"},
};

static const struct cli_command pause_command = {
    .name = "brim pause",
    .args = "POLICY",
    .about = "Holds a policy's target at its count, by an annotation on the target that the agent "
             "obeys within 5 s. Paid pods\n"
             "then wait for filler that does not yield, unless the scheduler preempts it.",
    .min_args = 1,
    .max_args = 1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim pause miner\n  brim pause miner --up --policy /etc/brim/policies\n",
};

static const struct cli_command resume_command = {
    .name = "brim resume",
    .args = "POLICY",
    .about =
        "Takes away what brim pause has put on a policy's target: all of it, or what was put there "
        "with --up or --down alone.\n"
        "Exit status 1: what was named stays paused, since both directions are together or an "
        "annotation of KEDA says so.",
    .min_args = 1,
    .max_args = 1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim resume miner\n  brim resume miner --up\n",
};

/* A policy's target; the texts are owned. */
struct named_target {
    char *api_version, *kind, *ns, *name;
};

static void named_target_done(struct named_target *t)
{
    free(t->api_version);
    free(t->kind);
    free(t->ns);
    free(t->name);
}

static bool target_from_files(const char *path, struct sv policy, struct named_target *ret_target,
                              struct err *err)
{
    struct policy_list list = {0};
    bool found = false;

    if (!policy_files_read(path, &list, err))
        return false;
    for (size_t i = 0; i < list.len && !found; i++) {
        const struct policy *p = list.at[i];

        if (!sv_eq(p->name, policy))
            continue;
        found = true;
        *ret_target = (struct named_target){.api_version = sv_dup(p->target_api_version),
                                            .kind = sv_dup(p->target_kind),
                                            .ns = sv_dup(p->target_ns),
                                            .name = sv_dup(p->target_name)};
    }
    policy_list_done(&list);
    return found || err_set(err, ERR_INPUT, 0, "%s: found no policy %.*s", path, SV_ARG(policy));
}

/* A text of the agent's answer; empty where it is missing. */
static char *text_at(struct sv json, const char *path)
{
    struct strbuf text;
    char *copy;

    strbuf_init(&text, API_MAX_PATH);
    (void)json_text(json, path, &text);
    copy = sv_dup(strbuf_sv(&text));
    strbuf_done(&text);
    return copy;
}

static bool take_target(struct sv answer, struct sv policy, struct named_target *ret_target,
                        struct err *err)
{
    struct sv fillers = json_at(answer, "fillers"), filler;

    if (!json_next(&fillers, &filler))
        return err_set(err, ERR_INPUT, 0, "the agent has no policy %.*s", SV_ARG(policy));
    *ret_target = (struct named_target){.api_version = text_at(filler, "target.api_version"),
                                        .kind = text_at(filler, "target.kind"),
                                        .ns = text_at(filler, "target.namespace"),
                                        .name = text_at(filler, "target.name")};
    return true;
}

static bool target_from_agent(const char *url, struct sv policy, struct named_target *ret_target,
                              struct err *err)
{
    struct strbuf path, answer;
    struct api api;
    bool ok;

    if (!api_open_agent(&api, url, err))
        return false;
    strbuf_init(&path, API_MAX_PATH);
    strbuf_init(&answer, TRANSPORT_MAX_BODY);
    (void)strbuf_add(&path, SV("/api/v1/status?policy="));
    client_escape(&path, policy);
    ok = api_get(&api, strbuf_str(&path), &answer, err) &&
         take_target(strbuf_sv(&answer), policy, ret_target, err);
    strbuf_done(&answer);
    strbuf_done(&path);
    api_close(&api);
    return ok;
}

/* The answer to one write. */
struct answer {
    struct loop *loop;
    bool ok;
    struct err err; /* ERR_NETWORK until it came */
    struct scale_pause pause;
};

static void answered(void *self, const struct scale_result *result)
{
    struct answer *a = self;

    a->ok = result->problem == NULL;
    a->pause = result->pause;
    if (!a->ok)
        a->err = result->problem->err;
    loop_stop(a->loop);
}

/* pause sets what is named; resume of both directions, or without a name, takes all away. */
static int annotations_of(const struct cli *cli, bool set)
{
    bool up = cli_on(cli, "up"), down = cli_on(cli, "down");

    if (up == down && !set)
        return SCALE_PAUSE_ALL | SCALE_PAUSE_UP | SCALE_PAUSE_DOWN;
    if (!up && !down)
        return SCALE_PAUSE_ALL;
    return (up ? SCALE_PAUSE_UP : 0) | (down ? SCALE_PAUSE_DOWN : 0);
}

static bool write_pause(const struct cli *cli, const struct named_target *target, bool set,
                        struct answer *ret_answer, struct err *err)
{
    struct scaler *scaler;
    struct api api;

    if (!api_open(&api, cli_value(cli, "kubeconfig"), cli_value(cli, "context"), err))
        return false;
    *ret_answer = (struct answer){.loop = api.loop};
    (void)err_set(&ret_answer->err, ERR_NETWORK, 0, "interrupted");
    scaler = scaler_new(api.client, &(struct target){.api_version = target->api_version,
                                                     .kind = target->kind,
                                                     .ns = target->ns,
                                                     .name = target->name});
    (void)scale_patch_pause(scaler, annotations_of(cli, set), set, answered, ret_answer);
    loop_run(api.loop);
    scaler_free(scaler);
    api_close(&api);
    return ret_answer->ok ||
           err_set(err, ret_answer->err.kind, ret_answer->err.code, "%s", ret_answer->err.text);
}

static void print_pause(const struct named_target *target, struct scale_pause pause)
{
    const char *by = pause.up ? pause.up_by : pause.down_by;

    (void)printf("%s %s/%s: %s", target->kind, target->ns, target->name,
                 pause.up && pause.down ? "paused"
                 : pause.up             ? "may not grow"
                 : pause.down           ? "does not yield"
                                        : "not paused");
    (void)(by != NULL ? printf(" (%s)\n", by) : printf("\n"));
}

/* Annotations that brim does not set it does not take away either. */
static bool is_others(const char *key)
{
    return key != NULL && !sv_starts(sv_from(key), SV("brim.dev/"));
}

/* A pause of both directions is one annotation: resume of one of them leaves it. */
static bool is_resumed(const struct cli *cli, struct scale_pause pause)
{
    bool both = cli_on(cli, "up") == cli_on(cli, "down");
    bool up = (both || cli_on(cli, "up")) && pause.up;
    bool down = (both || cli_on(cli, "down")) && pause.down;
    const char *by = up ? pause.up_by : down ? pause.down_by : NULL;

    if (is_others(by))
        (void)fprintf(stderr,
                      "brim resume: the target stays paused by the annotation %s, which brim did "
                      "not set: take it away with kubectl annotate\n",
                      by);
    else if (up || down)
        (void)fprintf(stderr,
                      "brim resume: both directions are paused together; brim resume %s ends that, "
                      "brim pause %s %s then pauses the other one\n",
                      cli->args[0], cli->args[0], up ? "--down" : "--up");
    return !up && !down;
}

/* The exit status, below 0 where it failed. */
static int run(const struct cli *cli, bool set, struct err *err)
{
    struct sv policy = sv_from(cli->args[0]);
    struct named_target target = {0};
    struct answer answer;
    bool ok = cli_value(cli, "policy") != NULL
                  ? target_from_files(cli_value(cli, "policy"), policy, &target, err)
                  : target_from_agent(cli_value(cli, "agent"), policy, &target, err);

    ok = ok && write_pause(cli, &target, set, &answer, err);
    if (ok)
        print_pause(&target, answer.pause);
    named_target_done(&target);
    if (!ok)
        return -1;
    return set || is_resumed(cli, answer.pause) ? CLI_DONE : CLI_NO;
}

static int pause_or_resume(const struct cli_command *command, bool set, int argc, char **argv)
{
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(command, argc, argv, &cli, &code))
        return code;
    code = run(&cli, set, &err);
    if (code < 0)
        code = cmd_fail(command->name, &err);
    cli_done(&cli);
    return code;
}

int cmd_pause(int argc, char **argv)
{
    return pause_or_resume(&pause_command, true, argc, argv);
}

int cmd_resume(int argc, char **argv)
{
    return pause_or_resume(&resume_command, false, argc, argv);
}
