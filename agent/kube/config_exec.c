#include <stdlib.h>
#include <string.h>

#include "agent/kube/config_parts.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "base/jsonr.h"
#include "base/jsonw.h"

#define INFO_NAME "KUBERNETES_EXEC_INFO"
/* Under this name the cluster's extensions hold what is meant for the program. */
#define EXTENSION "client.authentication.k8s.io/exec"

enum { MAX_WORDS = 1000, MAX_WORD = 128 << 10, MAX_INFO = 2 << 20, MAX_NUMBER = 64 };

/* jsonw goes 32 levels deep, of which the info itself takes some. */
enum { MAX_DEPTH = JSONW_MAX_DEPTH - 8 };

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

void config_free_exec(struct kube_exec *exec)
{
    if (exec == NULL)
        return;
    free(exec->api_version);
    free_list(exec->argv);
    free_list(exec->env);
    free(exec->install_hint);
    free(exec->cluster_config);
    free(exec);
}

/* ---- words ---- */

/* Room for `count` words behind the `used` ones and a NULL at the end; too many is an error. */
static bool make_room(struct config_entry e, const struct yaml_node *node, const char *key,
                      size_t used, char ***list, struct err *err)
{
    if (node != NULL && node->kind != YAML_SEQUENCE && !yaml_is_null(node))
        return err_set(err, ERR_INPUT, 0, "%s:%d:%d: %s: found a %s, expected a list", e.file->path,
                       node->line, node->column, key, yaml_kind_name(node->kind));
    if (node != NULL && node->count > MAX_WORDS)
        return err_set(err, ERR_LIMIT, 0, "%s:%d:%d: %s: more than %d", e.file->path, node->line,
                       node->column, key, MAX_WORDS);
    *list = xcalloc(used + (node != NULL ? node->count : 0) + 2, sizeof **list);
    return true;
}

/* A text of any bytes that a C string can hold: scripts have line breaks. */
static bool is_word(const struct yaml_node *node)
{
    return node != NULL && node->kind == YAML_SCALAR && node->text.len <= MAX_WORD &&
           memchr(node->text.at, '\0', node->text.len) == NULL;
}

static bool take_args(struct config_entry e, struct kube_exec *exec, struct err *err)
{
    const struct yaml_node *args = yaml_get(e.body, "args");
    struct config_entry command = e;
    struct sv name;
    size_t n = 0;

    if (!config_text(e, "command", &name, err))
        return false;
    if (name.len == 0)
        return config_wrong(e.file, e.body, err, "exec: found no command");
    if (!make_room(e, args, "args", 1, &exec->argv, err))
        return false;
    /* A name without a slash is looked for in $PATH. */
    if (memchr(name.at, '/', name.len) == NULL)
        exec->argv[n++] = sv_dup(name);
    else if (!config_path(command, "command", &exec->argv[n++], err))
        return false;
    for (const struct yaml_node *arg = args != NULL ? args->first : NULL; arg != NULL;
         arg = arg->next) {
        if (!is_word(arg))
            return config_wrong(e.file, arg, err, "args: expected a text");
        exec->argv[n++] = sv_dup(arg->text);
    }
    return true;
}

static bool take_env(struct config_entry e, struct kube_exec *exec, struct err *err)
{
    const struct yaml_node *env = yaml_get(e.body, "env");
    size_t n = 0;

    if (!make_room(e, env, "env", 0, &exec->env, err))
        return false;
    for (const struct yaml_node *item = env != NULL ? env->first : NULL; item != NULL;
         item = item->next) {
        const struct yaml_node *name = yaml_get(item, "name"), *value = yaml_get(item, "value");
        struct strbuf line;

        if (!is_word(name) || name->text.len == 0 ||
            memchr(name->text.at, '=', name->text.len) != NULL || !is_word(value))
            return config_wrong(e.file, item, err, "env: expected a name and a value");
        strbuf_init(&line, 2 * MAX_WORD + 1);
        (void)strbuf_add(&line, name->text);
        (void)strbuf_add_char(&line, '=');
        (void)strbuf_add(&line, value->text);
        exec->env[n++] = line.at;
    }
    return true;
}

/* For one line of a message. */
static bool take_hint(struct config_entry e, struct kube_exec *exec, struct err *err)
{
    const struct yaml_node *hint = yaml_get(e.body, "installHint");

    if (yaml_is_null(hint))
        return true;
    if (!is_word(hint))
        return config_wrong(e.file, hint, err, "installHint: expected a text");
    exec->install_hint = sv_dup(sv_trim(hint->text));
    for (char *p = exec->install_hint; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return true;
}

/* ---- modes ---- */

static bool take_version(struct config_entry e, struct kube_exec *exec, struct err *err)
{
    if (!config_string(e, "apiVersion", &exec->api_version, err))
        return false;
    if (exec->api_version != NULL && (strcmp(exec->api_version, KUBE_EXEC_V1) == 0 ||
                                      strcmp(exec->api_version, KUBE_EXEC_V1BETA1) == 0))
        return true;
    return err_set(err, ERR_INPUT, 0, "%s:%d:%d: exec: apiVersion: found '%s', expected %s or %s",
                   e.file->path, e.body->line, e.body->column,
                   exec->api_version != NULL ? exec->api_version : "", KUBE_EXEC_V1,
                   KUBE_EXEC_V1BETA1);
}

/* Nobody sits at the keyboard: what must ask cannot be run. */
static bool check_mode(struct config_entry e, const struct kube_exec *exec, struct err *err)
{
    struct sv mode;

    if (!config_text(e, "interactiveMode", &mode, err))
        return false;
    if (sv_eq(mode, SV("Never")) || sv_eq(mode, SV("IfAvailable")) ||
        (mode.len == 0 && strcmp(exec->api_version, KUBE_EXEC_V1BETA1) == 0))
        return true;
    if (sv_eq(mode, SV("Always")))
        return err_set(err, ERR_INPUT, 0,
                       "%s:%d:%d: exec: '%s' wants to ask at the terminal (interactiveMode: "
                       "Always), which brim never does: use a token or a certificate",
                       e.file->path, e.body->line, e.body->column, exec->argv[0]);
    return config_wrong(e.file, e.body, err,
                        "exec: interactiveMode: expected Never, IfAvailable or Always");
}

/* ---- what is meant for the program, as JSON ---- */

static bool is_number(struct sv text)
{
    char copy[MAX_NUMBER];
    struct jsonr r;
    struct sv number;

    if (text.len > sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    jsonr_init(&r, copy, text.len);
    return jsonr_peek(&r) == JSONR_NUMBER && jsonr_number(&r, &number) && jsonr_end(&r, NULL);
}

static void write_scalar(struct jsonw *w, const char *key, const struct yaml_node *node)
{
    bool flag;

    if (yaml_is_null(node))
        jsonw_null(w, key);
    else if (config_is_bool(node, &flag))
        jsonw_bool(w, key, flag);
    else if (!node->quoted && is_number(node->text))
        jsonw_raw(w, key, node->text);
    else
        jsonw_str(w, key, node->text);
}

/* False: nested too deeply. */
static bool write_json(struct jsonw *w, const char *key, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR) {
        write_scalar(w, key, node);
        return true;
    }
    if (w->depth >= MAX_DEPTH)
        return false;
    if (node->kind == YAML_SEQUENCE)
        jsonw_array(w, key);
    else
        jsonw_object(w, key);
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
        if (!write_json(w, node->kind == YAML_MAPPING ? child->key.at : NULL, child))
            return false;
    jsonw_end(w);
    return true;
}

static bool take_cluster_config(struct config_entry cluster, struct kube_exec *exec,
                                struct err *err)
{
    const struct yaml_node *all = yaml_get(cluster.body, "extensions"), *found = NULL;
    struct strbuf text;
    struct jsonw w;

    for (const struct yaml_node *item = all != NULL ? all->first : NULL; item != NULL;
         item = item->next) {
        const struct yaml_node *name = yaml_get(item, "name");

        if (name != NULL && name->kind == YAML_SCALAR && sv_eq(name->text, SV(EXTENSION)))
            found = yaml_get(item, "extension");
    }
    if (yaml_is_null(found))
        return true;
    strbuf_init(&text, MAX_INFO);
    jsonw_init(&w, &text);
    if (!write_json(&w, NULL, found) || text.full) {
        strbuf_done(&text);
        return config_wrong(cluster.file, found, err,
                            "extensions: " EXTENSION ": too large or nested too deeply");
    }
    exec->cluster_config = text.at;
    return true;
}

bool config_take_exec(struct config_entry user, struct config_entry cluster, struct kube_config *c,
                      struct err *err)
{
    struct config_entry e = {.body = yaml_get(user.body, "exec"), .file = user.file};
    struct kube_exec *exec;

    if (yaml_is_null(e.body))
        return true;
    if (e.body->kind != YAML_MAPPING)
        return config_wrong(e.file, e.body, err, "exec: expected a mapping");
    exec = xcalloc(1, sizeof *exec);
    c->exec = exec;
    return take_version(e, exec, err) && take_args(e, exec, err) && take_env(e, exec, err) &&
           check_mode(e, exec, err) && take_hint(e, exec, err) &&
           config_bool(e, "provideClusterInfo", &exec->provide_cluster_info, err) &&
           (!exec->provide_cluster_info || take_cluster_config(cluster, exec, err));
}

/* As kubectl writes it: what is empty or false is left out, but for `config`. */
static void write_cluster(struct jsonw *w, const struct kube_config *c)
{
    struct strbuf ca;

    jsonw_object(w, "cluster");
    jsonw_cstr(w, "server", c->server);
    if (c->tls_server_name != NULL)
        jsonw_cstr(w, "tls-server-name", c->tls_server_name);
    if (c->insecure)
        jsonw_bool(w, "insecure-skip-tls-verify", true);
    if (c->ca_pem.len != 0) {
        strbuf_init(&ca, KUBE_CONFIG_MAX_PEM * 2);
        (void)base64_encode(strbuf_sv(&c->ca_pem), &ca);
        jsonw_str(w, "certificate-authority-data", strbuf_sv(&ca));
        strbuf_done(&ca);
    }
    if (c->proxy_url != NULL)
        jsonw_cstr(w, "proxy-url", c->proxy_url);
    jsonw_raw(w, "config",
              c->exec->cluster_config != NULL ? sv_from(c->exec->cluster_config) : SV("null"));
    jsonw_end(w);
}

bool config_finish_exec(struct kube_config *c, struct err *err)
{
    struct strbuf line;
    struct jsonw w;
    size_t n = 0;

    if (c->exec == NULL)
        return true;
    strbuf_init(&line, 2 * MAX_INFO);
    (void)strbuf_add(&line, SV(INFO_NAME "="));
    jsonw_init(&w, &line);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "kind", "ExecCredential");
    jsonw_cstr(&w, "apiVersion", c->exec->api_version);
    jsonw_object(&w, "spec");
    jsonw_bool(&w, "interactive", false);
    if (c->exec->provide_cluster_info)
        write_cluster(&w, c);
    jsonw_end(&w);
    jsonw_end(&w);
    if (line.full) {
        strbuf_done(&line);
        return err_set(err, ERR_LIMIT, 0, "exec: " INFO_NAME " is too long");
    }
    while (c->exec->env[n] != NULL)
        n++;
    c->exec->env[n] = line.at;
    return true;
}
