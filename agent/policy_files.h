/*
 * policy_files: policies out of a file or a directory, as one consistent set or none at all.
 *
 * Of a directory every *.yaml, *.yml and *.json counts, in the order of their names; entries that
 * begin with a dot do not, so that a ConfigMap mount's `..data` is not read twice. "-" is standard
 * input.
 */
#ifndef BRIM_AGENT_POLICY_FILES_H
#define BRIM_AGENT_POLICY_FILES_H

#include "base/err.h"
#include "policy/policy.h"

/* Most files of one directory. */
enum { POLICY_FILES_MAX = 1000 };

/* Reads and checks; errors are `FILE:line:column: …`. `to` is a zeroed list, to be freed by
 * policy_list_done() on success. */
bool policy_files_read(const char *path, struct policy_list *to, struct err *err) MUST_CHECK;

#endif
