/*
 * pod_text: what people hand over as pods, cut into one JSON object a pod.
 *
 * Read are: one Pod or a List as JSON, one JSON object a line, and YAML with any number of
 * documents, each a Pod or a List. A workload (Deployment, Job, …) stands for the pod that the API
 * server would make of its template. What is broken is told in its place and the rest goes on, as
 * far as it can be told apart: a line, a document, an item. Errors begin with the line, where the
 * text is one object a line, and with the item of a List: "line 3: items[0]: …".
 */
#ifndef BRIM_AGENT_POD_TEXT_H
#define BRIM_AGENT_POD_TEXT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"
#include "base/yaml.h"

struct pod_text_handler {
    /* The text of one object; what is inside is not checked but for its kind. Valid during the
     * call. False, with err: it is broken; broken() is then told, with its place. */
    bool (*pod)(void *self, struct sv json, struct err *err);
    void (*broken)(void *self, const struct err *err);
    void *self;
};

void pod_text_each(struct sv text, const struct pod_text_handler *handler);

/* A tree as JSON. Plain scalars that read as null, true, false or a JSON number are that, all else
 * is text. */
void pod_text_from_yaml(const struct yaml_node *node, struct strbuf *out);

#endif
