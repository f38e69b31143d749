#include "agent/serve/metrics/metrics_api.h"

#include <stdio.h>

#include "agent/serve/accept.h"
#include "agent/serve/metrics/metrics_ask.h"
#include "agent/serve/metrics/metrics_discovery.h"
#include "agent/serve/metrics/metrics_fail.h"
#include "agent/serve/metrics/metrics_values.h"

/* Does one of the tags, or "*", name the body that is there? Compared weakly (RFC 9110, 13.1.2). */
static bool is_known(struct sv if_none_match, struct sv etag)
{
    struct sv tag;

    while (sv_next(&if_none_match, ',', &tag)) {
        tag = sv_trim(tag);
        if (sv_starts(tag, SV("W/")))
            tag = sv_skip(tag, 2);
        if (sv_eq(tag, SV("*")) || sv_eq(tag, etag))
            return true;
    }
    return false;
}

static void answer_aggregated(const struct routes_request *rq, bool v2, const struct snapshot *s,
                              struct routes_answer *a)
{
    a->content_type =
        v2 ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
           : "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    metrics_discovery_aggregated(rq->metrics_groups, v2 ? "v2" : "v2beta1", s, &a->body);
    (void)snprintf(a->etag, sizeof a->etag, "\"%016llx\"",
                   (unsigned long long)sv_hash(strbuf_sv(&a->body)));
    if (!is_known(rq->if_none_match, sv_from(a->etag)))
        return;
    a->status = 304;
    strbuf_clear(&a->body);
}

static void answer_groups(const struct routes_request *rq, enum accept_form form,
                          const struct snapshot *s, struct routes_answer *a)
{
    a->vary_accept = true;
    switch (form) {
    case ACCEPT_GROUPS_V2:
    case ACCEPT_GROUPS_V2BETA1:
        answer_aggregated(rq, form == ACCEPT_GROUPS_V2, s, a);
        return;
    case ACCEPT_JSON:
        metrics_discovery_groups(rq->metrics_groups, &a->body);
        return;
    case ACCEPT_NOTHING:
    case ACCEPT_FORM_COUNT_:
        return;
    }
}

static bool is_read(const struct metrics_ask *ask, struct sv method)
{
    return (sv_eq(method, SV("GET")) || sv_eq(method, SV("HEAD"))) &&
           !sv_eq(sv_from(ask->verb), SV("watch"));
}

void metrics_api_answer(const struct routes_request *rq, const struct snapshot *s,
                        struct routes_answer *a)
{
    struct metrics_ask ask = metrics_ask_read(rq);
    enum accept_form form = accept_json(rq->accept, ask.what == METRICS_GROUPS);

    a->content_type = "application/json";
    if (!is_read(&ask, rq->method)) {
        metrics_fail(a, METRICS_NOT_ALLOWED, &ask, "metrics can be read with GET alone");
        return;
    }
    if (form == ACCEPT_NOTHING) {
        metrics_fail(a, METRICS_NOT_ACCEPTABLE, &ask,
                     "only the following media types are accepted: application/json");
        return;
    }
    switch (ask.what) {
    case METRICS_GROUPS:
        answer_groups(rq, form, s, a);
        return;
    case METRICS_GROUP:
        metrics_discovery_group(ask.group, &a->body);
        return;
    case METRICS_RESOURCES:
        metrics_discovery_resources(ask.group, ask.version, s, &a->body);
        return;
    case METRICS_SERIES:
        metrics_values_series(rq, &ask, s, a);
        return;
    case METRICS_OBJECTS:
        metrics_values_objects(rq, &ask, s, a);
        return;
    case METRICS_NOTHING:
    case METRICS_WHAT_COUNT_:
        metrics_fail(a, METRICS_NOT_FOUND, &ask, "there is nothing at this address");
        return;
    }
}
