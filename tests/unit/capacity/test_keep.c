#include "capacity/keep.h"

#include <criterion/criterion.h>

#include "base/alloc.h"

static struct node_record record(const struct label *labels, size_t n)
{
    return (struct node_record){.name = SV("n"), .labels = labels, .n_labels = n};
}

Test(keep, nodes_share_the_text_that_they_have_in_common)
{
    struct keep *k = keep_new();
    struct label a[] = {{SV("zone"), SV("a")}, {SV("host"), SV("n1")}};
    struct label b[] = {{SV("zone"), SV("a")}, {SV("host"), SV("n2")}};
    struct node_record one = record(a, 2), two = record(b, 2);
    struct kept_node *first = keep_node(k, &one), *second = keep_node(k, &two);

    cr_assert_eq(keep_texts(k), 5);
    cr_assert_eq(first->labels[0].key.at, second->labels[0].key.at);
    cr_assert_eq(first->labels[0].value.at, second->labels[0].value.at);
    cr_assert(sv_eq(second->labels[1].value, SV("n2")));
    keep_drop(k, first);
    cr_assert_eq(keep_texts(k), 4, "n1 is said by nobody now");
    cr_assert(sv_eq(second->labels[0].value, SV("a")));
    keep_drop(k, second);
    cr_assert_eq(keep_texts(k), 0);
    keep_free(k);
}

Test(keep, a_record_may_borrow_from_what_is_kept)
{
    struct keep *k = keep_new();
    struct label labels[] = {{SV("zone"), SV("a")}};
    struct taint taints[] = {{.key = SV("gpu"), .value = SV(""), .effect = EFFECT_NO_SCHEDULE}};
    struct node_record node = record(labels, 1);
    struct kept_node *before, *after;

    node.taints = taints;
    node.n_taints = 1;
    before = keep_node(k, &node);
    node.labels = before->labels;
    node.taints = before->taints;
    after = keep_node(k, &node);
    keep_drop(k, before);
    cr_assert(sv_eq(after->labels[0].key, SV("zone")));
    cr_assert(sv_eq(after->taints[0].key, SV("gpu")));
    cr_assert_eq(after->taints[0].value.len, 0);
    cr_assert_eq(after->taints[0].effect, EFFECT_NO_SCHEDULE);
    keep_drop(k, after);
    cr_assert_eq(keep_texts(k), 0);
    keep_free(k);
}

Test(keep, what_is_kept_again_is_dropped_as_often)
{
    struct keep *k = keep_new();
    struct label labels[] = {{SV("zone"), SV("a")}};
    struct node_record node = record(labels, 1);
    struct kept_node *kept = keep_node(k, &node);
    const struct label *there = kept->labels;

    cr_assert_eq(keep_again(kept), kept);
    keep_drop(k, kept);
    cr_assert_eq(keep_texts(k), 2);
    cr_assert(kept->labels == there && sv_eq(there[0].key, SV("zone")));
    keep_drop(k, kept);
    cr_assert_eq(keep_texts(k), 0);
    keep_free(k);
}
