#include <string.h>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent/cmd.h"
#include "agent/kube/decode.h"
#include "agent/kube/template.h"
#include "agent/kube/watch.h"
#include "agent/pod_text.h"
#include "agent/tally.h"

static const struct cli_flag flags[] = {
    {"fits", 0, CLI_VALUE, "FILE", NULL, NULL,
     "how many pods like this one each node would take now, and why no more; a Pod or a workload "
     "with a pod template, JSON or YAML"},
    {"filler", 0, CLI_VALUE, "SELECTOR", NULL, NULL,
     "labels of the pods that are filler; all others are paid"},
    {"namespace", 'n', CLI_VALUE, "NAME", NULL, NULL, "where filler lives [every namespace]"},
    {"by-label", 0, CLI_VALUE, "KEY", NULL, NULL, "one row for each value of this node label"},
    {"selector", 'l', CLI_VALUE, "SELECTOR", "", NULL, "only nodes with these labels"},
    {"sort", 0, CLI_VALUE, "ORDER", "name", "name|free|cpu|fits",
     "by name, least free, most cpu, most fitting"},
    {"output", 'o', CLI_VALUE, "FORMAT", "table", "table|wide|json|yaml|csv", "form of the answer"},
    {"kubeconfig", 0, CLI_VALUE, "FILE", NULL, NULL, "how to reach the API server"},
    {"context", 0, CLI_VALUE, "NAME", NULL, NULL, "which context of the kubeconfig"},
};

static const struct cli_command command = {
    .name = "brim capacity",
    .args = "",
    .about = "Shows for each node what it offers to pods, what paid and filler pods on it ask for, "
             "and what is free, by the\n"
             "scheduler's arithmetic. Exit code 1 if --fits is given and not one pod fits.",
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim capacity --sort free\n  brim capacity --fits big-job.yaml -l pool=batch\n"
                "  brim capacity --filler app=miner -n filler --by-label "
                "topology.kubernetes.io/zone -o json\n",
};

enum { ANSWER_MAX = 256 << 20, SELECTOR_MAX_ARENA = 1 << 20 };

struct capacity {
    const struct cli *cli;
    struct cluster *cluster;
    struct decoder decoder; /* of what is listed */
    struct arena arena;     /* of the selectors */
    struct selector nodes, filler;
    bool has_filler;
    struct decoder shape_decoder; /* what --fits gave lives here */
    struct strbuf shape_json;     /* and here */
    struct pod_record shape;
    size_t shapes;
    struct err shape_err;
};

static bool take_node(void *self, enum frame_event event, enum decode_format format,
                      struct sv object, struct err *err)
{
    struct capacity *c = self;
    struct node_record node;

    (void)event;
    if (!decode_node(&c->decoder, format, object, &node, err))
        return false;
    cluster_upsert_node(c->cluster, &node);
    return true;
}

static bool is_filler(const struct capacity *c, const struct pod_record *pod)
{
    const char *ns = cli_value(c->cli, "namespace");

    return c->has_filler && (ns == NULL || sv_eq(pod->ns, sv_from(ns))) &&
           selector_matches(&c->filler, pod->labels, pod->n_labels);
}

static bool take_pod(void *self, enum frame_event event, enum decode_format format,
                     struct sv object, struct err *err)
{
    struct capacity *c = self;
    struct pod_record pod;

    (void)event;
    if (!decode_pod(&c->decoder, format, object, &pod, err))
        return false;
    (void)cluster_upsert_pod(c->cluster, &pod, is_filler(c, &pod) ? 0 : CLUSTER_PAID, true);
    return true;
}

/* As it would be when it was created: the file may be a manifest, with limits alone. */
static bool take_shape(void *self, struct sv json, struct err *err)
{
    struct capacity *c = self;

    if (c->shapes++ != 0)
        return true;
    strbuf_clear(&c->shape_json);
    return template_defaults(json, &c->shape_json, err) &&
           decode_pod(&c->shape_decoder, DECODE_JSON, strbuf_sv(&c->shape_json), &c->shape, err);
}

static void broken_shape(void *self, const struct err *err)
{
    struct capacity *c = self;

    if (c->shape_err.kind == ERR_NONE)
        c->shape_err = *err;
}

static bool read_shape(struct capacity *c, const char *path, struct err *err)
{
    const struct pod_text_handler handler = {take_shape, broken_shape, c};
    struct strbuf text;
    bool ok;

    strbuf_init(&text, YAML_MAX_BYTES);
    ok = cmd_read(path, &text, err);
    if (ok) {
        pod_text_each(strbuf_sv(&text), &handler);
        if (c->shape_err.kind != ERR_NONE)
            ok = err_set(err, c->shape_err.kind, 0, "%s: %s", path, c->shape_err.text);
        else if (c->shapes != 1)
            ok = err_set(err, ERR_INPUT, 0, "%s: found %zu pods, expected one", path, c->shapes);
    }
    strbuf_done(&text);
    return ok;
}

static bool read_selectors(struct capacity *c, struct err *err)
{
    const char *filler = cli_value(c->cli, "filler");

    if (!selector_parse(&c->arena, sv_from(cli_value(c->cli, "selector")), &c->nodes, err))
        return err_wrap(err, "--selector");
    c->has_filler = filler != NULL;
    if (filler != NULL && !selector_parse(&c->arena, sv_from(filler), &c->filler, err))
        return err_wrap(err, "--filler");
    return true;
}

static bool gather(struct capacity *c, struct err *err)
{
    const struct frame_handler nodes = {take_node, c}, pods = {take_pod, c};
    const char *fits = cli_value(c->cli, "fits");
    struct podreq_rules rules;
    struct api api;
    bool ok;

    if (!read_selectors(c, err) ||
        !api_open(&api, cli_value(c->cli, "kubeconfig"), cli_value(c->cli, "context"), err))
        return false;
    ok = api_rules(&api, &rules, err);
    if (ok) {
        c->decoder.rules = c->shape_decoder.rules = rules;
        ok = (fits == NULL || read_shape(c, fits, err)) &&
             api_list(&api, WATCH_NODES_PATH, WATCH_NODES_KIND, NULL, &nodes, err) &&
             api_list(&api, WATCH_PODS_PATH, WATCH_PODS_KIND, WATCH_PODS_SELECTOR, &pods, err);
    }
    api_close(&api);
    return ok;
}

static enum tally_order order_of(struct sv name)
{
    return sv_eq(name, SV("free"))   ? TALLY_BY_FREE
           : sv_eq(name, SV("cpu"))  ? TALLY_BY_CPU
           : sv_eq(name, SV("fits")) ? TALLY_BY_FITS
                                     : TALLY_BY_NAME;
}

static void print(const struct tally *t, struct sv format, struct strbuf *out)
{
    if (sv_eq(format, SV("json")))
        tally_json(t, out);
    else if (sv_eq(format, SV("yaml")))
        tally_yaml(t, out);
    else if (sv_eq(format, SV("csv")))
        tally_csv(t, out);
    else
        tally_table(t, sv_eq(format, SV("wide")), out);
}

static int show(struct capacity *c)
{
    const struct room_shape shape = {&c->shape.request, &c->shape.rules};
    struct strbuf out;
    struct tally t;
    int code;

    strbuf_init(&out, ANSWER_MAX);
    tally_init(&t, c->cluster, &c->nodes, cli_value(c->cli, "by-label"),
               c->shapes != 0 ? &shape : NULL);
    tally_sort(&t, order_of(sv_from(cli_value(c->cli, "sort"))));
    print(&t, sv_from(cli_value(c->cli, "output")), &out);
    code = cmd_print(&out);
    if (code == CLI_DONE && t.has_fits && t.total.figure[TALLY_FITS] == 0)
        code = CLI_NO;
    tally_done(&t);
    strbuf_done(&out);
    return code;
}

int cmd_capacity(int argc, char **argv)
{
    struct capacity c = {0};
    const struct podreq_rules none = {0};
    struct err err = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    c.cli = &cli;
    c.cluster = cluster_new();
    decoder_init(&c.decoder, cluster_names(c.cluster), &none);
    decoder_init(&c.shape_decoder, cluster_names(c.cluster), &none);
    arena_init(&c.arena, SELECTOR_MAX_ARENA);
    strbuf_init(&c.shape_json, TEMPLATE_MAX_POD);
    code = gather(&c, &err) ? show(&c) : cmd_fail(command.name, &err);
    strbuf_done(&c.shape_json);
    arena_done(&c.arena);
    decoder_done(&c.shape_decoder);
    decoder_done(&c.decoder);
    cluster_free(c.cluster);
    cli_done(&cli);
    return code;
}
