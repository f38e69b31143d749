#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/restore.h"
#include "tests/unit/agent/fake_kube.h"

/* A target of 50 replicas that is to have 10 again; its server is driven by hand. */

static const char policy_text[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {max: 150}\n";

struct world {
    struct fake fake;
    struct transport transport;
    struct timers timers;
    struct kube_config config;
    struct client *client;
    struct policy_list policies;
    struct resource_names names;
    struct workload *workload;
    struct restore *restore;
    long replicas;
    int failing; /* patches that are refused before one is taken */
    int patches, done;
};

static void changed(void *self UNUSED)
{
}

static void template_read(void *self UNUSED, const struct pod_record *pod UNUSED)
{
}

static void written(void *self, bool down UNUSED, int64_t replicas UNUSED, int64_t answered UNUSED,
                    const struct client_problem *problem)
{
    struct world *w = self;

    if (w->restore != NULL)
        restore_answered(w->restore, problem != NULL ? &problem->err : NULL);
}

static void done(void *self)
{
    ((struct world *)self)->done++;
}

static void answer(struct world *w, struct transfer *t)
{
    char body[300];

    if (strcmp(t->method, "PATCH") == 0) {
        const char *number = strrchr(t->body, ':');

        w->patches++;
        if (w->failing-- > 0) {
            fake_json(t, 500, "{\"kind\":\"Status\",\"code\":500}");
            return;
        }
        cr_assert_eq(sscanf(number, ":%ld", &w->replicas), 1, "%s", t->body);
    }
    (void)snprintf(body, sizeof body,
                   "{\"kind\":\"Scale\",\"metadata\":{\"uid\":\"u1\",\"resourceVersion\":\"1\"},"
                   "\"spec\":{\"replicas\":%ld},\"status\":{\"replicas\":0,\"selector\":\"a=b\"}}",
                   w->replicas);
    fake_json(t, 200, strstr(t->path, "/scale") != NULL ? body : "{}");
}

/* Answers what lies there, patches last. */
static void serve(struct world *w, bool patches)
{
    for (;;) {
        struct transfer *t = fake_pending(&w->fake);

        while (t != NULL && (t->answering || (!patches && strcmp(t->method, "PATCH") == 0)))
            t = t->next;
        if (t == NULL)
            return;
        answer(w, t);
    }
}

static void live(struct world *w, int64_t ms)
{
    for (; ms > 0; ms -= 100) {
        fake_advance(&w->fake, 100 * US_PER_MS);
        serve(w, true);
    }
}

static void world_init(struct world *w)
{
    static const struct podreq_rules rules = {.status = true, .pod_level = true};

    *w = (struct world){.replicas = 50};
    fake_init(&w->fake);
    w->transport = fake_transport(&w->fake);
    w->timers = fake_timers(&w->fake);
    w->config = (struct kube_config){.server = (char[]){"http://x"}, .plain = true};
    w->client = client_new(&w->config, &w->transport, &w->timers);
    resource_names_init(&w->names);
    cr_assert(policy_read(SV("p"), sv_from(policy_text), &w->policies, NULL));
    w->workload = workload_new(w->client, w->policies.at[0], &w->names, &rules,
                               &(struct workload_handler){changed, template_read, written, w});
    live(w, 1000);
    cr_assert_eq(workload_view(w->workload)->replicas, 50);
}

static void world_done(struct world *w)
{
    restore_free(w->restore);
    workload_free(w->workload);
    client_free(w->client);
    resource_names_done(&w->names);
    policy_list_done(&w->policies);
    fake_done(&w->fake);
}

Test(restore, writes_the_count_that_was_found)
{
    struct world w;

    world_init(&w);
    w.restore = restore_new(w.workload, &w.timers, 10, done, &w);
    cr_assert_eq(w.done, 0);
    live(&w, 20000);
    cr_assert_eq(w.replicas, 10, "%ld", w.replicas);
    cr_assert_eq(w.patches, 1);
    cr_assert_eq(w.done, 1);
    world_done(&w);
}

Test(restore, has_nothing_to_do_where_the_count_stands)
{
    struct world w;

    world_init(&w);
    w.restore = restore_new(w.workload, &w.timers, 50, done, &w);
    cr_assert_eq(w.done, 1);
    cr_assert_eq(w.patches, 0);
    world_done(&w);
}

Test(restore, waits_for_a_write_that_is_open)
{
    struct world w;

    world_init(&w);
    workload_grow(w.workload, 80);
    w.restore = restore_new(w.workload, &w.timers, 10, done, &w);
    serve(&w, false);
    cr_assert_eq(w.done, 0);
    live(&w, 1000);
    cr_assert_eq(w.patches, 2);
    cr_assert_eq(w.replicas, 10, "%ld", w.replicas);
    cr_assert_eq(w.done, 1);
    world_done(&w);
}

Test(restore, is_tried_once_more_and_then_given_up)
{
    for (int failing = 1; failing <= 3; failing++) {
        struct world w;

        world_init(&w);
        w.failing = failing;
        w.restore = restore_new(w.workload, &w.timers, 10, done, &w);
        live(&w, 30000);
        cr_assert_eq(w.patches, 2, "%d fail: %d patches", failing, w.patches);
        cr_assert_eq(w.replicas, failing == 1 ? 10 : 50, "%d fail: %ld", failing, w.replicas);
        cr_assert_eq(w.done, 1, "%d fail", failing);
        world_done(&w);
    }
}
