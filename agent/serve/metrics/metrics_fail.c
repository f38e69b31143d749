#include "agent/serve/metrics/metrics_fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "agent/serve/kube_status.h"

enum { MAX_MESSAGE = 512, MAX_NAME = 253 };

static const struct {
    int code;
    const char *reason;
} errors[] = {
    [METRICS_BAD_REQUEST] = {400, "BadRequest"},
    [METRICS_FORBIDDEN] = {403, "Forbidden"},
    [METRICS_NOT_FOUND] = {404, "NotFound"},
    [METRICS_NOT_ALLOWED] = {405, "MethodNotAllowed"},
    [METRICS_NOT_ACCEPTABLE] = {406, "NotAcceptable"},
    [METRICS_UNAVAILABLE] = {503, "ServiceUnavailable"},
};
_Static_assert(COUNT_OF(errors) == METRICS_ERROR_COUNT_, "an error has no reason");

static struct sv cut(struct sv text)
{
    return text.len <= MAX_NAME ? text : (struct sv){.at = text.at, .len = MAX_NAME};
}

void metrics_fail(struct routes_answer *a, enum metrics_error error, const struct metrics_ask *ask,
                  const char *fmt, ...)
{
    char message[MAX_MESSAGE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    a->status = errors[error].code;
    a->content_type = "application/json";
    a->allow = error == METRICS_NOT_ALLOWED ? "GET, HEAD" : NULL;
    strbuf_clear(&a->body);
    kube_status_write(
        &(struct kube_status){
            .code = errors[error].code,
            .reason = errors[error].reason,
            .message = message,
            .group = ask->what >= METRICS_GROUP ? sv_from(metrics_group_name(ask->group))
                                                : (struct sv){0},
            .kind = cut(ask->resource),
            .name = cut(ask->name),
            .retry_after_s = a->retry_after_s,
        },
        &a->body);
}
