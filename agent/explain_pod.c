#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/kube/decode.h"
#include "agent/pod_text.h"
#include "base/jsonw.h"
#include "capacity/podreq.h"

/* The newest release whose rules are known. */
#define NEWEST_RULES "1.35"

static const struct cli_flag flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "form of the answer; json is one line a pod"},
    {"kube-version", 0, CLI_VALUE, "VERSION", NULL, NULL,
     "count as the scheduler of this release does [the API server's, else " NEWEST_RULES "]"},
    {"kubeconfig", 0, CLI_VALUE, "FILE", NULL, NULL, "how to reach the API server"},
    {"context", 0, CLI_VALUE, "NAME", NULL, NULL, "which context of the kubeconfig"},
};

static const struct cli_command command = {
    .name = "brim explain pod",
    .args = "FILE|-|NAMESPACE/NAME",
    .about = "Shows how the scheduler counts a pod, step by step. FILE (or stdin) holds a Pod or a "
             "List as JSON or YAML, or\n"
             "one JSON object a line; the pods are taken as stored: no defaults are added. Of a "
             "workload (Deployment, Job, …) it is\n"
             "the pod that the API server would make of its template. Exit code 1 if one is "
             "broken.",
    .min_args = 1,
    .max_args = 1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim explain pod pod.yaml --kube-version 1.32\n"
                "  kubectl get pods -A -o json | brim explain pod - -o json\n"
                "  brim explain pod default/web-6d4cf56db6-x2x7l\n",
};

enum { FLUSH_AT = 64 << 10, ANSWER_MAX = 16 << 20 };

struct explainer {
    bool json;
    bool broken;
    int code;
    struct podreq_rules rules;
    struct strbuf out, steps;
};

static void flush(struct explainer *e)
{
    if (e->out.len >= FLUSH_AT && cmd_print(&e->out) != CLI_DONE)
        e->code = CLI_UNREACHABLE;
}

static void show_broken(void *self, const struct err *err)
{
    struct explainer *e = self;

    e->broken = true;
    if (e->json) {
        struct jsonw w;

        jsonw_init(&w, &e->out);
        jsonw_object(&w, NULL);
        jsonw_cstr(&w, "error", err->text);
        jsonw_end(&w);
        (void)strbuf_add_char(&e->out, '\n');
    } else {
        (void)strbuf_addf(&e->out, "error: %s\n\n", err->text);
    }
    flush(e);
}

/* Why the scheduler's sum of a node does not hold the pod; NULL: it does. */
static const char *why_not_counted(const struct pod_record *pod)
{
    if (pod_record_counted(pod))
        return NULL;
    if (pod->phase == PHASE_SUCCEEDED || pod->phase == PHASE_FAILED)
        return "it has ended";
    return pod->gated ? "it is gated and has no node: not even demand yet"
                      : "it has no node yet: it is demand";
}

/* A sum that int64 does not hold stays at its end. */
static bool saturated(const struct resources *request)
{
    for (size_t i = 0; i < COUNT_OF(request->at); i++) {
        if (request->at[i] == INT64_MAX)
            return true;
    }
    return false;
}

static const char *saturation(int64_t amount)
{
    return amount == INT64_MAX ? " (saturated)" : "";
}

static void known_text(struct jsonw *w, const char *key, struct sv text)
{
    if (text.len != 0)
        jsonw_str(w, key, text);
    else
        jsonw_null(w, key);
}

static void show_json(struct explainer *e, const struct pod_record *pod,
                      const struct resource_names *names)
{
    struct jsonw w;

    jsonw_init(&w, &e->out);
    jsonw_object(&w, NULL);
    known_text(&w, "namespace", pod->ns);
    known_text(&w, "name", pod->name);
    jsonw_i64(&w, "cpu_milli", pod->request.at[RESOURCE_CPU]);
    jsonw_i64(&w, "memory_bytes", pod->request.at[RESOURCE_MEMORY]);
    jsonw_object(&w, "other");
    for (int i = RESOURCE_EPHEMERAL; i < names->count; i++) {
        if (i != RESOURCE_PODS && pod->request.at[i] != 0)
            jsonw_i64(&w, names->name[i], pod->request.at[i]);
    }
    jsonw_end(&w);
    jsonw_bool(&w, "saturated", saturated(&pod->request));
    jsonw_bool(&w, "counted", pod_record_counted(pod));
    known_text(&w, "node", pod->node);
    jsonw_cstr(&w, "phase", pod_phase_name(pod->phase));
    jsonw_bool(&w, "gated", pod->gated);
    jsonw_i64(&w, "priority", pod->priority);
    jsonw_end(&w);
    (void)strbuf_add_char(&e->out, '\n');
}

static void show_text(struct explainer *e, const struct pod_record *pod,
                      const struct resource_names *names)
{
    const char *why = why_not_counted(pod);

    (void)strbuf_add_shown(&e->out, pod->ns);
    (void)strbuf_add_char(&e->out, '/');
    (void)strbuf_add_shown(&e->out, pod->name);
    (void)strbuf_addf(&e->out, ": %s, %s", pod_phase_name(pod->phase),
                      pod->node.len != 0 ? "on node " : "no node");
    (void)strbuf_add_shown(&e->out, pod->node);
    (void)strbuf_add_char(&e->out, '\n');
    (void)strbuf_add(&e->out, strbuf_sv(&e->steps));
    (void)strbuf_add(&e->out, SV("request: cpu "));
    jsonw_milli_text(&e->out, pod->request.at[RESOURCE_CPU]);
    (void)strbuf_addf(
        &e->out, " cores%s, memory %lld bytes%s", saturation(pod->request.at[RESOURCE_CPU]),
        (long long)pod->request.at[RESOURCE_MEMORY], saturation(pod->request.at[RESOURCE_MEMORY]));
    for (int i = RESOURCE_EPHEMERAL; i < names->count; i++) {
        if (i != RESOURCE_PODS && pod->request.at[i] != 0)
            (void)strbuf_addf(&e->out, ", %s %lld%s", names->name[i], (long long)pod->request.at[i],
                              saturation(pod->request.at[i]));
    }
    (void)strbuf_addf(&e->out, "\ncounted on its node: %s%s\n\n", why == NULL ? "yes" : "no, ",
                      why == NULL ? "" : why);
}

/* Each pod has names of its own, so that what a thousand others ask for does not use up the places.
 */
static bool show_pod(void *self, struct sv json, struct err *err)
{
    struct explainer *e = self;
    struct resource_names names;
    struct decoder decoder;
    struct pod_record pod;
    bool ok;

    strbuf_clear(&e->steps);
    resource_names_init(&names);
    decoder_init(&decoder, &names, &e->rules);
    decoder.steps = e->json ? NULL : &e->steps;
    ok = decode_pod(&decoder, DECODE_JSON, json, &pod, err);
    if (ok && e->json)
        show_json(e, &pod, &names);
    else if (ok)
        show_text(e, &pod, &names);
    decoder_done(&decoder);
    resource_names_done(&names);
    flush(e);
    return ok;
}

/* Is it NAMESPACE/NAME rather than a file? A file of that name goes first. */
static bool names_a_pod(const char *word)
{
    const char *slash = strchr(word, '/');

    return slash != NULL && slash != word && slash[1] != '\0' && strchr(slash + 1, '/') == NULL &&
           word[0] != '.' && access(word, F_OK) != 0;
}

static bool read_live(const struct cli *cli, struct strbuf *text, struct podreq_rules *rules,
                      struct err *err)
{
    struct sv ns, name;
    struct strbuf path;
    struct api api;
    bool ok;

    if (!sv_cut(sv_from(cli->args[0]), '/', &ns, &name) ||
        !api_open(&api, cli_value(cli, "kubeconfig"), cli_value(cli, "context"), err))
        return false;
    strbuf_init(&path, API_MAX_PATH);
    (void)strbuf_add(&path, SV("/api/v1/namespaces/"));
    client_escape(&path, ns);
    (void)strbuf_add(&path, SV("/pods/"));
    client_escape(&path, name);
    ok = (cli_value(cli, "kube-version") != NULL || api_rules(&api, rules, err)) &&
         api_get(&api, strbuf_str(&path), text, err);
    strbuf_done(&path);
    api_close(&api);
    return ok;
}

int explain_pod(int argc, char **argv)
{
    struct explainer e = {0};
    struct strbuf text;
    struct err err = {0};
    struct cli cli;
    const char *version;
    bool ok;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    version = cli_value(&cli, "kube-version");
    e.json = sv_eq(sv_from(cli_value(&cli, "output")), SV("json"));
    strbuf_init(&text, CMD_MAX_INPUT);
    strbuf_init(&e.out, ANSWER_MAX);
    strbuf_init(&e.steps, ANSWER_MAX);
    ok = podreq_rules_for(sv_from(version != NULL ? version : NEWEST_RULES), &e.rules, &err) &&
         (names_a_pod(cli.args[0]) ? read_live(&cli, &text, &e.rules, &err)
                                   : cmd_read(cli.args[0], &text, &err));
    if (ok) {
        const struct pod_text_handler handler = {show_pod, show_broken, &e};

        pod_text_each(strbuf_sv(&text), &handler);
        if (cmd_print(&e.out) != CLI_DONE)
            e.code = CLI_UNREACHABLE;
        code = e.code != CLI_DONE ? e.code : e.broken ? CLI_NO : CLI_DONE;
    } else {
        code = cmd_fail("brim explain pod", &err);
    }
    strbuf_done(&e.steps);
    strbuf_done(&e.out);
    strbuf_done(&text);
    cli_done(&cli);
    return code;
}
