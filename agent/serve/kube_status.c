#include "agent/serve/kube_status.h"

#include "base/jsonw.h"

/* As the API server tells of a field that is not valid (metav1.StatusCause). */
static void add_cause(const struct kube_status *s, struct jsonw *w)
{
    jsonw_array(w, "causes");
    jsonw_object(w, NULL);
    jsonw_cstr(w, "reason", "FieldValueInvalid");
    jsonw_cstr(w, "message", s->problem);
    jsonw_str(w, "field", s->field);
    jsonw_end(w);
    jsonw_end(w);
}

static void add_details(const struct kube_status *s, struct jsonw *w)
{
    jsonw_object(w, "details");
    if (s->name.len != 0)
        jsonw_str(w, "name", s->name);
    if (s->group.len != 0)
        jsonw_str(w, "group", s->group);
    if (s->kind.len != 0)
        jsonw_str(w, "kind", s->kind);
    if (s->retry_after_s != 0)
        jsonw_i64(w, "retryAfterSeconds", s->retry_after_s);
    if (s->field.len != 0)
        add_cause(s, w);
    jsonw_end(w);
}

static bool has_details(const struct kube_status *s)
{
    return s->name.len != 0 || s->group.len != 0 || s->kind.len != 0 || s->retry_after_s != 0 ||
           s->field.len != 0;
}

void kube_status_write(const struct kube_status *s, struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "kind", "Status");
    jsonw_cstr(&w, "apiVersion", "v1");
    jsonw_object(&w, "metadata");
    jsonw_end(&w);
    jsonw_cstr(&w, "status", "Failure");
    jsonw_cstr(&w, "message", s->message);
    jsonw_cstr(&w, "reason", s->reason);
    if (has_details(s))
        add_details(s, &w);
    jsonw_i64(&w, "code", s->code);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}
