#include "storage/dict.h"

#include "base/alloc.h"

static uint64_t hash(const void *self, uint32_t index)
{
    const struct dict *d = self;

    return sv_hash(d->at[index]);
}

static bool equal(const void *self, uint32_t index, const void *key)
{
    const struct dict *d = self;

    return sv_eq(d->at[index], *(const struct sv *)key);
}

static const struct map_ops ops = {hash, equal};

struct dict *dict_new(void)
{
    struct dict *d = xcalloc(1, sizeof *d);

    map_init(&d->map, &ops, d);
    return d;
}

void dict_free(struct dict *d)
{
    if (d == NULL)
        return;
    map_done(&d->map);
    for (size_t i = 0; i < d->len; i++)
        free((char *)(uintptr_t)d->at[i].at);
    free(d->at);
    free(d);
}

uint32_t dict_find(const struct dict *d, struct sv text)
{
    return map_find(&d->map, sv_hash(text), &text);
}

uint32_t dict_add(struct dict *d, struct sv text, bool *ret_added)
{
    uint32_t index = dict_find(d, text);

    *ret_added = index == MAP_NONE;
    if (index != MAP_NONE)
        return index;

    char *copy = xmalloc(text.len + 1);

    if (text.len != 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    index = (uint32_t)d->len;
    VEC_PUSH(d->at, d->len, d->cap, ((struct sv){.at = copy, .len = text.len}));
    map_put(&d->map, sv_hash(text), index);
    return index;
}
