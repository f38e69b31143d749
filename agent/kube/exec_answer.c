#include "agent/kube/exec_answer.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/kube/config.h"
#include "base/alloc.h"

enum { MAX_SHOWN = 60 };

static void delete_json(cJSON **json)
{
    cJSON_Delete(*json);
}

/* The text under `key`, empty if it is absent or null; false if it is something else. */
static bool get_text(const cJSON *object, const char *key, struct sv *ret_text, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (item != NULL && !cJSON_IsString(item) && !cJSON_IsNull(item))
        return err_set(err, ERR_AUTH, 0, "%s: expected a text", key);
    *ret_text = sv_from(cJSON_GetStringValue(item));
    return true;
}

static bool take_token(const cJSON *status, struct exec_answer *a, struct err *err)
{
    struct sv token;

    if (!get_text(status, "token", &token, err))
        return false;
    /* It becomes a line of the request's head. */
    for (size_t i = 0; i < token.len; i++)
        if ((unsigned char)token.at[i] <= 0x20 || token.at[i] == 0x7f)
            return err_set(err, ERR_AUTH, 0, "token: found a blank or a control character");
    if (token.len > KUBE_CONFIG_MAX_TOKEN)
        return err_set(err, ERR_AUTH, 0, "token: longer than %d bytes", KUBE_CONFIG_MAX_TOKEN);
    a->token = token.len != 0 ? sv_dup(token) : NULL;
    return true;
}

static bool take_pem(const cJSON *status, const char *key, struct strbuf *pem, struct err *err)
{
    struct sv text;

    if (!get_text(status, key, &text, err))
        return false;
    if (text.len != 0 && !kube_config_is_pem(text))
        return err_set(err, ERR_AUTH, 0, "%s: expected PEM text", key);
    strbuf_init(pem, KUBE_CONFIG_MAX_PEM);
    return strbuf_add(pem, text) ||
           err_set(err, ERR_AUTH, 0, "%s: longer than %d bytes", key, KUBE_CONFIG_MAX_PEM);
}

static bool take_expiry(const cJSON *status, struct exec_answer *a, struct err *err)
{
    struct sv text;

    if (!get_text(status, "expirationTimestamp", &text, err))
        return false;
    a->expires = text.len != 0;
    if (a->expires && !wall_parse(text, &a->expires_at))
        return err_set(err, ERR_AUTH, 0, "expirationTimestamp: expected RFC 3339");
    return true;
}

static bool take_status(const cJSON *status, struct exec_answer *a, struct err *err)
{
    if (!cJSON_IsObject(status))
        return err_set(err, ERR_AUTH, 0, "found no status");
    if (!take_token(status, a, err) ||
        !take_pem(status, "clientCertificateData", &a->cert_pem, err) ||
        !take_pem(status, "clientKeyData", &a->key_pem, err) || !take_expiry(status, a, err))
        return false;
    if ((a->cert_pem.len == 0) != (a->key_pem.len == 0))
        return err_set(err, ERR_AUTH, 0,
                       "found one of clientCertificateData and clientKeyData, expected both");
    return a->token != NULL || a->cert_pem.len != 0 ||
           err_set(err, ERR_AUTH, 0, "found neither a token nor a certificate");
}

bool exec_answer_parse(struct sv printed, const char *api_version, struct exec_answer *ret_answer,
                       struct err *err)
{
    CLEANUP(delete_json) cJSON *json = cJSON_ParseWithLength(printed.at, printed.len);
    struct exec_answer a = {0};
    struct sv kind = {0}, version = {0};

    if (!cJSON_IsObject(json))
        return err_set(err, ERR_AUTH, 0, "its answer is no JSON object");
    if (!get_text(json, "kind", &kind, err) || !get_text(json, "apiVersion", &version, err))
        return false;
    if (!sv_eq(kind, SV("ExecCredential")) || !sv_eq(version, sv_from(api_version)))
        return err_set(err, ERR_AUTH, 0, "its answer is of '%.*s' '%.*s', expected '%s' '%s'",
                       (int)(version.len < MAX_SHOWN ? version.len : MAX_SHOWN), version.at,
                       (int)(kind.len < MAX_SHOWN ? kind.len : MAX_SHOWN), kind.at, api_version,
                       "ExecCredential");
    if (!take_status(cJSON_GetObjectItemCaseSensitive(json, "status"), &a, err)) {
        exec_answer_done(&a);
        return err_wrap(err, "its answer");
    }
    *ret_answer = a;
    return true;
}

void exec_answer_done(struct exec_answer *a)
{
    free(a->token);
    strbuf_done(&a->cert_pem);
    strbuf_done(&a->key_pem);
    *a = (struct exec_answer){0};
}
