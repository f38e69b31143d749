/*
 * policy_files: policies out of a file or a directory, as one consistent set or none at all.
 *
 * Of a directory every *.yaml, *.yml and *.json counts, in the order of their names; entries that
 * begin with a dot do not. In the mount of a ConfigMap, where each file is a link through `..data`
 * and an update swaps that link, it is followed once and all files are read from where it led, so
 * that no set is half old and half new. A file that changes while it is read is ERR_CONFLICT: read
 * again later. "-" is standard input. Blocks on the disk.
 */
#ifndef BRIM_AGENT_POLICY_FILES_H
#define BRIM_AGENT_POLICY_FILES_H

#include "base/err.h"
#include "policy/policy.h"

/* Most files of one directory, and most bytes of all. */
enum { POLICY_FILES_MAX = 1000, POLICY_FILES_MAX_BYTES = 16 << 20 };

/* Whole texts, by the names that errors call them. */
struct policy_text {
    char *name, *at;
    size_t len;
};

struct policy_texts {
    struct policy_text *at; /* owned, and what they hold */
    size_t len, cap;
};

/* Copies both. */
void policy_texts_add(struct policy_texts *texts, struct sv name, struct sv text);
void policy_texts_done(struct policy_texts *texts);
bool policy_texts_equal(const struct policy_texts *a, const struct policy_texts *b);

/* Reads the files and looks at nothing in them; an empty directory gives no text. `to` is zeroed,
 * to be freed by policy_texts_done() on success. */
bool policy_texts_load(const char *path, struct policy_texts *to, struct err *err) MUST_CHECK;

/* The policies of all texts, with the machine's time zones; errors are `NAME:line:column: …`. `to`
 * is a zeroed list, to be freed by policy_list_done() on success. */
bool policy_texts_read(const struct policy_texts *texts, struct policy_list *to,
                       struct err *err) MUST_CHECK;

/* Both in one; at least one file must be there. */
bool policy_files_read(const char *path, struct policy_list *to, struct err *err) MUST_CHECK;

#endif
