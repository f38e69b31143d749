#include "tests/pocket/store.h"

#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

/* Versions begin here, so that 1 and its like are versions that were long ago. */
#define FIRST_VERSION 1000

/* Lists with a continue token that may still be used. */
enum { KEPT = 16 };

struct table {
    struct store *store;
    struct map map;
    struct object **at;
    size_t n, cap;
    struct store_event *ring;
    uint64_t first, next;    /* changes are counted from 0; the ring holds those from first on */
    uint64_t floor;          /* changes up to this version may be missing from it */
    struct listing *listing; /* of the present state; NULL: to be made */
};

struct store {
    size_t ring;
    uint64_t version;
    struct table tables[KIND_COUNT_];
    struct listing *kept[KEPT]; /* newest first */
};

struct key {
    struct sv ns, name;
};

static uint64_t key_hash(struct sv ns, struct sv name)
{
    return sv_hash(ns) * 31 + sv_hash(name);
}

static uint64_t hash(const void *self, uint32_t index)
{
    const struct object *o = ((const struct table *)self)->at[index];

    return key_hash(o->is.ns, o->is.name);
}

static bool equal(const void *self, uint32_t index, const void *key)
{
    const struct object *o = ((const struct table *)self)->at[index];
    const struct key *k = key;

    return sv_eq(o->is.ns, k->ns) && sv_eq(o->is.name, k->name);
}

static const struct map_ops ops = {.hash = hash, .equal = equal};

/* ---- listings ---- */

struct listing *listing_ref(struct listing *l)
{
    l->refs++;
    return l;
}

void listing_unref(struct listing *l)
{
    if (l == NULL || --l->refs != 0)
        return;
    for (size_t i = 0; i < l->n; i++)
        object_unref(l->at[i]);
    free(l->at);
    free(l);
}

static int compare(struct sv ns, struct sv name, const struct object *o)
{
    int by_ns = sv_cmp(ns, o->is.ns);

    return by_ns != 0 ? by_ns : sv_cmp(name, o->is.name);
}

static int by_key(const void *a, const void *b)
{
    const struct object *one = *(struct object *const *)a;

    return compare(one->is.ns, one->is.name, *(struct object *const *)b);
}

size_t listing_after(const struct listing *l, struct sv ns, struct sv name)
{
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(ns, name, l->at[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct listing *store_list(struct store *s, enum kind kind)
{
    struct table *t = &s->tables[kind];
    struct listing *l = t->listing;

    if (l == NULL) {
        l = t->listing = xcalloc(1, sizeof *l);
        *l = (struct listing){
            .refs = 1, .kind = kind, .n = t->n, .at = xcalloc(t->n + 1, sizeof *l->at)};
        for (size_t i = 0; i < t->n; i++)
            l->at[i] = object_ref(t->at[i]);
        qsort(l->at, l->n, sizeof *l->at, by_key);
    }
    l->version = s->version; /* another kind's change does not change what is listed */
    return listing_ref(l);
}

void store_keep(struct store *s, struct listing *l)
{
    if (store_kept(s, l->kind, l->version) != NULL)
        return;
    listing_unref(s->kept[KEPT - 1]);
    memmove(&s->kept[1], &s->kept[0], (KEPT - 1) * sizeof s->kept[0]);
    s->kept[0] = listing_ref(l);
    /* From now on it has its version for good. */
    if (s->tables[l->kind].listing == l) {
        s->tables[l->kind].listing = NULL;
        listing_unref(l);
    }
}

struct listing *store_kept(const struct store *s, enum kind kind, uint64_t version)
{
    for (size_t i = 0; i < KEPT && s->kept[i] != NULL; i++)
        if (s->kept[i]->kind == kind && s->kept[i]->version == version)
            return s->kept[i];
    return NULL;
}

/* ---- changes ---- */

struct store *store_new(size_t ring)
{
    struct store *s = xcalloc(1, sizeof *s);

    s->ring = ring;
    s->version = FIRST_VERSION;
    for (size_t i = 0; i < KIND_COUNT_; i++) {
        struct table *t = &s->tables[i];

        *t = (struct table){
            .store = s, .ring = xcalloc(ring, sizeof *t->ring), .floor = FIRST_VERSION};
        map_init(&t->map, &ops, t);
    }
    return s;
}

static void drop_first(struct table *t)
{
    struct store_event *e = &t->ring[t->first % t->store->ring];

    t->floor = e->version;
    object_unref(e->object);
    object_unref(e->before);
    t->first++;
}

static void drop_listings(struct store *s)
{
    for (size_t i = 0; i < KEPT; i++) {
        listing_unref(s->kept[i]);
        s->kept[i] = NULL;
    }
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    drop_listings(s);
    for (size_t i = 0; i < KIND_COUNT_; i++) {
        struct table *t = &s->tables[i];

        while (t->first != t->next)
            drop_first(t);
        listing_unref(t->listing);
        for (size_t k = 0; k < t->n; k++)
            object_unref(t->at[k]);
        map_done(&t->map);
        free(t->at);
        free(t->ring);
    }
    free(s);
}

uint64_t store_version(const struct store *s)
{
    return s->version;
}

size_t store_count(const struct store *s, enum kind kind)
{
    return s->tables[kind].n;
}

static void remember(struct table *t, enum verb verb, struct object *object, struct object *before)
{
    struct store *s = t->store;

    if (t->next - t->first == s->ring)
        drop_first(t);
    t->ring[t->next++ % s->ring] = (struct store_event){
        .version = s->version, .verb = verb, .object = object, .before = before};
    listing_unref(t->listing);
    t->listing = NULL;
}

static uint32_t find(const struct table *t, struct sv ns, struct sv name)
{
    return map_find(&t->map, key_hash(ns, name), &(struct key){.ns = ns, .name = name});
}

void store_put(struct store *s, struct object *o)
{
    struct table *t = &s->tables[o->is.kind];
    uint32_t index = find(t, o->is.ns, o->is.name);

    o->version = ++s->version;
    if (index == MAP_NONE) {
        VEC_PUSH(t->at, t->n, t->cap, o);
        map_put(&t->map, key_hash(o->is.ns, o->is.name), (uint32_t)t->n - 1);
        remember(t, VERB_ADDED, object_ref(o), NULL);
    } else {
        remember(t, VERB_MODIFIED, object_ref(o), t->at[index]);
        t->at[index] = o;
    }
}

bool store_delete(struct store *s, enum kind kind, struct sv ns, struct sv name)
{
    struct table *t = &s->tables[kind];
    uint32_t index = find(t, ns, name);
    struct object *o, *last;

    if (index == MAP_NONE)
        return false;
    o = t->at[index];
    last = t->at[t->n - 1];
    map_remove(&t->map, hash(t, index), index);
    if (last != o) {
        map_remove(&t->map, hash(t, (uint32_t)t->n - 1), (uint32_t)t->n - 1);
        t->at[index] = last;
        map_put(&t->map, hash(t, index), index);
    }
    t->n--;
    s->version++;
    remember(t, VERB_DELETED, o, object_ref(o));
    return true;
}

struct object *store_find(const struct store *s, enum kind kind, struct sv ns, struct sv name)
{
    const struct table *t = &s->tables[kind];
    uint32_t index = find(t, ns, name);

    return index != MAP_NONE ? t->at[index] : NULL;
}

/* ---- history ---- */

uint64_t store_end(const struct store *s, enum kind kind)
{
    return s->tables[kind].next;
}

bool store_seek(const struct store *s, enum kind kind, uint64_t version, uint64_t *ret_cursor)
{
    const struct table *t = &s->tables[kind];
    uint64_t low = t->first, high = t->next;

    if (version < t->floor)
        return false;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (t->ring[middle % s->ring].version <= version)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_cursor = low;
    return true;
}

const struct store_event *store_next(const struct store *s, enum kind kind, uint64_t *cursor,
                                     bool *ret_lost)
{
    const struct table *t = &s->tables[kind];

    *ret_lost = *cursor < t->first;
    if (*ret_lost || *cursor == t->next)
        return NULL;
    return &t->ring[(*cursor)++ % s->ring];
}

void store_pass_version(struct store *s)
{
    s->version++;
}

static void put_back_objects(struct table *t, uint64_t version)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i]->version > version)
            t->at[i]->version = version;
    }
}

void store_put_back(struct store *s, uint64_t version)
{
    s->version = version;
    for (size_t i = 0; i < KIND_COUNT_; i++)
        put_back_objects(&s->tables[i], version);
    store_forget(s);
}

void store_forget(struct store *s)
{
    for (size_t i = 0; i < KIND_COUNT_; i++) {
        struct table *t = &s->tables[i];

        while (t->first != t->next)
            drop_first(t);
        t->floor = s->version;
    }
    drop_listings(s);
}
