#include "agent/serve/room_api.h"

#include <stdio.h>

#include "agent/serve/fail.h"
#include "agent/serve/room_query.h"
#include "base/alloc.h"
#include "base/jsonw.h"

/* What is being answered. */
struct asked {
    const struct room_view *v;
    struct room_query q;
    struct room_shape shape;
};

static void add_named(struct jsonw *w, struct sv name, int64_t value)
{
    char key[320]; /* longer than a qualified name is */

    (void)snprintf(key, sizeof key, "%.*s", SV_ARG(name));
    jsonw_i64(w, key, value);
}

static void add_request(const struct room_query *q, struct jsonw *w)
{
    jsonw_object(w, "asked");
    jsonw_i64(w, "cpu_milli", q->request.at[RESOURCE_CPU]);
    jsonw_i64(w, "memory_bytes", q->request.at[RESOURCE_MEMORY]);
    jsonw_i64(w, "ephemeral_storage_bytes", q->request.at[RESOURCE_EPHEMERAL]);
    jsonw_object(w, "extended");
    for (size_t i = 0; i < q->n_extended; i++)
        add_named(w, q->extended[i].name, q->extended[i].amount);
    jsonw_end(w);
    jsonw_end(w);
}

static void add_count(const struct asked *k, const char *key, const struct room_count *sum,
                      struct jsonw *w)
{
    jsonw_object(w, key);
    jsonw_i64(w, "fits", sum->pods);
    jsonw_i64(w, "nodes", sum->takes);
    jsonw_object(w, "bound_by");
    for (int i = 0; i < RESOURCE_MAX; i++) {
        if (sum->bound[i] != 0)
            add_named(w, room_query_name(&k->q, &k->v->names, i), sum->bound[i]);
    }
    jsonw_end(w);
    jsonw_end(w);
}

static void add_refused(const struct room_count *sum, struct jsonw *w)
{
    jsonw_object(w, "refused");
    jsonw_i64(w, "cordoned", sum->refused[NODE_CORDONED]);
    jsonw_i64(w, "tainted", sum->refused[NODE_TAINTED]);
    jsonw_i64(w, "not_selected", sum->refused[NODE_NOT_SELECTED]);
    jsonw_end(w);
}

static struct sv bound_text(const struct asked *k, const struct room_here *here)
{
    if (here->refusal != NODE_ACCEPTS)
        return sv_from(room_refusal_text(here->refusal));
    return room_query_name(&k->q, &k->v->names, here->bound);
}

enum column { COLUMN_NAME, COLUMN_NOW, COLUMN_WITHOUT, COLUMN_BOUND, COLUMN_COUNT_ };

static const char *const columns[] = {
    [COLUMN_NAME] = "name",
    [COLUMN_NOW] = "now",
    [COLUMN_WITHOUT] = "without_filler",
    [COLUMN_BOUND] = "bound_by",
};
_Static_assert(COUNT_OF(columns) == COLUMN_COUNT_, "a column has no name");

static void add_cell(const struct asked *k, size_t row, const room_heres *rows, enum column column,
                     struct jsonw *w)
{
    const struct room_here *here = rows[row];

    if (column == COLUMN_NAME) {
        jsonw_str(w, NULL, room_view_name(k->v, row));
        return;
    }
    if (column == COLUMN_BOUND)
        jsonw_str(w, NULL, bound_text(k, &here[ROOM_NOW]));
    else
        jsonw_i64(w, NULL, here[column == COLUMN_NOW ? ROOM_NOW : ROOM_WITHOUT_FILLER].pods);
}

static void add_nodes(const struct asked *k, const room_heres *rows, struct jsonw *w)
{
    jsonw_object(w, "by_node");
    for (int c = 0; c < COLUMN_COUNT_; c++) {
        jsonw_array(w, columns[c]);
        for (size_t row = 0; row < k->v->n; row++)
            add_cell(k, row, rows, (enum column)c, w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void write_answer(const struct asked *k, struct strbuf *out)
{
    struct room_count sums[ROOM_WHEN_COUNT_];
    CLEANUP(free_ptr) room_heres *rows = k->q.nodes ? xcalloc(k->v->n + 1, sizeof *rows) : NULL;
    struct jsonw w;

    room_view_count(k->v, &k->shape, sums, rows);
    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_i64(&w, "t", k->v->at.us / US_PER_MS);
    add_request(&k->q, &w);
    add_count(k, "now", &sums[ROOM_NOW], &w);
    add_count(k, "without_filler", &sums[ROOM_WITHOUT_FILLER], &w);
    jsonw_i64(&w, "nodes", sums[ROOM_NOW].nodes);
    add_refused(&sums[ROOM_NOW], &w);
    if (rows != NULL)
        add_nodes(k, rows, &w);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

static void answer_from(const struct routes_request *rq, const struct room_view *v,
                        struct routes_answer *a)
{
    struct asked k = {.v = v};
    struct room_problem problem;
    struct arena arena;

    arena_init(&arena, ROOM_QUERY_MAX_ARENA);
    if (!room_query_read(rq->params, rq->n_params, &v->names, &arena, &k.q, &problem)) {
        fail_param(a, problem.field, problem.err.text);
    } else {
        k.shape = (struct room_shape){&k.q.request, &k.q.rules};
        write_answer(&k, &a->body);
    }
    arena_done(&arena);
}

static void fail_stale(const struct routes_request *rq, const struct snapshot *s,
                       struct routes_answer *a)
{
    char text[128];

    (void)snprintf(text, sizeof text,
                   "what is known is stale: nothing was heard from the API server for %lld s",
                   (long long)(snapshot_silence_us(s, rq->now) / US_PER_S));
    fail_json(a, 503, "ServiceUnavailable", text);
}

void room_api_answer(const struct routes_request *rq, const struct snapshot *s,
                     struct routes_answer *a)
{
    struct room_view *v;

    a->content_type = "application/json";
    if (rq->more_params) {
        fail_json(a, 400, "BadRequest", "found more parameters than 16");
        return;
    }
    if (s == NULL || !s->ready) {
        fail_json(a, 503, "ServiceUnavailable", "pods and nodes were not listed yet");
        return;
    }
    if (snapshot_is_stale(s, rq->now)) {
        fail_stale(rq, s, a);
        return;
    }
    v = rq->boards != NULL ? (struct room_view *)board_ask(rq->boards->room, rq->now) : NULL;
    if (v != NULL) {
        answer_from(rq, v, a);
    } else {
        fail_json(a, 503, "ServiceUnavailable",
                  "the room is being counted: ask again within seconds");
        a->retry_after_s = 1;
        a->awaits = rq->boards != NULL ? rq->boards->room : NULL;
    }
    room_view_unref(v);
}
