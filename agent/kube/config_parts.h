/*
 * config_parts: how values are taken out of a kubeconfig, shared by config.c and config_exec.c and private to them.
 *
 * Where a value is not what it should be, the error reads FILE:line:column: KEY: what was found.
 */
#ifndef BRIM_AGENT_KUBE_CONFIG_PARTS_H
#define BRIM_AGENT_KUBE_CONFIG_PARTS_H

#include "agent/kube/config.h"
#include "base/sv.h"
#include "base/yaml.h"

/* One kubeconfig file, parsed. */
struct config_file {
    char *path;
    const struct yaml_node *root; /* NULL: empty */
};

/* A mapping and the file that it stands in: an entry found by its name, or what lies inside of one. */
struct config_entry {
    const struct yaml_node *body;
    const struct config_file *file;
};

enum { CONFIG_MAX_URL = 8192 };

/* `what` with the place in front; false. */
bool config_wrong(const struct config_file *file, const struct yaml_node *at, struct err *err,
                  const char *what);

/* Without control characters? */
bool config_clean(struct sv text);

/* The text under `key`; .len 0 if it is absent, null or empty. Texts end up in headers and C calls: no control characters. */
bool config_text(struct config_entry e, const char *key, struct sv *ret_text,
                 struct err *err) MUST_CHECK;
/* A copy of the text, or NULL. */
bool config_string(struct config_entry e, const char *key, char **ret_string,
                   struct err *err) MUST_CHECK;
/* Does YAML 1.1, which kubectl goes by, take the node for true or false? Yes, no, on, off, y and n are such, too. */
bool config_is_bool(const struct yaml_node *node, bool *ret_value);
bool config_bool(struct config_entry e, const char *key, bool *ret_value,
                 struct err *err) MUST_CHECK;
/* A path, made relative to the file that holds it; NULL if there is none. */
bool config_path(struct config_entry e, const char *key, char **ret_path,
                 struct err *err) MUST_CHECK;

/* Takes over what a user's `exec` and a cluster's `extensions` say; true without `exec`. */
bool config_take_exec(struct config_entry user, struct config_entry cluster,
                      struct kube_config *config, struct err *err) MUST_CHECK;

/* Adds KUBERNETES_EXEC_INFO to the program's environment, once the rest of the config is there. */
bool config_finish_exec(struct kube_config *config, struct err *err) MUST_CHECK;

void config_free_exec(struct kube_exec *exec); /* NULL is fine */

#endif
