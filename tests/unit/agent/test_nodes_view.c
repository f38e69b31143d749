#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/serve/nodes_json.h"
#include "agent/serve/routes.h"
#include "agent/snapshot.h"

static struct nodes_view *view(const char *names, int64_t at_us)
{
    struct nodes_view *v = nodes_view_new();
    struct sv rest = sv_from(names), name;

    v->value.at.us = at_us;
    v->at.us = 5 * US_PER_S;
    v->fit_known = true;
    while (sv_next(&rest, ' ', &name)) {
        char text[32];
        struct nodes_row row = {.name = text, .allocatable_milli = 4000, .paid_milli = 1500};

        (void)snprintf(text, sizeof text, "%.*s", SV_ARG(name));
        row.fit = 2;
        row.free_milli = 2500;
        row.eligible = row.ready = true;
        nodes_view_add(v, &row);
    }
    return v;
}

static struct mono s(int64_t seconds)
{
    return (struct mono){.us = seconds * US_PER_S};
}

Test(nodes_view, is_made_only_while_somebody_looks)
{
    struct boards boards;
    struct nodes_board *b = &boards.nodes;
    struct nodes_view *v;

    boards_init(&boards);
    cr_expect(!board_due(b->board, s(0)), "nobody has asked");
    cr_expect_null(nodes_board_ask(b, s(100)));
    cr_expect(board_due(b->board, s(101)));
    nodes_board_set(b, view("a b", s(101).us));
    cr_expect(!board_due(b->board, (struct mono){.us = s(102).us - 1}), "at most once a second");
    cr_expect(board_due(b->board, s(102)));
    cr_expect(board_due(b->board, s(110)));
    cr_expect(!board_due(b->board, s(111)), "asked 11 s ago");
    v = nodes_board_ask(b, s(112));
    cr_expect_null(v, "the old one was taken down");
    boards_done(&boards);
}

Test(nodes_view, stays_whole_for_whoever_holds_it)
{
    struct boards boards;
    struct nodes_board *b = &boards.nodes;
    struct nodes_view *held;

    boards_init(&boards);
    cr_expect_null(nodes_board_ask(b, s(0)));
    nodes_board_set(b, view("a b", 0));
    held = nodes_board_ask(b, s(0));
    nodes_board_set(b, view("c", 1));
    cr_assert_eq(held->len, 2);
    cr_expect_str_eq(held->rows[1].name, "b");
    nodes_view_unref(held);
    boards_done(&boards);
}

Test(nodes_view, keeps_its_generation_as_long_as_nodes_keep_their_places)
{
    static const struct {
        const char *names;
        uint64_t gen;
    } rows[] = {{"a b", 1}, {"a b", 1}, {"b a", 2}, {"a", 3}, {"a", 3}, {"", 4}, {"a b", 5}};
    struct boards boards;
    struct nodes_board *b = &boards.nodes;
    struct nodes_view *last;

    boards_init(&boards);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct nodes_view *v;

        nodes_board_set(b, view(rows[i].names, (int64_t)i));
        v = nodes_board_ask(b, s(0));
        cr_expect_eq(v->gen, rows[i].gen, "%zu: '%s'", i, rows[i].names);
        nodes_view_unref(v);
    }
    cr_expect(!board_due(b->board, s(1000)));
    nodes_board_set(b, view("z", 9));
    last = nodes_board_ask(b, s(0));
    cr_expect_eq(last->gen, 6, "numbers are not used again");
    nodes_view_unref(last);
    boards_done(&boards);
}

static cJSON *answer(struct boards *b, bool names, int want)
{
    const struct routes_param param = {SV("names"), SV("1")};
    struct routes_request rq = {.method = SV("GET"),
                                .path = SV("/api/v1/nodes"),
                                .params = &param,
                                .n_params = names,
                                .boards = b};
    struct routes_answer a;
    cJSON *json;

    routes_answer(&rq, NULL, &a);
    cr_assert_eq(a.status, want, "%s", strbuf_str(&a.body));
    json = cJSON_ParseWithLength(a.body.at, a.body.len);
    cr_assert_not_null(json, "%s", strbuf_str(&a.body));
    strbuf_done(&a.body);
    return json;
}

static int column(const cJSON *json, const char *key)
{
    return cJSON_GetArraySize(cJSON_GetObjectItem(json, key));
}

Test(nodes_view, is_answered_by_columns)
{
    struct boards boards;
    struct nodes_board *b = &boards.nodes;
    struct nodes_view *v;
    cJSON *json;

    boards_init(&boards);
    cJSON_Delete(answer(&boards, true, 503));
    v = view("a b\"c d", 0);
    v->rows[2].cordoned = true;
    nodes_board_set(b, v);
    json = answer(&boards, true, 200);
    cr_expect_eq(cJSON_GetObjectItem(json, "t")->valueint, 5000);
    cr_expect_eq(cJSON_GetObjectItem(json, "nodes")->valueint, 3);
    for (size_t i = 0; i < 10; i++) {
        static const char *const keys[] = {
            "allocatable_milli", "paid_milli", "filler_milli", "leaving_milli", "claimed_milli",
            "free_milli",        "fit",        "eligible",     "cordoned",      "ready"};

        cr_expect_eq(column(json, keys[i]), 3, "%s", keys[i]);
    }
    cr_expect_eq(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "cordoned"), 2)->valueint, 1);
    cr_expect_eq(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "paid_milli"), 1)->valueint, 1500);
    cr_expect_str_eq(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "names"), 1)->valuestring,
                     "b\"c");
    cr_expect(cJSON_IsNull(cJSON_GetObjectItem(json, "kept_milli")));
    cJSON_Delete(json);
    json = answer(&boards, false, 200);
    cr_expect_null(cJSON_GetObjectItem(json, "names"));
    cJSON_Delete(json);
    boards_done(&boards);
}

Test(nodes_view, says_null_while_the_shape_of_filler_is_unknown)
{
    struct boards boards;
    struct nodes_board *b = &boards.nodes;
    struct nodes_view *v = view("a", 0);
    cJSON *json;

    boards_init(&boards);
    v->fit_known = false;
    nodes_board_set(b, v);
    json = answer(&boards, false, 200);
    cr_expect(cJSON_IsNull(cJSON_GetObjectItem(json, "fit")));
    cr_expect(cJSON_IsNull(cJSON_GetObjectItem(json, "eligible")));
    cr_expect_eq(column(json, "paid_milli"), 1);
    cJSON_Delete(json);
    boards_done(&boards);
}

Test(nodes_view, holds_five_thousand_nodes_within_an_answer)
{
    struct nodes_view *v = nodes_view_new();
    struct strbuf out;

    for (int i = 0; i < 5000; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "node-%05d.example.internal", i);
        nodes_view_add(v, &(struct nodes_row){.name = name, .allocatable_milli = 64000});
    }
    strbuf_init(&out, ROUTES_MAX_BODY);
    nodes_json_write(v, true, &out);
    cr_expect(!out.full && out.len < 512 << 10, "%zu bytes", out.len);
    strbuf_done(&out);
    nodes_view_unref(v);
}
