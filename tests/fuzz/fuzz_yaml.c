#include <stdlib.h>

#include "base/yaml.h"
#include "tests/fuzz/fuzz.h"

/* Each look-up goes through the mapping, of which aliases make many. */
enum { ARENA_MAX = 32 << 20, MAX_LOOK_UPS = 64 };

/* Looks at all that the tree points to, and aborts where its counts do not agree. */
static void walk(const struct yaml_node *node)
{
    volatile uint64_t sum = sv_hash(node->text) + sv_hash(node->key);
    size_t children = 0;

    if (node->line < 1 || node->column < 1)
        abort();
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        if (node->kind == YAML_MAPPING && node->count < MAX_LOOK_UPS &&
            yaml_get(node, child->key.at) == NULL &&
            memchr(child->key.at, '\0', child->key.len) == NULL)
            abort();
        walk(child);
        children++;
    }
    if (children != node->count)
        abort();
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};
    struct yaml_doc *docs = NULL;
    char shown[YAML_SHOW_SIZE];
    struct arena arena;
    struct err err = {0};

    if (strlen(yaml_show(text, shown)) >= sizeof shown)
        abort();
    arena_init(&arena, ARENA_MAX);
    if (yaml_parse(&arena, text, &docs, &err)) {
        for (const struct yaml_doc *doc = docs; doc != NULL; doc = doc->next) {
            if (doc->root != NULL)
                walk(doc->root);
        }
    } else if (docs != NULL || (err.kind != ERR_INPUT && err.kind != ERR_LIMIT) ||
               err.text[0] == '\0') {
        abort();
    }
    arena_done(&arena);
    return 0;
}
