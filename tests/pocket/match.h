/*
 * match: which objects a list or a watch asks for: one namespace or all, fieldSelector, labelSelector.
 */
#ifndef BRIM_POCKET_MATCH_H
#define BRIM_POCKET_MATCH_H

#include "base/arena.h"
#include "capacity/selector.h"
#include "tests/pocket/object.h"

enum { MATCH_MAX_TERMS = 16, MATCH_MAX_SELECTOR = 64 << 10 };

struct match {
    struct arena arena; /* owns all text */
    struct sv ns;       /* empty: all */
    struct {
        struct sv field, value;
        bool unequal;
    } terms[MATCH_MAX_TERMS];
    size_t n_terms;
    struct selector labels;
};

/* ERR_INPUT: the server's text for a 400. match_done() whatever it returns. */
bool match_init(struct match *m, enum kind kind, struct sv ns, struct sv fields, struct sv labels,
                struct err *err) MUST_CHECK;
void match_done(struct match *m);

/* Has it a selector at all (then a list does not tell how many remain)? */
bool match_selects(const struct match *m);

bool match_object(const struct match *m, const struct object *o);

#endif
