/*
 * store: all API objects of the cluster, and the history of their changes.
 *
 * There is one resourceVersion for all kinds; it rises with every change. Of each kind the last changes are kept in a
 * ring, for watches; what fell out of it is too old to be resumed from. Lists are taken from a sorted copy of references,
 * which costs nothing while the kind does not change, and lives on for continue tokens.
 */
#ifndef BRIM_POCKET_STORE_H
#define BRIM_POCKET_STORE_H

#include <stddef.h>

#include "tests/pocket/object.h"

enum verb { VERB_ADDED, VERB_MODIFIED, VERB_DELETED };

struct store_event {
    uint64_t version;
    enum verb verb;
    struct object *object; /* as it is now; of a deletion: as it was last */
    struct object *before; /* NULL when it was added */
};

/* The objects of a kind at one version, by namespace and name. Counted. */
struct listing {
    unsigned refs;
    enum kind kind;
    uint64_t version;
    struct object **at;
    size_t n;
};
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l);
/* The first index whose namespace and name come after these. */
size_t listing_after(const struct listing *l, struct sv ns, struct sv name);

struct store;

/* `ring`: how many changes of each kind are kept, at least 1. */
struct store *store_new(size_t ring);
void store_free(struct store *s);

/* The version of the last change. */
uint64_t store_version(const struct store *s);

/* Takes over the reference; the object gets the next version. */
void store_put(struct store *s, struct object *o);
/* False: there is none. */
bool store_delete(struct store *s, enum kind kind, struct sv ns, struct sv name);
/* Borrowed, until the store changes; NULL: there is none. */
struct object *store_find(const struct store *s, enum kind kind, struct sv ns, struct sv name);
size_t store_count(const struct store *s, enum kind kind);

/* The present objects; the caller gets a reference. */
struct listing *store_list(struct store *s, enum kind kind);
/* Keeps a listing for continue tokens: of the kept ones the oldest goes. */
void store_keep(struct store *s, struct listing *l);
/* A kept listing, borrowed; NULL: it has gone. */
struct listing *store_kept(const struct store *s, enum kind kind, uint64_t version);

/* Where a watch stands; false: changes after `version` have been forgotten. */
bool store_seek(const struct store *s, enum kind kind, uint64_t version, uint64_t *ret_cursor);
/* The cursor behind the last change. */
uint64_t store_end(const struct store *s, enum kind kind);
/* The change at the cursor, which moves on; NULL: there is none (yet), or, with *ret_lost, it has been forgotten. */
const struct store_event *store_next(const struct store *s, enum kind kind, uint64_t *cursor,
                                     bool *ret_lost);

/* Versions go back to this one, as after a restore of etcd: later changes get the numbers of earlier ones. Objects stay as they are
 * (those of later versions get this one), and all that came before is forgotten (store_forget()). */
void store_put_back(struct store *s, uint64_t version);

/* A version that changed nothing here, as all others' objects have: who has seen the last change is behind it. */
void store_pass_version(struct store *s);

/* Forgets all changes and kept listings, as an API server does that starts anew: every older version is too old. */
void store_forget(struct store *s);

#endif
