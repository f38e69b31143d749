#include "agent/decide_line.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/strbuf.h"

/* Reads one line that holds this fact. */
static bool read_fact(struct decide_line *line, const char *fact, struct err *err)
{
    static struct resource_names names;
    static char text[4096];
    int len = snprintf(text, sizeof text, "{\"t\":1,%s}", fact);

    resource_names_init(&names);
    *line = (struct decide_line){0};

    bool ok = decide_line_read(line, text, (size_t)len, &names, err);

    resource_names_done(&names);
    return ok;
}

Test(decide_line, refuses_what_stands_twice_in_one_object_and_says_where)
{
    static const struct {
        const char *fact, *want;
    } rows[] = {
        {"'pod':{'uid':'a','cpu':'1','cpu':'2'}", "pod.cpu: found twice, expected once"},
        {"'pod':{'uid':'a','cpu':'1','cpu':null}", "pod.cpu: found twice, expected once"},
        {"'node':{'name':'a','pods':1,'memory':1,'pods':1}",
         "node.pods: found twice, expected once"},
        {"'pod':{'uid':'a','example.com/gpu':1,'example.com/gpu':1}",
         "pod.example.com/gpu: found twice, expected once"},
        {"'pod':{'uid':'a','ephemeral':1,'ephemeral-storage':1}",
         "pod.ephemeral-storage: found twice, expected once"},
        {"'filler':{'policy':'a','replicas':1,'replicas':1}",
         "filler.replicas: found twice, expected once"},
        {"'node':{'name':'a','labels':{'b':'1','a':'1','b':'2'}}",
         "node.labels: found b twice, expected once"},
        {"'pod':{'uid':'a','nodeSelector':{'a':'1','a':'1'}}",
         "pod.nodeSelector: found a twice, expected once"},
        {"'node':{'name':'a','taints':[{'key':'a','key':'b','effect':'NoSchedule'}]}",
         "node.taints: found key twice, expected once"},
        {"'pod':{'uid':'a','tolerations':[{'operator':'','operator':'Exists'}]}",
         "pod.tolerations: found operator twice, expected once"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct decide_line line;
        struct err err = {0};
        char fact[256];

        (void)snprintf(fact, sizeof fact, "%s", rows[i].fact);
        for (char *at = fact; *at != '\0'; at++)
            *at = *at == '\'' ? '"' : *at;
        cr_assert_not(read_fact(&line, fact, &err), "%s", fact);
        cr_assert_str_eq(err.text, rows[i].want);
        decide_line_done(&line);
    }
}

/* The same key in another object, and the same element of a list, are no repetition. */
Test(decide_line, takes_what_stands_twice_in_different_objects)
{
    struct decide_line line;
    struct err err = {0};

    cr_assert(
        read_fact(&line,
                  "\"node\":{\"name\":\"a\",\"labels\":{\"name\":\"1\",\"cpu\":\"1\"},\"cpu\":4,"
                  "\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"},{\"key\":\"a\",\"effect\":"
                  "\"NoSchedule\"}]}",
                  &err),
        "%s", err.text);
    cr_assert_eq(line.labels.len, 2);
    cr_assert_eq(line.taints.len, 2);
    decide_line_done(&line);
}

/* Of resources that found no place one that is asked for is enough, in any order. */
Test(decide_line, remembers_that_something_without_a_place_is_asked_for)
{
    for (int asked = 0; asked < 3; asked++) {
        struct strbuf fact;
        struct decide_line line;
        struct err err = {0};
        int64_t lost = 0;

        strbuf_init(&fact, 4096);
        (void)strbuf_add(&fact, SV("\"pod\":{\"uid\":\"a\""));
        for (int i = 0; i < RESOURCE_MAX + 3; i++)
            (void)strbuf_addf(&fact, ",\"example.com/r%d\":%d", i,
                              i < RESOURCE_MAX || i - RESOURCE_MAX == asked);
        (void)strbuf_add_char(&fact, '}');
        cr_assert(read_fact(&line, strbuf_str(&fact), &err), "%s", err.text);
        for (size_t i = 0; i < line.n_amounts; i++)
            lost += line.amounts[i].place < 0 ? line.amounts[i].value : 0;
        cr_assert_eq(lost, 1);
        decide_line_done(&line);
        strbuf_done(&fact);
    }
}
