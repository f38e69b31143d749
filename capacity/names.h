/*
 * names: Kubernetes' rules for what may be a label key, a label value or a resource name.
 *
 * Source: k8s.io/apimachinery/pkg/util/validation (IsQualifiedName, IsDNS1123Subdomain,
 * IsValidLabelValue).
 */
#ifndef BRIM_CAPACITY_NAMES_H
#define BRIM_CAPACITY_NAMES_H

#include <stdbool.h>

#include "base/sv.h"

enum { NAMES_MAX_PART = 63, NAMES_MAX_PREFIX = 253 };

/* "name" or "prefix.example.com/name": a label key, an extended resource. */
bool names_qualified(struct sv text);

/* Lower-case DNS labels joined by dots, at most NAMES_MAX_PREFIX bytes. */
bool names_subdomain(struct sv text);

/* Empty, or what may stand behind the slash of a qualified name. */
bool names_label_value(struct sv text);

#endif
