#include "agent/truth.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

static uint64_t state = 1;

static int64_t chance(int64_t limit)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int64_t)((state >> 20) % (uint64_t)limit);
}

static void text_of(char *to, size_t size)
{
    static const char chars[] = "az09-_ \"\\{}<\n";
    size_t len = (size_t)chance((int64_t)size);

    for (size_t i = 0; i < len; i++)
        to[i] = chars[chance(sizeof chars - 1)];
    to[len] = '\0';
}

static void condition_of(struct snapshot_condition *c)
{
    c->status = chance(2);
    (void)snprintf(c->reason, sizeof c->reason, "Reason%d", (int)chance(9));
    text_of(c->message, sizeof c->message);
}

static void fill(struct snapshot_filler *f, int number)
{
    (void)snprintf(f->policy, sizeof f->policy, "policy-%02d", number);
    f->desired = chance(1000);
    f->from = chance(1000);
    f->set_point = chance(1000);
    f->damped = chance(1000);
    f->kept_slots = chance(1000);
    f->settle_us = chance(US_PER_S * 600);
    f->headroom_milli = chance(INT64_C(1) << 52);
    f->reserved_milli = chance(1000);
    f->headroom = (struct headroom_state){.milli = chance(1000),
                                          .kind = (enum headroom_kind)chance(HEADROOM_KIND_COUNT_),
                                          .usual = chance(1000),
                                          .surge = chance(1000),
                                          .expected = chance(1000),
                                          .ceiling = chance(2) ? INT64_MAX : chance(1000),
                                          .need = chance(1000),
                                          .values = (size_t)chance(2000),
                                          .capped = chance(2)};
    f->reason = (enum reason)chance(REASON_COUNT_);
    f->bound = (enum bound)chance(BOUND_COUNT_);
    f->has_wake = chance(2);
    f->wake.us = f->has_wake ? chance(INT64_C(1) << 50) : 0;
    text_of(f->detail, sizeof f->detail);
    condition_of(&f->able);
    condition_of(&f->active);
    condition_of(&f->limited);
    condition_of(&f->placed);
    condition_of(&f->covered);
}

static struct truth *told(const struct snapshot *s, const struct truth_teller *teller)
{
    struct strbuf text;
    struct err err = {0};
    struct truth *t;

    strbuf_init(&text, TRUTH_MAX);
    truth_write(s, teller, &text);
    cr_assert(!text.full);
    t = truth_read(strbuf_sv(&text), &err);
    cr_assert(t != NULL, "%s: %s", err.text, strbuf_str(&text));
    strbuf_done(&text);
    return t;
}

static void found_of(void *self, const char *policy, struct truth_found *ret_found)
{
    if (strcmp(policy, "policy-00") == 0)
        *ret_found = *(struct truth_found *)self;
}

Test(truth, what_one_says_the_other_shows)
{
    for (int round = 0; round < 200; round++) {
        struct snapshot *s = snapshot_new(3), *other = snapshot_new(3);
        struct truth_found found = {uid_parse(SV("0b8f3a52-1111-4222-8333-444455556666")), round};
        struct truth *t;

        (void)snprintf(s->lead.identity, sizeof s->lead.identity, "host_%d", round);
        for (int i = 0; i < 3; i++) {
            fill(&s->fillers[i], i);
            (void)snprintf(other->fillers[i].policy, sizeof other->fillers[i].policy, "%s",
                           s->fillers[i].policy);
            other->fillers[i].slots = s->fillers[i].slots = 7;
        }
        t = told(s, &(struct truth_teller){
                        .url = "http://a:8080", .now = {round}, .found = found_of, .self = &found});
        cr_assert_str_eq(t->identity, s->lead.identity);
        cr_assert_str_eq(t->url, "http://a:8080");
        cr_assert_eq(t->n, 3);
        for (int i = 0; i < 3; i++) {
            const struct truth_filler *f = truth_find(t, sv_from(s->fillers[i].policy));
            int64_t need, values;

            truth_apply(f, &other->fillers[i]);
            cr_assert_eq(other->fillers[i].desired, s->fillers[i].desired);
            cr_assert_eq(other->fillers[i].damped, s->fillers[i].damped);
            cr_assert_eq(other->fillers[i].settle_us, s->fillers[i].settle_us);
            cr_assert_eq(other->fillers[i].headroom_milli, s->fillers[i].headroom_milli);
            cr_assert_eq(other->fillers[i].headroom.ceiling, s->fillers[i].headroom.ceiling);
            cr_assert_eq(other->fillers[i].headroom.kind, s->fillers[i].headroom.kind);
            cr_assert_eq(other->fillers[i].headroom.values, s->fillers[i].headroom.values);
            cr_assert_eq(other->fillers[i].headroom.capped, s->fillers[i].headroom.capped);
            cr_assert_eq(other->fillers[i].reason, s->fillers[i].reason);
            cr_assert_eq(other->fillers[i].bound, s->fillers[i].bound);
            cr_assert_eq(other->fillers[i].has_wake, s->fillers[i].has_wake);
            cr_assert_eq(other->fillers[i].wake.us, s->fillers[i].wake.us);
            cr_assert_str_eq(other->fillers[i].detail, s->fillers[i].detail);
            cr_assert_str_eq(other->fillers[i].able.message, s->fillers[i].able.message);
            cr_assert_eq(other->fillers[i].covered.status, s->fillers[i].covered.status);
            cr_assert_str_eq(other->fillers[i].placed.reason, s->fillers[i].placed.reason);
            cr_assert(truth_learned(f, &need, &values));
            cr_assert_eq(need, s->fillers[i].headroom.need);
            cr_assert_eq(values, (int64_t)s->fillers[i].headroom.values);
            cr_assert_eq(uid_eq(f->found.uid, found.uid), i == 0);
            cr_assert_eq(f->found.replicas, i == 0 ? round : 0);
        }
        free(t);
        snapshot_unref(s);
        snapshot_unref(other);
    }
}

Test(truth, texts)
{
    static const struct {
        const char *text, *wrong; /* NULL: it is fine */
    } cases[] = {
        {"{}", NULL},
        {"{\"v\":9,\"more\":[{}],\"fillers\":[{\"policy\":\"a\",\"new\":{\"b\":1}}]}", NULL},
        {"{\"fillers\":null}", NULL},
        {"{\"fillers\":[{\"policy\":\"a\",\"reason\":\"of-tomorrow\",\"wanted\":null}]}", NULL},
        {"", "fillers: expected an object with a list of them"},
        {"[]", "fillers: expected an object with a list of them"},
        {"{\"fillers\":{}}", "fillers: expected an object with a list of them"},
        {"{\"fillers\":[1]}", "fillers: expected objects with a policy's name"},
        {"{\"fillers\":[{\"wanted\":1}]}", "fillers: expected objects with a policy's name"},
        {"{\"identity\":5}", "identity: expected a text"},
        {"{\"fillers\":[{\"policy\":\"a\",\"wanted\":1.5}]}", "wanted: expected a whole number"},
        {"{\"fillers\":[{\"policy\":\"a\",\"wanted\":1e300}]}", "wanted: expected a whole number"},
        {"{\"fillers\":[{\"policy\":\"a\",\"wanted\":\"1\"}]}", "wanted: expected a whole number"},
        {"{\"fillers\":[{\"policy\":\"a\",\"capped\":1}]}", "capped: expected true or false"},
        {"{\"fillers\":[{\"policy\":\"a\",\"active\":1}]}", "active: expected an object"},
        {"{\"fillers\":[{\"policy\":\"a\",\"found\":{\"replicas\":-1}}]}",
         "found: expected an object with a count of replicas"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {0};
        struct truth *t = truth_read(sv_from(cases[i].text), &err);

        cr_assert_eq(t != NULL, cases[i].wrong == NULL, "%s", cases[i].text);
        if (t == NULL)
            cr_assert_str_eq(err.text, cases[i].wrong);
        free(t);
    }
}

Test(truth, what_is_absent_leaves_what_is_there)
{
    struct truth *t =
        truth_read(SV("{\"fillers\":[{\"policy\":\"a\",\"wanted\":4,\"reason\":\"new\"}]}"), NULL);
    struct snapshot *s = snapshot_new(1);
    int64_t need, values;

    s->fillers[0].reason = REASON_HOLD;
    s->fillers[0].settle_us = 9;
    truth_apply(truth_find(t, SV("a")), &s->fillers[0]);
    cr_assert_eq(s->fillers[0].desired, 4);
    cr_assert_eq(s->fillers[0].settle_us, 9);
    cr_assert_eq(s->fillers[0].reason, REASON_HOLD);
    cr_assert(!truth_learned(truth_find(t, SV("a")), &need, &values));
    cr_assert(!truth_learned(NULL, &need, &values));
    cr_assert_null(truth_find(t, SV("b")));
    snapshot_unref(s);
    free(t);
}

Test(truth, nothing_told_is_no_figure_and_old_is_stale)
{
    struct snapshot *s = snapshot_new(1);

    s->fillers[0].replicas = 3;
    s->fillers[0].desired = 50;
    truth_apply_nothing(&s->fillers[0]);
    cr_assert_eq(s->fillers[0].reason, REASON_UNKNOWN);
    cr_assert_eq(s->fillers[0].desired, 3);
    cr_assert_str_eq(s->fillers[0].active.reason, "NoWordOfTheLeader");
    truth_apply_old(&s->fillers[0], 61 * US_PER_S);
    cr_assert_eq(s->fillers[0].reason, REASON_STALE);
    cr_assert_str_eq(s->fillers[0].active.message, "no replica that leads was heard of for 61 s");
    snapshot_unref(s);
}

Test(truth, what_does_not_fit_is_left_out_and_said)
{
    struct snapshot *s = snapshot_new(TRUTH_MAX_FILLERS + 2);
    struct truth *t;

    for (int i = 0; i < TRUTH_MAX_FILLERS + 2; i++) {
        fill(&s->fillers[i], i);
        memset(s->fillers[i].detail, '\n', sizeof s->fillers[i].detail - 1);
        memset(s->fillers[i].active.message, 1, sizeof s->fillers[i].active.message - 1);
    }
    t = told(s, &(struct truth_teller){0});
    cr_assert_gt(t->n, 20);
    cr_assert_eq(t->n + (size_t)t->left_out, s->n_fillers);
    cr_assert_str_eq(t->filler[t->n - 1].policy, s->fillers[t->n - 1].policy);
    free(t);
    snapshot_unref(s);
}

Test(truth, limits)
{
    struct strbuf text;
    struct err err = {0};

    strbuf_init(&text, TRUTH_MAX * 2);
    (void)strbuf_add(&text, SV("{\"fillers\":["));
    for (int i = 0; i <= TRUTH_MAX_FILLERS; i++)
        (void)strbuf_addf(&text, "%s{\"policy\":\"p%d\"}", i == 0 ? "" : ",", i);
    (void)strbuf_add(&text, SV("]}"));
    cr_assert_null(truth_read(strbuf_sv(&text), &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    while (text.len <= TRUTH_MAX)
        (void)strbuf_add_char(&text, ' ');
    cr_assert_null(truth_read(strbuf_sv(&text), &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    strbuf_done(&text);
}

Test(truth, addresses)
{
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"http://10.0.0.1:8080", true},
        {"https://[::1]:6443/brim", true},
        {"http://a", true},
        {"", false},
        {"http://", false},
        {"http:///a", false},
        {"ftp://a", false},
        {"http://a/", false},
        {"http://a\r\nX: y", false},
        {"http://a?b", false},
        {"javascript:alert(1)", false},
        {"http://user@a", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        cr_assert_eq(truth_is_url(sv_from(cases[i].url)), cases[i].good, "%s", cases[i].url);
}

Test(truth, texts_are_whole_characters)
{
    struct strbuf text;
    struct truth *t;
    struct err err = {0};

    cr_assert_null(truth_read(SV("{\"identity\":\"\xff\"}"), &err));
    cr_assert_eq(err.kind, ERR_PROTOCOL, "%s", err.text);

    /* Three bytes a character, of which the last that has room would be cut in two. */
    strbuf_init(&text, 64 << 10);
    (void)strbuf_addf(&text, "{\"identity\":\"x");
    for (int i = 0; i < 4000; i++)
        (void)strbuf_addf(&text, "\u20ac");
    (void)strbuf_addf(&text, "\"}");
    t = truth_read(strbuf_sv(&text), &err);
    cr_assert_not_null(t, "%s", err.text);
    cr_assert(sv_is_utf8(sv_from(t->identity)));
    cr_assert_eq(strlen(t->identity), (sizeof t->identity - 2) / 3 * 3 + 1, "%zu of %zu",
                 strlen(t->identity), sizeof t->identity);
    free(t);
    strbuf_done(&text);
}
