#include "agent/serve/fail.h"

#include <stdio.h>

#include "agent/serve/kube_status.h"

void fail_text(struct routes_answer *a, int status, const char *text)
{
    strbuf_clear(&a->body);
    a->status = status;
    a->content_type = "text/plain; charset=utf-8";
    (void)strbuf_addf(&a->body, "%s\n", text);
}

static void fail_status(struct routes_answer *a, const struct kube_status *status)
{
    strbuf_clear(&a->body);
    a->status = status->code;
    a->content_type = "application/json";
    kube_status_write(status, &a->body);
}

void fail_json(struct routes_answer *a, int status, const char *reason, const char *message)
{
    fail_status(a, &(struct kube_status){.code = status, .reason = reason, .message = message});
}

/* What is longer than any name is cut. */
enum { FIELD_MAX = 320 };

void fail_param(struct routes_answer *a, struct sv field, const char *message)
{
    char text[FIELD_MAX + 256];

    if (field.len > FIELD_MAX)
        field.len = FIELD_MAX;
    (void)snprintf(text, sizeof text, "%.*s: %s", SV_ARG(field), message);
    fail_status(a, &(struct kube_status){.code = 400,
                                         .reason = "BadRequest",
                                         .message = text,
                                         .field = field,
                                         .problem = message});
}
