#include "capacity/keep.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/map.h"

#define NO_TEXT UINT32_MAX

struct text {
    char *at; /* NULL: unused, `len` is the next unused one */
    uint32_t len;
    uint32_t refs;
};

struct keep {
    struct text *texts;
    size_t n_texts, cap_texts;
    uint32_t free_text;
    struct map by_text;
};

static struct sv text_sv(const struct text *t)
{
    return (struct sv){.at = t->at, .len = t->len};
}

static uint64_t text_hash(const void *self, uint32_t index)
{
    const struct keep *k = self;

    return sv_hash(text_sv(&k->texts[index]));
}

static bool text_equal(const void *self, uint32_t index, const void *key)
{
    const struct keep *k = self;

    return sv_eq(text_sv(&k->texts[index]), *(const struct sv *)key);
}

static const struct map_ops text_ops = {.hash = text_hash, .equal = text_equal};

struct keep *keep_new(void)
{
    struct keep *k = xcalloc(1, sizeof *k);

    k->free_text = NO_TEXT;
    map_init(&k->by_text, &text_ops, k);
    return k;
}

void keep_free(struct keep *k)
{
    if (k == NULL)
        return;
    assert(k->by_text.used == 0);
    map_done(&k->by_text);
    free(k->texts);
    free(k);
}

static uint32_t text_new(struct keep *k, struct sv text)
{
    uint32_t index = k->free_text;

    if (index != NO_TEXT) {
        k->free_text = k->texts[index].len;
    } else {
        index = (uint32_t)k->n_texts;
        VEC_PUSH(k->texts, k->n_texts, k->cap_texts, (struct text){0});
    }
    k->texts[index] = (struct text){.at = sv_dup(text), .len = (uint32_t)text.len};
    map_put(&k->by_text, sv_hash(text), index);
    return index;
}

static struct sv text_ref(struct keep *k, struct sv text)
{
    uint32_t index = map_find(&k->by_text, sv_hash(text), &text);

    if (index == MAP_NONE)
        index = text_new(k, text);
    k->texts[index].refs++;
    return text_sv(&k->texts[index]);
}

static void text_unref(struct keep *k, struct sv text)
{
    uint32_t index = map_find(&k->by_text, sv_hash(text), &text);
    struct text *t = &k->texts[index];

    if (--t->refs != 0)
        return;
    map_remove(&k->by_text, sv_hash(text), index);
    free(t->at);
    *t = (struct text){.len = k->free_text};
    k->free_text = index;
}

struct kept_node *keep_node(struct keep *k, const struct node_record *node)
{
    size_t labels_size = node->n_labels * sizeof(struct label);
    struct kept_node *kept =
        xmalloc(sizeof *kept + labels_size + node->n_taints * sizeof(struct taint));
    struct label *labels = (struct label *)(kept + 1);
    struct taint *taints = (struct taint *)(labels + node->n_labels);

    for (size_t i = 0; i < node->n_labels; i++)
        labels[i] = (struct label){.key = text_ref(k, node->labels[i].key),
                                   .value = text_ref(k, node->labels[i].value)};
    for (size_t i = 0; i < node->n_taints; i++)
        taints[i] = (struct taint){.key = text_ref(k, node->taints[i].key),
                                   .value = text_ref(k, node->taints[i].value),
                                   .effect = node->taints[i].effect};
    *kept = (struct kept_node){.labels = labels,
                               .n_labels = node->n_labels,
                               .taints = taints,
                               .n_taints = node->n_taints,
                               .refs = 1};
    return kept;
}

struct kept_node *keep_again(struct kept_node *node)
{
    node->refs++;
    return node;
}

void keep_drop(struct keep *k, struct kept_node *node)
{
    if (node == NULL || --node->refs != 0)
        return;
    for (size_t i = 0; i < node->n_labels; i++) {
        text_unref(k, node->labels[i].key);
        text_unref(k, node->labels[i].value);
    }
    for (size_t i = 0; i < node->n_taints; i++) {
        text_unref(k, node->taints[i].key);
        text_unref(k, node->taints[i].value);
    }
    free(node);
}

size_t keep_texts(const struct keep *k)
{
    return k->by_text.used;
}
