#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/kube/config.h"
#include "base/base64.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 1 << 20 };

/* Texts end up in headers and C calls. */
static void check_clean(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
    }
}

/* What is no URL would be told only when the first request fails. */
static void check_url(const char *text)
{
    CURLU *url = curl_url();

    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        abort();
    curl_url_cleanup(url);
}

static void check(const struct kube_config *c)
{
    const char *const texts[] = {c->server,    c->tls_server_name, c->proxy_url, c->ca_file,
                                 c->cert_file, c->key_file,        c->token,     c->token_file,
                                 c->username,  c->password,        c->ns,        c->context};

    if (c->server == NULL || c->ns == NULL || strncmp(c->server, "http", 4) != 0 ||
        c->server[strlen(c->server) - 1] == '/')
        abort();
    check_url(c->server);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        check_clean(texts[i]);
    for (size_t i = 0; i < c->n_impersonate; i++) {
        check_clean(c->impersonate[i]);
        if (strncmp(c->impersonate[i], "Impersonate-", 12) != 0)
            abort();
    }
    /* No credentials go over plain http, and none but one kind is kept. */
    if (c->plain && (c->token != NULL || c->username != NULL || c->cert_pem.len != 0 ||
                     c->key_pem.len != 0 || c->n_impersonate != 0))
        abort();
    if (c->username != NULL && c->token != NULL)
        abort();
}

static void check_base64(struct sv text)
{
    struct strbuf bytes, again, twice;

    strbuf_init(&bytes, TEXT_MAX);
    strbuf_init(&again, TEXT_MAX);
    strbuf_init(&twice, TEXT_MAX);
    if (base64_decode(text, &bytes) &&
        (!base64_encode(strbuf_sv(&bytes), &again) || !base64_decode(strbuf_sv(&again), &twice) ||
         !sv_eq(strbuf_sv(&bytes), strbuf_sv(&twice))))
        abort();
    strbuf_done(&bytes);
    strbuf_done(&again);
    strbuf_done(&twice);
}

static void load(const struct kube_config_options *options)
{
    struct kube_config config;
    struct err err = {0};

    if (kube_config_load(options, &config, &err)) {
        check(&config);
        kube_config_done(&config);
    } else if (err.kind == ERR_NONE || err.text[0] == '\0') {
        abort();
    }
}

/* As --kubeconfig, in a list, and as what a pod's environment says; no file is where it should be but this one. */
static void load_each_way(const char *path, const char *text)
{
    load(&(struct kube_config_options){.kubeconfig = path});
    load(&(struct kube_config_options){.env_list = path, .context = text});
    load(&(struct kube_config_options){.env_list = text});
    load(&(struct kube_config_options){.home = text});
    load(&(struct kube_config_options){
        .service_host = text, .service_port = "443", .account_dir = "/proc/self/fdinfo"});
}

/* The bytes as a kubeconfig file in memory, as base64, and as text of the environment. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv bytes = {.at = (const char *)data, .len = size};
    int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    char path[64], *text = sv_dup(bytes);

    check_base64(bytes);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    load_each_way(path, text);
    (void)close(fd);
    free(text);
    return 0;
}
