#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/events.h"
#include "tests/unit/agent/fake_kube.h"

struct rig {
    struct fake fake;
    struct kube_config config;
    struct transport transport;
    struct timers timers;
    struct client *client;
    struct events *events;
};

static const struct events_object web = {
    .api_version = "apps/v1", .kind = "Deployment", .ns = "filler", .name = "web", .uid = "u1"};
static const struct event grew = {
    .reason = "Harvest", .action = "Rescale", .note = "New size: 5; reason: room"};

static void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    fake_init(&r->fake);
    r->transport = fake_transport(&r->fake);
    r->timers = fake_timers(&r->fake);
    r->client = client_new(&r->config, &r->transport, &r->timers);
    r->events = events_new(r->client, "brim.dev/agent", "pod-a");
}

static void rig_done(struct rig *r)
{
    events_free(r->events);
    client_free(r->client);
    fake_done(&r->fake);
}

Test(events, posts_what_the_api_wants)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    events_post(r.events, &web, &grew);
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->method, "POST");
    cr_assert_str_eq(t->path, "/apis/events.k8s.io/v1/namespaces/filler/events");
    cr_assert_str_eq(
        t->body,
        "{\"apiVersion\":\"events.k8s.io/"
        "v1\",\"kind\":\"Event\",\"metadata\":{\"namespace\":\"filler\","
        "\"name\":\"web.18d75b8423f30000\"},\"eventTime\":\"2026-09-21T14:13:20.000000Z\","
        "\"reportingController\":\"brim.dev/"
        "agent\",\"reportingInstance\":\"pod-a\",\"action\":\"Rescale\","
        "\"reason\":\"Harvest\",\"regarding\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\","
        "\"namespace\":\"filler\",\"name\":\"web\",\"uid\":\"u1\"},\"note\":\"New size: 5; reason: "
        "room\","
        "\"type\":\"Normal\"}");
    fake_json(t, 201, "{}");
    cr_assert_eq(events_stats(r.events)->sent, 1);
    rig_done(&r);
}

Test(events, makes_a_series_of_what_repeats)
{
    struct rig r;
    struct transfer *t;

    rig_init(&r);
    events_post(r.events, &web, &grew);
    events_post(r.events, &web, &grew);
    cr_assert_eq(fake_count(&r.fake), 1, "the second waits for the first to be written");
    fake_json(fake_pending(&r.fake), 201, "{}");
    t = fake_pending(&r.fake);
    cr_assert_str_eq(t->method, "PATCH");
    cr_assert_eq(strncmp(t->path, "/apis/events.k8s.io/v1/namespaces/filler/events/web.", 52), 0,
                 "%s", t->path);
    cr_assert_str_eq(
        t->body, "{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-09-21T14:13:20.000000Z\"}}");
    fake_json(t, 200, "{}");

    for (int i = 0; i < 5; i++) {
        fake_advance(&r.fake, 10 * US_PER_S);
        events_post(r.events, &web, &grew);
    }
    cr_assert_null(fake_pending(&r.fake), "counts are written every 6 min");
    fake_advance(&r.fake, EVENTS_SERIES_US);
    cr_assert_str_eq(
        fake_pending(&r.fake)->body,
        "{\"series\":{\"count\":7,\"lastObservedTime\":\"2026-09-21T14:14:10.000000Z\"}}");
    fake_json(fake_pending(&r.fake), 200, "{}");
    cr_assert_eq(events_stats(r.events)->aggregated, 6);

    fake_advance(&r.fake, EVENTS_SERIES_US);
    events_post(r.events, &web, &grew);
    cr_assert_str_eq(fake_pending(&r.fake)->method, "POST", "after a pause a new one begins");
    rig_done(&r);
}

Test(events, begins_anew_after_a_failure)
{
    struct rig r;

    rig_init(&r);
    events_post(r.events, &web, &grew);
    fake_break(fake_pending(&r.fake));
    cr_assert_eq(events_stats(r.events)->failed, 1);
    events_post(r.events, &web, &grew);
    cr_assert_str_eq(fake_pending(&r.fake)->method, "POST");
    fake_json(fake_pending(&r.fake), 201, "{}");
    events_post(r.events, &web, &grew);
    fake_json(fake_pending(&r.fake), 404, "{\"kind\":\"Status\",\"code\":404}");
    events_post(r.events, &web, &grew);
    cr_assert_str_eq(fake_pending(&r.fake)->method, "POST",
                     "an event that expired is posted again");
    rig_done(&r);
}

Test(events, holds_back_a_flood_per_object)
{
    struct events_object other = web;
    struct rig r;
    char note[32];

    rig_init(&r);
    other.uid = "u2";
    for (int i = 0; i < EVENTS_BURST + 10; i++) {
        struct event ev = grew;

        (void)snprintf(note, sizeof note, "New size: %d", i);
        ev.note = note;
        events_post(r.events, &web, &ev);
        if (fake_pending(&r.fake) != NULL)
            fake_json(fake_pending(&r.fake), 201, "{}");
    }
    cr_assert_eq(events_stats(r.events)->sent, EVENTS_BURST);
    cr_assert_eq(events_stats(r.events)->limited, 10);
    events_post(r.events, &other, &grew);
    cr_assert_not_null(fake_pending(&r.fake), "another object has a burst of its own");
    fake_json(fake_pending(&r.fake), 201, "{}");
    events_post(r.events, &web, &grew);
    cr_assert_null(fake_pending(&r.fake));
    fake_advance(&r.fake, EVENTS_REFILL_US);
    events_post(r.events, &web, &grew);
    cr_assert_not_null(fake_pending(&r.fake), "one each 5 min goes on");
    rig_done(&r);
}

Test(events, drops_what_a_silent_server_does_not_take)
{
    struct rig r;

    rig_init(&r);
    for (int i = 0; i < EVENTS_MAX_UNDERWAY + 5; i++) {
        char name[16];
        struct events_object object = web;

        (void)snprintf(name, sizeof name, "o%d", i);
        object.name = name;
        events_post(r.events, &object, &grew);
    }
    cr_assert_eq(fake_count(&r.fake), EVENTS_MAX_UNDERWAY);
    cr_assert_eq(events_stats(r.events)->limited, 5);
    rig_done(&r);
}

Test(events, cuts_long_texts_between_characters)
{
    struct events_object object = web;
    struct event ev = grew;
    struct rig r;
    char name[254], note[1100];

    rig_init(&r);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[235] = '.';
    memset(note, 'x', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    memcpy(note + 1023, "\xc3\xa4", 2);
    object.name = name;
    ev.note = note;
    events_post(r.events, &object, &ev);

    const char *body = fake_pending(&r.fake)->body;
    const char *at = strstr(body, "\"note\":\"");
    const char *own = strstr(body, "\"name\":\"");

    cr_assert_not_null(at);
    cr_assert_eq(strcspn(at + 8, "\""), 1023, "%zu bytes", strcspn(at + 8, "\""));
    cr_assert_not_null(own);
    cr_assert_eq(strncmp(own + 8 + 235, ".18", 3), 0, "the dot at the cut is gone: %.20s",
                 own + 8 + 230);
    rig_done(&r);
}
