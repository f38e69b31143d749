#include "tests/pocket/store.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { RING = 4 };

static void put(struct store *s, const char *ns, const char *name)
{
    store_put(s, object_new(&(struct object_spec){
                     .kind = KIND_CONFIGMAPS,
                     .ns = sv_from(ns),
                     .name = sv_from(name),
                     .part[PART_META] = SV("\"name\":\"x\""),
                 }));
}

static bool drop(struct store *s, const char *ns, const char *name)
{
    return store_delete(s, KIND_CONFIGMAPS, sv_from(ns), sv_from(name));
}

Test(pocket_store, lists_by_namespace_and_name)
{
    static const char *const expected[] = {"a/x", "a/y", "b/a"};
    struct store *s = store_new(RING);
    struct listing *l;

    put(s, "b", "a");
    put(s, "a", "y");
    put(s, "a", "x");
    l = store_list(s, KIND_CONFIGMAPS);
    cr_assert_eq(l->n, 3);
    for (size_t i = 0; i < 3; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "%.*s/%.*s", SV_ARG(l->at[i]->is.ns),
                       SV_ARG(l->at[i]->is.name));
        cr_expect_str_eq(key, expected[i]);
    }
    cr_expect_eq(listing_after(l, SV("a"), SV("x")), 1);
    cr_expect_eq(listing_after(l, SV("a"), SV("")), 0);
    cr_expect_eq(listing_after(l, SV("b"), SV("a")), 3);
    listing_unref(l);
    store_free(s);
}

Test(pocket_store, a_kept_list_stays_as_it_was)
{
    struct store *s = store_new(RING);
    struct listing *l;
    uint64_t version;

    put(s, "a", "x");
    put(s, "a", "y");
    l = store_list(s, KIND_CONFIGMAPS);
    version = l->version;
    store_keep(s, l);
    listing_unref(l);
    cr_assert(drop(s, "a", "x"));
    put(s, "a", "z");
    cr_expect_eq(store_kept(s, KIND_CONFIGMAPS, version)->n, 2);
    cr_expect_eq(store_kept(s, KIND_CONFIGMAPS, version)->version, version);
    cr_expect_null(store_kept(s, KIND_CONFIGMAPS, version + 1));
    store_forget(s);
    cr_expect_null(store_kept(s, KIND_CONFIGMAPS, version));
    store_free(s);
}

Test(pocket_store, tells_every_change_once_and_in_order)
{
    static const enum verb expected[] = {VERB_ADDED, VERB_MODIFIED, VERB_DELETED};
    struct store *s = store_new(RING);
    uint64_t cursor, last = store_version(s);
    bool lost;

    cr_assert(store_seek(s, KIND_CONFIGMAPS, last, &cursor));
    put(s, "a", "x");
    put(s, "a", "x");
    cr_assert(drop(s, "a", "x"));
    cr_assert(!drop(s, "a", "x"), "deleted twice");
    for (size_t i = 0; i < 3; i++) {
        const struct store_event *e = store_next(s, KIND_CONFIGMAPS, &cursor, &lost);

        cr_assert(e != NULL && !lost);
        cr_expect_eq(e->verb, expected[i]);
        cr_expect_gt(e->version, last);
        cr_expect_eq(e->before != NULL, i != 0);
        last = e->version;
    }
    cr_expect_null(store_next(s, KIND_CONFIGMAPS, &cursor, &lost));
    cr_expect(!lost);
    store_free(s);
}

Test(pocket_store, resumes_from_any_version_that_the_ring_still_follows)
{
    struct store *s = store_new(RING);
    uint64_t first = store_version(s), cursor;
    bool lost;

    for (int i = 0; i < RING; i++)
        put(s, "a", "x");
    for (uint64_t v = first; v <= first + RING; v++) {
        cr_assert(store_seek(s, KIND_CONFIGMAPS, v, &cursor), "version %llu",
                  (unsigned long long)(v - first));
        cr_expect_eq(store_end(s, KIND_CONFIGMAPS) - cursor, first + RING - v);
    }
    cr_assert(store_seek(s, KIND_CONFIGMAPS, first, &cursor));
    put(s, "a", "x");
    cr_expect(!store_seek(s, KIND_CONFIGMAPS, first, &(uint64_t){0}),
              "a change fell out of the ring");
    cr_expect_null(store_next(s, KIND_CONFIGMAPS, &cursor, &lost));
    cr_expect(lost, "the watch did not learn that it missed a change");
    store_free(s);
}

Test(pocket_store, forgets_everything_when_told)
{
    struct store *s = store_new(RING);
    uint64_t version, cursor;

    put(s, "a", "x");
    version = store_version(s);
    store_forget(s);
    cr_expect(store_seek(s, KIND_CONFIGMAPS, version, &cursor), "nothing has happened since");
    cr_expect(!store_seek(s, KIND_CONFIGMAPS, version - 1, &cursor));
    store_pass_version(s);
    store_forget(s);
    cr_expect(!store_seek(s, KIND_CONFIGMAPS, version, &cursor), "something has, elsewhere");
    cr_expect(store_seek(s, KIND_CONFIGMAPS, store_version(s), &cursor));
    store_free(s);
}

Test(pocket_store, versions_go_back_and_what_was_before_is_forgotten)
{
    struct store *s = store_new(RING);
    struct listing *l;
    uint64_t cursor, before;

    put(s, "a", "x");
    put(s, "a", "y");
    put(s, "a", "z");
    before = store_version(s);
    store_put_back(s, before - 2);
    cr_assert_eq(store_version(s), before - 2);
    l = store_list(s, KIND_CONFIGMAPS);
    cr_assert_eq(l->n, 3, "objects stay");
    for (size_t i = 0; i < l->n; i++)
        cr_assert_leq(l->at[i]->version, before - 2);
    listing_unref(l);
    cr_assert(!store_seek(s, KIND_CONFIGMAPS, before - 3, &cursor));
    put(s, "a", "w");
    cr_assert_eq(store_version(s), before - 1);
    cr_assert(store_seek(s, KIND_CONFIGMAPS, before - 2, &cursor));
    store_free(s);
}
