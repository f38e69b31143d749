#include "agent/serve/nodes_json.h"

#include "base/jsonw.h"

enum node_column {
    NODE_ALLOCATABLE,
    NODE_PAID,
    NODE_FILLER,
    NODE_LEAVING,
    NODE_CLAIMED,
    NODE_FREE,
    NODE_FIT,
    NODE_ELIGIBLE,
    NODE_CORDONED,
    NODE_READY,
    NODE_COLUMN_COUNT_,
};

static const char *const node_columns[] = {
    [NODE_ALLOCATABLE] = "allocatable_milli",
    [NODE_PAID] = "paid_milli",
    [NODE_FILLER] = "filler_milli",
    [NODE_LEAVING] = "leaving_milli",
    [NODE_CLAIMED] = "claimed_milli",
    [NODE_FREE] = "free_milli",
    [NODE_FIT] = "fit",
    [NODE_ELIGIBLE] = "eligible",
    [NODE_CORDONED] = "cordoned",
    [NODE_READY] = "ready",
};
_Static_assert(COUNT_OF(node_columns) == NODE_COLUMN_COUNT_, "a column has no name");

static int64_t node_figure(const struct nodes_row *row, enum node_column column)
{
    switch (column) {
    case NODE_ALLOCATABLE:
        return row->allocatable_milli;
    case NODE_PAID:
        return row->paid_milli;
    case NODE_FILLER:
        return row->filler_milli;
    case NODE_LEAVING:
        return row->leaving_milli;
    case NODE_CLAIMED:
        return row->claimed_milli;
    case NODE_FREE:
        return row->free_milli;
    case NODE_FIT:
        return row->fit;
    case NODE_ELIGIBLE:
        return row->eligible;
    case NODE_CORDONED:
        return row->cordoned;
    case NODE_READY:
        return row->ready;
    case NODE_COLUMN_COUNT_:
        break;
    }
    return 0;
}

static void write_node_column(struct jsonw *w, const struct nodes_view *v, enum node_column column)
{
    bool of_filler = column == NODE_FIT || column == NODE_ELIGIBLE;

    if (of_filler && !v->fit_known) {
        jsonw_null(w, node_columns[column]);
        return;
    }
    jsonw_array(w, node_columns[column]);
    for (size_t i = 0; i < v->len; i++)
        jsonw_i64(w, NULL, node_figure(&v->rows[i], column));
    jsonw_end(w);
}

void nodes_json_write(const struct nodes_view *v, bool names, struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_i64(&w, "t", v->at.us / US_PER_MS);
    jsonw_i64(&w, "gen", (int64_t)v->gen);
    jsonw_i64(&w, "nodes", (int64_t)v->len);
    for (int c = 0; c < NODE_COLUMN_COUNT_; c++)
        write_node_column(&w, v, (enum node_column)c);
    jsonw_null(&w, "kept_milli");
    if (names) {
        jsonw_array(&w, "names");
        for (size_t i = 0; i < v->len; i++)
            jsonw_cstr(&w, NULL, v->rows[i].name);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}
