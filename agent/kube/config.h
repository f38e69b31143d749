/*
 * config: where the API server is and how to log in: from kubeconfig files, or from inside a pod.
 *
 * Order: the given file alone (it must exist) -> $KUBECONFIG, a list split by ':' -> ~/.kube/config -> in-cluster. In a list
 * missing files are skipped; the first file that names a cluster, user or context wins whole; the first that sets
 * current-context wins. Relative paths are relative to the file that holds them.
 * `exec` is ignored where the user also holds a token, a password or a certificate, as kubectl does; `auth-provider` is
 * refused by name. Over plain http: no credentials are kept. The proxy is the cluster's `proxy-url`, which NO_PROXY does not
 * touch, else the environment's (proxy.h).
 * Errors carry FILE:line:column; where nothing is configured (ERR_NOT_FOUND) they name the files looked for. Strings are owned by the struct and never contain line breaks.
 */
#ifndef BRIM_AGENT_KUBE_CONFIG_H
#define BRIM_AGENT_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/kube/proxy.h"
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
    struct proxy_env proxy;
};

struct kube_config_options kube_config_options_from_env(const char *kubeconfig,
                                                        const char *context);

#define KUBE_EXEC_V1      "client.authentication.k8s.io/v1"
#define KUBE_EXEC_V1BETA1 "client.authentication.k8s.io/v1beta1"

/* A program that gives credentials. Lists end in NULL. */
struct kube_exec {
    char *api_version; /* one of the two above, and of its answer */
    char **argv; /* the program first: a path, or without a slash a name to be found in $PATH */
    char **env;  /* "NAME=VALUE", over the environment; KUBERNETES_EXEC_INFO is among them */
    char *install_hint; /* one line; NULL: none */
    bool provide_cluster_info;
    char *cluster_config; /* the cluster's extension for it, as JSON; NULL: none */
};

struct kube_config {
    char *server;  /* scheme, host, port and path prefix, without a slash at the end */
    bool plain;    /* http: no TLS, no credentials */
    bool insecure; /* the server's certificate is not checked */
    bool in_cluster;
    char *tls_server_name; /* NULL: the host; so are all below that are not given */
    char *proxy_url;
    char *ca_file;        /* from which ca_pem is read again */
    struct strbuf ca_pem; /* PEM; empty: not given */
    char *cert_file, *key_file;
    struct strbuf cert_pem, key_pem;
    struct kube_exec *exec; /* gives token, or cert_pem and key_pem (exec.h) */
    char *token;            /* what it is now */
    char *token_file;       /* from which it is read again */
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

/*
 * Reads the files of certificate authority, client certificate and key again, all or none; true without any. *ret_changed:
 * is anything different? On failure, and while a file is not whole PEM, what was there stays.
 */
bool kube_config_read_tls(struct kube_config *config, bool *ret_changed,
                          struct err *err) MUST_CHECK;

/* Are all its blocks whole, and is there one? What is just being written may be cut anywhere. */
bool kube_config_is_pem(struct sv text);

#endif
