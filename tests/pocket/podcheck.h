/*
 * podcheck: what may change on a stored pod: its gates go and never come; while it is gated its placement may be narrowed
 * (labels added to nodeSelector, requirements added to the terms of its required node affinity, any other preference); labels
 * and annotations are free, but for a deletion cost, which is an int32.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation, ValidatePodUpdate; held against a real server by checks.py.
 */
#ifndef BRIM_POCKET_PODCHECK_H
#define BRIM_POCKET_PODCHECK_H

#include <cjson/cJSON.h>

#include "base/err.h"

/* Two versions of one pod. ERR_INPUT names the field. */
bool podcheck_update(const cJSON *before, const cJSON *now, struct err *err) MUST_CHECK;

#endif
