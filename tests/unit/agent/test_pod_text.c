#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pod_text.h"

/* What came, in order: "+" and the object, or "!" and the error. One with a member "bad" is refused. */
static bool on_pod(void *self, struct sv json, struct err *err)
{
    if (memmem(json.at, json.len, "\"bad\"", 5) != NULL)
        return err_set(err, ERR_INPUT, 0, "spec: found bad");
    return strbuf_addf(self, "+%.*s|", SV_ARG(json));
}

static void on_broken(void *self, const struct err *err)
{
    (void)strbuf_addf(self, "!%s|", err->text);
}

static struct strbuf cut(struct sv text)
{
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    pod_text_each(text, &(struct pod_text_handler){on_pod, on_broken, &out});
    return out;
}

Test(pod_text, cuts_every_form_into_pods)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"nothing", "", ""},
        {"blanks", " \n\n", ""},
        {"one object", "{\"kind\":\"Pod\"}", "+{\"kind\":\"Pod\"}|"},
        {"one object over lines", "{\n \"kind\":\n\"Pod\"\n}\n", "+{\n \"kind\":\n\"Pod\"\n}|"},
        {"no kind", "{\"spec\":{}}", "+{\"spec\":{}}|"},
        {"another kind", "{\"kind\":\"Node\"}",
         "!kind: found \"Node\", expected \"Pod\" or a workload with spec.template|"},
        {"a refused object", "{\"bad\":1}", "!spec: found bad|"},
        {"a workload", "{\"kind\":\"Job\",\"spec\":{\"template\":{\"spec\":{}}}}",
         "+{\"spec\":{},\"metadata\":{},\"kind\":\"Pod\",\"apiVersion\":\"v1\"}|"},
        {"a refused workload", "{\"kind\":\"Job\",\"spec\":{\"template\":{\"spec\":{\"bad\":1}}}}",
         "!spec: found bad|"},
        {"a list", "{\"kind\":\"List\",\"items\":[ {\"a\":1} , {\"b\":[2]}]}",
         "+{\"a\":1}|+{\"b\":[2]}|"},
        {"a list of nothing", "{\"kind\":\"PodList\",\"items\":null}", ""},
        {"an empty list", "{\"kind\":\"PodList\",\"items\":[]}", ""},
        {"a list with a number", "{\"items\":[7,{}]}",
         "!items[0]: found a value that is no object, expected a Pod|+{}|"},
        {"a list with a refused object", "{\"items\":[{},{\"bad\":1},{}]}",
         "+{}|!items[1]: spec: found bad|+{}|"},
        {"a list of workloads",
         "{\"items\":[{\"kind\":\"CronJob\",\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{"
         "\"spec\":{}}}}}}]}",
         "+{\"spec\":{},\"metadata\":{},\"kind\":\"Pod\",\"apiVersion\":\"v1\"}|"},
        {"items that are no list", "{\"items\":3}",
         "!items: found something else, expected a list|"},
        {"lines", "{\"a\":1}\n{\"b\":2}\r\n\n{\"c\":3}", "+{\"a\":1}|+{\"b\":2}|+{\"c\":3}|"},
        {"lines, the first broken", "{\"a\":\n{\"b\":2}\n",
         "!line 1: found no JSON object, expected a Pod|+{\"b\":2}|"},
        {"lines, the last broken", "{\"b\":2}\n\n{\"b\":2}\n{\"a\":\n",
         "+{\"b\":2}|+{\"b\":2}|!line 4: found no JSON object, expected a Pod|"},
        {"lines, one refused",
         "{}\r\n{\"bad\":1}\n{\"items\":[{\"bad\":1}]}\n{\"kind\":\"Node\"}\n",
         "+{}|!line 2: spec: found bad|!line 3: items[0]: spec: found bad|"
         "!line 4: kind: found \"Node\", expected \"Pod\" or a workload with spec.template|"},
        {"lines, the first rubbish", "rubbish\n{\"b\":2}\n",
         "!line 1: found no JSON object, expected a Pod|+{\"b\":2}|"},
        {"lines, one a list", "{\"items\":[{\"a\":1}]}\n{\"b\":2}\n", "+{\"a\":1}|+{\"b\":2}|"},
        {"lines, two objects in one", "{}{}\n{\"b\":2}\n",
         "!line 1: found no JSON object, expected a Pod|+{\"b\":2}|"},
        {"yaml", "kind: Pod\nspec: {a: [1, x, \"1\", null, true, .5, 007]}\n",
         "+{\"kind\":\"Pod\",\"spec\":{\"a\":[1,\"x\",\"1\",null,true,\".5\",\"007\"]}}|"},
        {"yaml documents", "---\na: 1\n---\n---\n- 2\n---\nitems:\n- b: -1.5e3\n",
         "+{\"a\":1}|!5:1: found a list, expected a Pod|+{\"b\":-1.5e3}|"},
        {"yaml in flow form", "---\n{\"a\": 1}\n", "+{\"a\":1}|"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf got = cut(sv_from(rows[i].text));

        cr_expect_str_eq(strbuf_str(&got), rows[i].want, "%s: %s", rows[i].name, strbuf_str(&got));
        strbuf_done(&got);
    }
}

Test(pod_text, survives_a_text_that_is_cut_anywhere)
{
    static const char text[] =
        "{\"items\":[{\"a\":\"x\\\"\"},{\"b\":[1,{}]}]}\n{\"c\":1}\n--- {a: 1}\n";

    for (size_t len = 0; len < sizeof text; len++) {
        char *copy =
            malloc(len != 0 ? len : 1); /* exactly as long, so that a read past the end is found */
        struct strbuf got;

        memcpy(copy, text, len);
        got = cut((struct sv){.at = copy, .len = len});
        strbuf_done(&got);
        free(copy);
    }
}
