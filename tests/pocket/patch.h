/*
 * patch: the API's two kinds of patch, on cJSON trees: JSON merge patch (RFC 7396) and JSON patch (RFC 6902: add, remove,
 * replace, test). As in the API server, `test` for null holds where nothing stands.
 *
 * Broken patches are ERR_INPUT (the server answers 400); patches that do not apply, a failed test among them, are
 * ERR_CONFLICT (422).
 */
#ifndef BRIM_POCKET_PATCH_H
#define BRIM_POCKET_PATCH_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/err.h"

/* Changes `target`, an object. */
void patch_merge(cJSON *target, const cJSON *patch);

/* Changes `target`; after an error it may be changed in part. */
bool patch_json(cJSON *target, const cJSON *patch, struct err *err) MUST_CHECK;

#endif
