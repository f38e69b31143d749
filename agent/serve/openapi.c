#include "agent/serve/openapi.h"

/* Made by embed.py, which knows its length. */
#include "agent/serve/openapi_json.h"

void openapi_answer(const struct routes_request *rq UNUSED, const struct snapshot *s UNUSED,
                    struct routes_answer *a)
{
    a->content_type = "application/json";
    (void)strbuf_add(&a->body, (struct sv){.at = openapi_json, .len = sizeof openapi_json});
}
