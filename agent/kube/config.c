#include "agent/kube/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/config_parts.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/file.h"

enum { MAX_FILES = 64, MAX_IMPERSONATE = 256, ARENA_MAX = 64 << 20 };

/* What libcurl refuses in a host's name, control characters aside (lib/urlapi.c), or decodes, and the longest zone that it takes. */
#define NOT_IN_HOST "% \r\n\t/:#?!@{}[]\\$'\"^`*<>=;,+&()|"
enum { MAX_ZONE = 15 };

struct loader {
    struct arena arena;
    struct config_file files[MAX_FILES];
    size_t n_files;
};

/* ---- files ---- */

static bool load_file(struct loader *l, const char *path, struct err *err)
{
    struct strbuf text;
    struct yaml_doc *docs = NULL;
    bool ok;

    if (l->n_files == MAX_FILES)
        return err_set(err, ERR_LIMIT, 0, "more than %d kubeconfig files", MAX_FILES);
    if (!file_read(path, false, KUBE_CONFIG_MAX_FILE, &text, err))
        return false;
    ok = yaml_parse(&l->arena, strbuf_sv(&text), &docs, err);
    strbuf_done(&text);
    if (!ok) {
        if (err != NULL) {
            char inner[sizeof err->text];

            memcpy(inner, err->text, sizeof inner);
            return err_set(err, err->kind, err->code, "%s:%s", path, inner);
        }
        return false;
    }

    const struct yaml_node *root = docs != NULL ? docs->root : NULL;

    if (root != NULL && root->kind != YAML_MAPPING && !yaml_is_null(root))
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: found a %s, expected a mapping", path,
                       root->line, root->column, yaml_kind_name(root->kind));
    l->files[l->n_files++] = (struct config_file){.path = xstrdup(path), .root = root};
    return true;
}

static void loader_done(struct loader *l)
{
    for (size_t i = 0; i < l->n_files; i++)
        free(l->files[i].path);
    arena_done(&l->arena);
}

/* ---- values ---- */

bool config_wrong(const struct config_file *f, const struct yaml_node *at, struct err *err,
                  const char *what)
{
    return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s", f->path, at->line, at->column, what);
}

bool config_clean(struct sv text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    return true;
}

bool config_text(struct config_entry e, const char *key, struct sv *ret_text, struct err *err)
{
    const struct yaml_node *node = yaml_get(e.body, key);

    if (yaml_is_null(node)) {
        *ret_text = (struct sv){0};
        return true;
    }
    if (node->kind != YAML_SCALAR)
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: found a %s, expected text", e.file->path,
                       node->line, node->column, key, yaml_kind_name(node->kind));
    if (!config_clean(node->text))
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: found a control character", e.file->path,
                       node->line, node->column, key);
    *ret_text = node->text;
    return true;
}

bool config_string(struct config_entry e, const char *key, char **ret_string, struct err *err)
{
    struct sv text;

    if (!config_text(e, key, &text, err))
        return false;
    *ret_string = text.len != 0 ? sv_dup(text) : NULL;
    return true;
}

bool config_is_bool(const struct yaml_node *node, bool *ret_value)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"False", "True"}, {"FALSE", "TRUE"}, {"no", "yes"},
        {"No", "Yes"},     {"NO", "YES"},     {"off", "on"},     {"Off", "On"},
        {"OFF", "ON"},     {"n", "y"},        {"N", "Y"},
    };

    if (node == NULL || node->kind != YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < 2 * COUNT_OF(words); i++) {
        if (sv_eq(node->text, sv_from(words[i / 2][i % 2]))) {
            *ret_value = i % 2 != 0;
            return true;
        }
    }
    return false;
}

bool config_bool(struct config_entry e, const char *key, bool *ret_value, struct err *err)
{
    const struct yaml_node *node = yaml_get(e.body, key);

    if (yaml_is_null(node)) {
        *ret_value = false;
        return true;
    }
    return config_is_bool(node, ret_value) ||
           err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: expected true or false", e.file->path,
                   node->line, node->column, key);
}

bool config_path(struct config_entry e, const char *key, char **ret_path, struct err *err)
{
    const char *slash = strrchr(e.file->path, '/');
    struct strbuf path;
    struct sv text;

    if (!config_text(e, key, &text, err))
        return false;
    if (text.len == 0 || text.at[0] == '/' || slash == NULL) {
        *ret_path = text.len != 0 ? sv_dup(text) : NULL;
        return true;
    }
    strbuf_init(&path, CONFIG_MAX_URL + strlen(e.file->path));
    (void)strbuf_add(&path,
                     (struct sv){.at = e.file->path, .len = (size_t)(slash - e.file->path) + 1});
    if (!strbuf_add(&path, text)) {
        strbuf_done(&path);
        return config_wrong(e.file, yaml_get(e.body, key), err, "the path is too long");
    }
    *ret_path = path.at;
    return true;
}

/* A pair KEY (a file) and KEY-data (base64 of its content), of which at most one may be given. */
static bool get_pem(struct config_entry e, const char *key, const char *data_key, char **ret_file,
                    struct strbuf *pem, struct err *err)
{
    const struct yaml_node *data = yaml_get(e.body, data_key);

    strbuf_init(pem, KUBE_CONFIG_MAX_PEM);
    if (!config_path(e, key, ret_file, err))
        return false;
    if (yaml_is_null(data) || (data->kind == YAML_SCALAR && data->text.len == 0))
        return true;
    if (*ret_file != NULL)
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: both %s and %s are given, expected one",
                       e.file->path, data->line, data->column, key, data_key);
    if (data->kind != YAML_SCALAR || !base64_decode(data->text, pem) || pem->len == 0)
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: expected base64", e.file->path, data->line,
                       data->column, data_key);
    return true;
}

/* ---- looking up ---- */

/* In the list `list` the entry called `name`; its mapping lies under `key`. */
static bool find_in_file(const struct config_file *f, const char *list, const char *key,
                         struct sv name, struct config_entry *ret_entry, struct err *err)
{
    const struct yaml_node *all = yaml_get(f->root, list);
    struct config_entry found = {0};

    if (yaml_is_null(all)) {
        *ret_entry = found;
        return true;
    }
    if (all->kind != YAML_SEQUENCE)
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: found a %s, expected a list", f->path,
                       all->line, all->column, list, yaml_kind_name(all->kind));
    for (const struct yaml_node *item = all->first; item != NULL; item = item->next) {
        const struct yaml_node *item_name = yaml_get(item, "name");

        if (item_name == NULL || item_name->kind != YAML_SCALAR || !sv_eq(item_name->text, name))
            continue;
        if (found.file != NULL)
            return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: a second entry is named '%.*s'",
                           f->path, item->line, item->column, list, SV_ARG(name));
        found = (struct config_entry){.body = yaml_get(item, key), .file = f};
        if (found.body != NULL && found.body->kind != YAML_MAPPING && !yaml_is_null(found.body))
            return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: found a %s, expected a mapping",
                           f->path, found.body->line, found.body->column, key,
                           yaml_kind_name(found.body->kind));
    }
    *ret_entry = found;
    return true;
}

/* From the first file that names it. */
static bool find(const struct loader *l, const char *list, const char *key, struct sv name,
                 struct config_entry *ret_entry, struct err *err)
{
    for (size_t i = 0; i < l->n_files; i++) {
        struct config_entry found;

        if (!find_in_file(&l->files[i], list, key, name, &found, err))
            return false;
        if (found.file != NULL) {
            *ret_entry = found;
            return true;
        }
    }
    return err_set(err, ERR_INPUT, 0, "%s: no %s named '%.*s'", l->files[0].path, key,
                   SV_ARG(name));
}

static bool current_context(const struct loader *l, struct sv *ret_name, struct err *err)
{
    for (size_t i = 0; i < l->n_files; i++) {
        if (!config_text((struct config_entry){.body = l->files[i].root, .file = &l->files[i]},
                         "current-context", ret_name, err))
            return false;
        if (ret_name->len != 0)
            return true;
    }
    return err_set(err, ERR_INPUT, 0, "%s: no current-context is set and no context was asked for",
                   l->files[0].path);
}

/* ---- the three parts ---- */

static bool has_any(struct sv text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(bytes, text.at[i]) != NULL)
            return true;
    return false;
}

/* With or without a zone: "fe80::1%25eth0". */
static bool is_ipv6(struct sv text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    struct sv zone;

    if (sv_cut(text, '%', &text, &zone)) {
        zone = sv_skip(zone, sv_starts(zone, SV("25")) && zone.len > 2 ? 2 : 0);
        if (zone.len == 0 || zone.len > MAX_ZONE || has_any(zone, NOT_IN_HOST))
            return false;
    }
    if (text.len >= sizeof address)
        return false;
    memcpy(address, text.at, text.len);
    address[text.len] = '\0';
    return inet_pton(AF_INET6, address, bytes) == 1;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT: nothing else does libcurl take. */
static bool is_authority(struct sv text)
{
    struct sv host = text, port = {0};
    uint64_t number;

    if (sv_starts(text, SV("["))) {
        if (!sv_cut(sv_skip(text, 1), ']', &host, &port) || !is_ipv6(host) ||
            (port.len != 0 && port.at[0] != ':'))
            return false;
        port = sv_skip(port, 1);
    } else {
        (void)sv_cut(text, ':', &host, &port);
        if (host.len == 0 || has_any(host, NOT_IN_HOST))
            return false;
    }
    return port.len == 0 || (sv_to_u64(port, &number) && number >= 1 && number <= UINT16_MAX);
}

/* The scheme is written in any case, and kept in small letters. */
static bool set_server(struct kube_config *c, struct sv url, struct err *err)
{
    bool plain = sv_starts_ascii_case(url, SV("http://"));
    struct sv rest = sv_skip(url, plain ? 7 : 8), authority = rest, path;
    struct strbuf server;

    if (!plain && !sv_starts_ascii_case(url, SV("https://")))
        return err_set(err, ERR_INPUT, 0,
                       "server: found '%.*s', expected https://HOST or http://HOST", SV_ARG(url));
    (void)sv_cut(rest, '/', &authority, &path);
    if (url.len > CONFIG_MAX_URL || has_any(url, "?# @") || !is_authority(authority))
        return err_set(err, ERR_INPUT, 0,
                       "server: '%.*s' is not a URL of host, port (1 to 65535) and path",
                       SV_ARG(url));
    while (rest.at[rest.len - 1] == '/')
        rest.len--;
    strbuf_init(&server, CONFIG_MAX_URL);
    (void)strbuf_addf(&server, "%s://%.*s", plain ? "http" : "https", SV_ARG(rest));
    c->plain = plain;
    c->server = server.at;
    return true;
}

static bool take_cluster(struct config_entry e, struct kube_config *c, struct err *err)
{
    struct sv server;
    struct err inner = {0};

    if (!config_text(e, "server", &server, err))
        return false;
    if (server.len == 0)
        return err_set(err, ERR_INPUT, 0, "%s: the cluster has no server", e.file->path);
    if (!set_server(c, server, &inner))
        return config_wrong(e.file, yaml_get(e.body, "server"), err, inner.text);
    if (!get_pem(e, "certificate-authority", "certificate-authority-data", &c->ca_file, &c->ca_pem,
                 err) ||
        !config_bool(e, "insecure-skip-tls-verify", &c->insecure, err) ||
        !config_string(e, "tls-server-name", &c->tls_server_name, err) ||
        !config_string(e, "proxy-url", &c->proxy_url, err))
        return false;
    if (c->insecure && (c->ca_file != NULL || c->ca_pem.len != 0))
        return config_wrong(
            e.file, yaml_get(e.body, "insecure-skip-tls-verify"), err,
            "insecure-skip-tls-verify: true, but a certificate authority is given too");
    if (c->proxy_url != NULL && !proxy_known(c->proxy_url))
        return config_wrong(e.file, yaml_get(e.body, "proxy-url"), err,
                            "proxy-url: expected http://, https:// or socks5://");
    return true;
}

static bool add_impersonate(struct kube_config *c, struct sv name, struct sv value)
{
    struct strbuf line;
    size_t cap = c->n_impersonate;

    strbuf_init(&line, CONFIG_MAX_URL);
    (void)strbuf_add(&line, SV("Impersonate-"));
    (void)strbuf_add(&line, name);
    (void)strbuf_add(&line, SV(": "));
    (void)strbuf_add(&line, value);
    if (line.full || c->n_impersonate == MAX_IMPERSONATE) {
        strbuf_done(&line);
        return false;
    }
    VEC_PUSH(c->impersonate, c->n_impersonate, cap, line.at);
    return true;
}

/* Impersonate-Extra-KEY: whatever a header's name may not hold is percent-encoded, as client-go does. */
static void extra_name(struct sv key, struct strbuf *out)
{
    (void)strbuf_add(out, SV("Extra-"));
    for (size_t i = 0; i < key.len; i++) {
        unsigned char b = (unsigned char)key.at[i];

        if (b < 0x80 &&
            (strchr("!#$&'*+-.^_`|~", b) != NULL || (b >= '0' && b <= '9') ||
             (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z')) &&
            b != '\0')
            (void)strbuf_add_char(out, (char)b);
        else
            (void)strbuf_addf(out, "%%%02X", b);
    }
}

/* Adds one header a text of the list under `node`. */
static bool add_texts(struct config_entry e, const struct yaml_node *node, struct sv name,
                      struct kube_config *c, struct err *err)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SEQUENCE)
        return config_wrong(e.file, node, err, "expected a list of texts");
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next)
        if (item->kind != YAML_SCALAR || !config_clean(item->text) ||
            !add_impersonate(c, name, item->text))
            return config_wrong(e.file, item, err, "expected a text that fits into a header");
    return true;
}

static bool take_impersonation(struct config_entry e, struct kube_config *c, struct err *err)
{
    const struct yaml_node *extra = yaml_get(e.body, "as-user-extra");
    struct sv user, uid;

    if (!config_text(e, "as", &user, err) || !config_text(e, "as-uid", &uid, err))
        return false;
    if ((user.len != 0 && !add_impersonate(c, SV("User"), user)) ||
        (uid.len != 0 && !add_impersonate(c, SV("Uid"), uid)))
        return config_wrong(e.file, e.body, err, "as: too long for a header");
    if (!add_texts(e, yaml_get(e.body, "as-groups"), SV("Group"), c, err))
        return false;
    if (yaml_is_null(extra))
        return true;
    if (extra->kind != YAML_MAPPING)
        return config_wrong(e.file, extra, err, "as-user-extra: expected a mapping of lists");
    for (const struct yaml_node *item = extra->first; item != NULL; item = item->next) {
        struct strbuf name;
        bool ok;

        strbuf_init(&name, CONFIG_MAX_URL);
        extra_name(item->key, &name);
        ok = name.full ? config_wrong(e.file, item, err, "as-user-extra: the key is too long")
                       : add_texts(e, item, strbuf_sv(&name), c, err);
        strbuf_done(&name);
        if (!ok)
            return false;
    }
    return true;
}

/* The libraries behind providers are not here: say so by name rather than fail with a bare 401. */
static bool refuse_provider(struct config_entry e, struct err *err)
{
    const struct yaml_node *provider = yaml_get(e.body, "auth-provider");
    struct sv name = {0};

    if (yaml_is_null(provider))
        return true;
    if (!config_text((struct config_entry){.body = provider, .file = e.file}, "name", &name, err))
        return false;
    return err_set(err, ERR_INPUT, 0,
                   "%s:%d:%d: auth-provider '%.*s' is not supported: use exec, a token or a "
                   "certificate",
                   e.file->path, provider->line, provider->column, SV_ARG(name));
}

static bool has_own_credentials(const struct kube_config *c)
{
    return c->token != NULL || c->token_file != NULL || c->username != NULL ||
           c->cert_file != NULL || c->cert_pem.len != 0;
}

static bool take_user(struct config_entry e, struct config_entry cluster, struct kube_config *c,
                      struct err *err)
{
    if (!get_pem(e, "client-certificate", "client-certificate-data", &c->cert_file, &c->cert_pem,
                 err) ||
        !get_pem(e, "client-key", "client-key-data", &c->key_file, &c->key_pem, err) ||
        !config_string(e, "token", &c->token, err) ||
        !config_path(e, "tokenFile", &c->token_file, err) ||
        !config_string(e, "username", &c->username, err) ||
        !config_string(e, "password", &c->password, err))
        return false;
    if ((c->cert_file != NULL || c->cert_pem.len != 0) !=
        (c->key_file != NULL || c->key_pem.len != 0))
        return config_wrong(e.file, e.body, err,
                            "found one of client-certificate and client-key, expected both");
    if (c->username != NULL && (c->token != NULL || c->token_file != NULL))
        return config_wrong(e.file, e.body, err, "found both a token and a username, expected one");
    return take_impersonation(e, c, err) && refuse_provider(e, err) &&
           (has_own_credentials(c) || config_take_exec(e, cluster, c, err));
}

static void forget_credentials(struct kube_config *c)
{
    char **texts[] = {&c->token,    &c->token_file, &c->username,
                      &c->password, &c->cert_file,  &c->key_file};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
    strbuf_done(&c->cert_pem);
    strbuf_done(&c->key_pem);
    for (size_t i = 0; i < c->n_impersonate; i++)
        free(c->impersonate[i]);
    free(c->impersonate);
    c->impersonate = NULL;
    c->n_impersonate = 0;
    config_free_exec(c->exec);
    c->exec = NULL;
}

static bool build(const struct loader *l, const char *context_name, struct kube_config *c,
                  struct err *err)
{
    struct sv name = sv_from(context_name), cluster_name, user_name;
    struct config_entry context, cluster, user;

    if (name.len == 0 && !current_context(l, &name, err))
        return false;
    if (!find(l, "contexts", "context", name, &context, err))
        return false;
    c->context = sv_dup(name);
    if (!config_text(context, "cluster", &cluster_name, err) ||
        !config_text(context, "user", &user_name, err) ||
        !config_string(context, "namespace", &c->ns, err))
        return false;
    if (!find(l, "clusters", "cluster", cluster_name, &cluster, err) ||
        !take_cluster(cluster, c, err))
        return false;
    if (user_name.len != 0 &&
        (!find(l, "users", "user", user_name, &user, err) || !take_user(user, cluster, c, err)))
        return false;
    return true;
}

/* ---- in a pod ---- */

static bool account_file(const char *dir, const char *name, char **ret_path, struct err *err)
{
    struct strbuf path;

    strbuf_init(&path, CONFIG_MAX_URL);
    if (!strbuf_addf(&path, "%s/%s", dir, name)) {
        strbuf_done(&path);
        return err_set(err, ERR_LIMIT, 0, "the path of the service account's folder is too long");
    }
    *ret_path = path.at;
    return true;
}

static bool read_namespace(const char *dir, char **ret_ns, struct err *err)
{
    CLEANUP(free_ptr) char *path = NULL;
    struct strbuf text;

    if (!account_file(dir, "namespace", &path, err))
        return false;
    /* The file is a convenience: without it all still works in "default". */
    if (!file_read(path, true, 4096, &text, NULL))
        return true;
    if (config_clean(sv_trim(strbuf_sv(&text))) && sv_trim(strbuf_sv(&text)).len != 0)
        *ret_ns = sv_dup(sv_trim(strbuf_sv(&text)));
    strbuf_done(&text);
    return true;
}

static bool build_in_cluster(const struct kube_config_options *o, struct kube_config *c,
                             struct err *err)
{
    bool v6 = strchr(o->service_host, ':') != NULL;
    struct strbuf url;
    bool ok;

    strbuf_init(&url, CONFIG_MAX_URL);
    (void)strbuf_addf(&url, v6 ? "https://[%s]:%s" : "https://%s:%s", o->service_host,
                      o->service_port);
    ok = url.full ? err_set(err, ERR_LIMIT, 0, "KUBERNETES_SERVICE_HOST is too long")
                  : set_server(c, strbuf_sv(&url), err);
    strbuf_done(&url);
    if (!ok)
        return err_wrap(err, "KUBERNETES_SERVICE_HOST");
    c->in_cluster = true;
    return account_file(o->account_dir, "token", &c->token_file, err) &&
           account_file(o->account_dir, "ca.crt", &c->ca_file, err) &&
           read_namespace(o->account_dir, &c->ns, err);
}

static bool is_in_cluster(const struct kube_config_options *o)
{
    return o->service_host != NULL && o->service_host[0] != '\0' && o->service_port != NULL &&
           o->service_port[0] != '\0' && o->account_dir != NULL;
}

/* ---- public ---- */

static bool load_list(struct loader *l, const char *list, struct err *err)
{
    struct sv rest = sv_from(list), piece;

    while (sv_next(&rest, ':', &piece)) {
        CLEANUP(free_ptr) char *path = sv_dup(piece);
        struct err inner = {0};

        if (piece.len == 0 || load_file(l, path, &inner) || inner.kind == ERR_NOT_FOUND)
            continue;
        return err_set(err, inner.kind, inner.code, "%s", inner.text);
    }
    return true;
}

/* Fills l with the files that count; none is fine unless one was asked for by name. */
static bool load_files(struct loader *l, const struct kube_config_options *o, struct err *err)
{
    struct strbuf path;
    bool ok;

    if (o->kubeconfig != NULL && o->kubeconfig[0] != '\0')
        return load_file(l, o->kubeconfig, err);
    if (o->env_list != NULL && o->env_list[0] != '\0')
        return load_list(l, o->env_list, err);
    if (o->home == NULL || o->home[0] == '\0')
        return true;

    struct err inner = {0};

    strbuf_init(&path, CONFIG_MAX_URL);
    ok = !strbuf_addf(&path, "%s/.kube/config", o->home) || load_file(l, path.at, &inner) ||
         inner.kind == ERR_NOT_FOUND;
    strbuf_done(&path);
    return ok || err_set(err, inner.kind, inner.code, "%s", inner.text);
}

/* Says what was looked for. */
static bool no_cluster(const struct kube_config_options *o, struct err *err)
{
    if (o->env_list != NULL && o->env_list[0] != '\0')
        (void)err_set(err, ERR_NOT_FOUND, 0, "found no file of $KUBECONFIG (%s)", o->env_list);
    else if (o->home != NULL && o->home[0] != '\0')
        (void)err_set(err, ERR_NOT_FOUND, 0, "found no %s/.kube/config ($KUBECONFIG is not set)",
                      o->home);
    else
        (void)err_set(err, ERR_NOT_FOUND, 0, "neither $KUBECONFIG nor $HOME is set");
    return err_wrap(err, "no cluster is configured, and this is not a pod");
}

static bool load(struct loader *l, const struct kube_config_options *o, struct kube_config *c,
                 struct err *err)
{
    bool changed;

    if (!load_files(l, o, err))
        return false;
    if (l->n_files != 0) {
        if (!build(l, o->context, c, err))
            return false;
    } else if (!is_in_cluster(o)) {
        return no_cluster(o, err);
    } else if (!build_in_cluster(o, c, err)) {
        return false;
    }
    if (c->ns == NULL)
        c->ns = xstrdup("default");
    if (c->plain)
        forget_credentials(c);
    return (c->token != NULL || kube_config_read_token(c, err)) &&
           (c->plain || kube_config_read_tls(c, &changed, err)) && config_finish_exec(c, err) &&
           (c->proxy_url != NULL || proxy_choose(&o->proxy, c->server, &c->proxy_url, err));
}

struct kube_config_options kube_config_options_from_env(const char *kubeconfig, const char *context)
{
    return (struct kube_config_options){
        .kubeconfig = kubeconfig,
        .context = context,
        .env_list = getenv("KUBECONFIG"),
        .home = getenv("HOME"),
        .service_host = getenv("KUBERNETES_SERVICE_HOST"),
        .service_port = getenv("KUBERNETES_SERVICE_PORT"),
        .account_dir = "/var/run/secrets/kubernetes.io/serviceaccount",
        .proxy = proxy_env_read(),
    };
}

bool kube_config_load(const struct kube_config_options *options, struct kube_config *ret_config,
                      struct err *err)
{
    struct loader l = {0};
    struct kube_config c = {0};
    bool ok;

    arena_init(&l.arena, ARENA_MAX);
    ok = load(&l, options, &c, err);
    loader_done(&l);
    if (!ok) {
        kube_config_done(&c);
        return false;
    }
    *ret_config = c;
    return true;
}

void kube_config_done(struct kube_config *c)
{
    forget_credentials(c);
    strbuf_done(&c->ca_pem);
    free(c->server);
    free(c->tls_server_name);
    free(c->proxy_url);
    free(c->ca_file);
    free(c->ns);
    free(c->context);
    *c = (struct kube_config){0};
}

bool kube_config_read_token(struct kube_config *c, struct err *err)
{
    struct strbuf text;
    struct sv token;
    bool ok;

    if (c->token_file == NULL)
        return true;
    if (!file_read(c->token_file, true, KUBE_CONFIG_MAX_TOKEN, &text, err))
        return err_wrap(err, "token file");
    token = sv_trim(strbuf_sv(&text));
    ok = token.len != 0 && config_clean(token);
    if (ok) {
        free(c->token);
        c->token = sv_dup(token);
    }
    strbuf_done(&text);
    return ok || err_set(err, ERR_INPUT, 0,
                         "token file %s: found no token, expected one line of text", c->token_file);
}

bool kube_config_is_pem(struct sv text)
{
    struct sv rest = text, line;
    int begun = 0, ended = 0;

    while (sv_next(&rest, '\n', &line)) {
        if (sv_starts(line, SV("-----BEGIN ")))
            begun++;
        else if (sv_starts(line, SV("-----END ")) && sv_ends(sv_trim(line), SV("-----")))
            ended++;
    }
    return begun > 0 && ended == begun;
}

static bool read_pem(const char *what, const char *path, struct strbuf *pem, struct err *err)
{
    if (path == NULL)
        return true;
    if (!file_read(path, true, KUBE_CONFIG_MAX_PEM, pem, err))
        return err_wrap(err, "%s", what);
    return kube_config_is_pem(strbuf_sv(pem)) ||
           err_set(err, ERR_INPUT, 0, "%s %s: found no whole PEM text", what, path);
}

bool kube_config_read_tls(struct kube_config *c, bool *ret_changed, struct err *err)
{
    const struct {
        const char *what, *path;
        struct strbuf *pem;
    } parts[] = {
        {"certificate authority", c->ca_file, &c->ca_pem},
        {"client certificate", c->cert_file, &c->cert_pem},
        {"client key", c->key_file, &c->key_pem},
    };
    struct strbuf fresh[COUNT_OF(parts)] = {0};
    bool ok = true, changed = false;

    for (size_t i = 0; i < COUNT_OF(parts) && ok; i++)
        ok = read_pem(parts[i].what, parts[i].path, &fresh[i], err);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (ok && parts[i].path != NULL && !sv_eq(strbuf_sv(&fresh[i]), strbuf_sv(parts[i].pem))) {
            struct strbuf old = *parts[i].pem;

            *parts[i].pem = fresh[i];
            fresh[i] = old;
            changed = true;
        }
        strbuf_done(&fresh[i]);
    }
    if (ok)
        *ret_changed = changed;
    return ok;
}
