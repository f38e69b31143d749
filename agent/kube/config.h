/*
 * config: where the API server is and how to log in: from kubeconfig files, or from inside a pod.
 *
 * Order: the given file alone (it must exist) -> $KUBECONFIG, a list split by ':' -> ~/.kube/config -> in-cluster. In a list
 * missing files are skipped; the first file that names a cluster, user or context wins whole; the first that sets
 * current-context wins. Relative paths are relative to the file that holds them.
 * Users with `exec` or `auth-provider` are refused by name, unless they also hold a token, a password or a certificate
 * (then `exec` is ignored, as kubectl does). Over plain http: no credentials are kept.
 * Errors carry FILE:line:column; where nothing is configured (ERR_NOT_FOUND) they name the files looked for. Strings are owned by the struct and never contain line breaks.
 */
#ifndef BRIM_AGENT_KUBE_CONFIG_H
#define BRIM_AGENT_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

enum {
    KUBE_CONFIG_MAX_FILE = 4 << 20,
    KUBE_CONFIG_MAX_TOKEN = 64 << 10,
    KUBE_CONFIG_MAX_PEM = 1 << 20,
};

/* NULL: not given. kube_config_options_from_env() fills all but the first two from the environment. */
struct kube_config_options {
    const char *kubeconfig;   /* --kubeconfig */
    const char *context;      /* --context */
    const char *env_list;     /* $KUBECONFIG */
    const char *home;         /* $HOME */
    const char *service_host; /* $KUBERNETES_SERVICE_HOST */
    const char *service_port; /* $KUBERNETES_SERVICE_PORT */
    const char *account_dir;  /* where a pod finds token, ca.crt and namespace */
};

struct kube_config_options kube_config_options_from_env(const char *kubeconfig,
                                                        const char *context);

struct kube_config {
    char *server;  /* scheme, host, port and path prefix, without a slash at the end */
    bool plain;    /* http: no TLS, no credentials */
    bool insecure; /* the server's certificate is not checked */
    bool in_cluster;
    char *tls_server_name; /* NULL: the host; so are all below that are not given */
    char *proxy_url;
    char *ca_file;
    struct strbuf ca_pem; /* PEM; empty: not given */
    char *cert_file, *key_file;
    struct strbuf cert_pem, key_pem;
    char *token;      /* what it is now */
    char *token_file; /* from which it is read again */
    char *username, *password;
    char **impersonate; /* header lines, "Impersonate-User: jane" */
    size_t n_impersonate;
    char *ns;      /* never NULL */
    char *context; /* NULL in a cluster */
};

bool kube_config_load(const struct kube_config_options *options, struct kube_config *ret_config,
                      struct err *err) MUST_CHECK;
void kube_config_done(struct kube_config *config);

/* Reads the token file again; true without one. On failure the old token stays. */
bool kube_config_read_token(struct kube_config *config, struct err *err) MUST_CHECK;

#endif
