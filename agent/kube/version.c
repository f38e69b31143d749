#include "agent/kube/version.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/alloc.h"

struct kube_version_question {
    struct client_call *call;
    kube_version_fn *fn;
    void *self;
};

static void delete_json(cJSON **json)
{
    cJSON_Delete(*json);
}

/* The digits at the front of a text member. */
static struct sv number_of(const cJSON *json, const char *key)
{
    struct sv text = sv_from(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key)));
    size_t digits = 0;

    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    return (struct sv){.at = text.at, .len = digits};
}

bool kube_version_parse(struct sv body, struct kube_version *ret_version, struct err *err)
{
    CLEANUP(delete_json) cJSON *json = cJSON_ParseWithLength(body.at, body.len);
    struct sv major = number_of(json, "major"), minor = number_of(json, "minor");
    const char *git = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "gitVersion"));

    if (major.len == 0 || minor.len == 0 || major.len + minor.len + 2 > sizeof ret_version->release)
        return err_set(err, ERR_PROTOCOL, 0, "%s: found '%.*s', expected major and minor",
                       KUBE_VERSION_PATH, (int)(body.len < 80 ? body.len : 80), body.at);
    (void)snprintf(ret_version->release, sizeof ret_version->release, "%.*s.%.*s", SV_ARG(major),
                   SV_ARG(minor));
    (void)snprintf(ret_version->git, sizeof ret_version->git, "%s",
                   git != NULL ? git : ret_version->release);
    return true;
}

static void answered(void *self, const struct client_answer *answer)
{
    struct kube_version_question *question = self;
    struct kube_version version;
    struct err err = {0};

    if (answer->problem != NULL)
        question->fn(question->self, NULL, &answer->problem->err);
    else if (!kube_version_parse(answer->body, &version, &err))
        question->fn(question->self, NULL, &err);
    else
        question->fn(question->self, &version, NULL);
    free(question);
}

struct kube_version_question *kube_version_ask(struct client *client, kube_version_fn *fn,
                                               void *self)
{
    struct kube_version_question *question = xcalloc(1, sizeof *question);

    question->fn = fn;
    question->self = self;
    question->call =
        client_send(client,
                    &(struct client_request){
                        .method = "GET", .path = KUBE_VERSION_PATH, .channel = CHANNEL_POOL},
                    answered, question);
    return question;
}

void kube_version_cancel(struct kube_version_question *question)
{
    if (question == NULL)
        return;
    client_cancel(question->call);
    free(question);
}
