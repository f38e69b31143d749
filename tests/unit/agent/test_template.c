#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/template.h"
#include "base/attr.h"

#define LIMITS(cpu) "{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"" cpu "\"}}}]}"
#define DEFAULTED(cpu)                                                                             \
    "{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"" cpu                                  \
    "\"},\"requests\":{\"cpu\":\"" cpu "\"}}}]}"
#define POD(metadata, spec)                                                                        \
    "{\"spec\":" spec ",\"metadata\":" metadata ",\"kind\":\"Pod\",\"apiVersion\":\"v1\"}"

Test(template, makes_a_pod_of_every_kind_of_workload)
{
    static const struct {
        const char *name, *text;
        enum err_kind kind;
        const char *want;
    } rows[] = {
        {"deployment",
         "{\"metadata\":{\"namespace\":\"n\",\"name\":\"d\"},\"spec\":{\"template\":{"
         "\"spec\":" LIMITS("2") "}}}",
         ERR_NONE, POD("{\"name\":\"d\",\"namespace\":\"n\"}", DEFAULTED("2"))},
        {"cron job",
         "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{"
         "\"spec\":" LIMITS("1") "}}}}}",
         ERR_NONE, POD("{\"name\":\"c\"}", DEFAULTED("1"))},
        {"pod template", "{\"template\":{\"spec\":" LIMITS("1") "}}", ERR_NONE,
         POD("{}", DEFAULTED("1"))},
        {"metadata that is no object", "{\"spec\":{\"template\":{\"spec\":{},\"metadata\":7}}}",
         ERR_NONE, POD("{}", "{}")},
        {"a name of its own",
         "{\"metadata\":{\"name\":\"d\"},\"template\":{\"spec\":{},\"metadata\":{\"name\":\"x\"}}}",
         ERR_NONE, POD("{\"name\":\"x\"}", "{}")},
        {"a service", "{\"spec\":{\"ports\":[]}}", ERR_NOT_FOUND, NULL},
        {"a template that is a number", "{\"spec\":{\"template\":7}}", ERR_NOT_FOUND, NULL},
        {"a list", "[]", ERR_INPUT, NULL},
        {"rubbish", "{\"spec\":", ERR_INPUT, NULL},
        {"nothing", "", ERR_INPUT, NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf pod;
        struct err err = {0};

        strbuf_init(&pod, TEMPLATE_MAX_POD);
        cr_expect_eq(template_pod(sv_from(rows[i].text), &pod, &err), rows[i].want != NULL,
                     "%s: %s", rows[i].name, err.text);
        cr_expect_eq(err.kind, rows[i].kind, "%s: %s", rows[i].name, err.text);
        cr_expect_str_eq(strbuf_str(&pod), rows[i].want != NULL ? rows[i].want : "", "%s",
                         rows[i].name);
        strbuf_done(&pod);
    }
}

Test(template, makes_limits_requests_where_those_are_missing)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"limits alone", "{\"spec\":" LIMITS("2") "}", "{\"spec\":" DEFAULTED("2") "}"},
        {"a request that is there", "{\"spec\":" DEFAULTED("2") "}",
         "{\"spec\":" DEFAULTED("2") "}"},
        {"no spec", "{\"a\":1}", "{\"a\":1}"},
        {"containers of the wrong kinds",
         "{\"spec\":{\"containers\":[7,{\"resources\":[]},{\"resources\":{\"limits\":3}}]}}",
         "{\"spec\":{\"containers\":[7,{\"resources\":[]},{\"resources\":{\"limits\":3}}]}}"},
        {"of the pod what no container asks for",
         "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":1}}}],\"resources\":{"
         "\"limits\":{\"cpu\":2,\"memory\":3,\"x/y\":4},\"requests\":null}}}",
         "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":1}}}],\"resources\":{"
         "\"limits\":{\"cpu\":2,\"memory\":3,\"x/y\":4},\"requests\":{\"memory\":3}}}}"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf pod;
        struct err err = {0};

        strbuf_init(&pod, TEMPLATE_MAX_POD);
        cr_expect(template_defaults(sv_from(rows[i].text), &pod, &err), "%s: %s", rows[i].name,
                  err.text);
        cr_expect_str_eq(strbuf_str(&pod), rows[i].want, "%s", rows[i].name);
        strbuf_done(&pod);
    }
}

Test(template, reads_nothing_beyond_a_text_that_is_cut_anywhere)
{
    static const char text[] =
        "{\"kind\":\"Job\",\"spec\":{\"template\":{\"spec\":" LIMITS("1") "}}}";

    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = malloc(len != 0 ? len : 1);
        struct strbuf pod;

        memcpy(copy, text, len);
        strbuf_init(&pod, TEMPLATE_MAX_POD);
        cr_expect(!template_pod((struct sv){.at = copy, .len = len}, &pod, NULL), "%zu bytes", len);
        strbuf_done(&pod);
        free(copy);
    }
}

Test(template, says_that_a_pod_is_too_long)
{
    struct strbuf pod;
    struct err err = {0};

    strbuf_init(&pod, 10);
    cr_expect(!template_defaults(SV("{\"spec\":" LIMITS("1") "}"), &pod, &err));
    cr_expect_eq(err.kind, ERR_LIMIT);
    strbuf_done(&pod);
}

/* Each is looked for among the requests. */
Test(template, looks_at_no_more_limits_than_a_container_may_have)
{
    struct strbuf pod, out;
    struct sv rest;
    size_t limits = 0;

    strbuf_init(&pod, 1 << 20);
    strbuf_init(&out, TEMPLATE_MAX_POD);
    (void)strbuf_addf(&pod, "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"k0\":1");
    for (int i = 1; i < 1000; i++)
        (void)strbuf_addf(&pod, ",\"k%d\":1", i);
    (void)strbuf_addf(&pod, "}}}]}}");
    cr_assert(template_defaults(strbuf_sv(&pod), &out, NULL));
    for (rest = strbuf_sv(&out); rest.len != 0; rest = sv_skip(rest, 1))
        limits += sv_starts(rest, SV("\"k"));
    cr_assert_eq(limits, 1000 + 256, "found %zu", limits);
    strbuf_done(&pod);
    strbuf_done(&out);
}
