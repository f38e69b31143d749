#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "agent/prom/promread.h"
#include "base/alloc.h"

/* What was handed out, as text: "a=1,b=2 10:3 20:4\n". */
struct log {
    struct strbuf text;
    int refuse_at; /* the series to refuse; 0: none */
    int n;
};

static bool note(void *self, const struct promread_series *s, struct err *err)
{
    struct log *log = self;

    for (size_t i = 0; i < s->n_labels; i++)
        (void)strbuf_addf(&log->text, "%s%.*s=%.*s", i != 0 ? "," : "", SV_ARG(s->labels[i].name),
                          SV_ARG(s->labels[i].value));
    for (size_t i = 0; i < s->n_points; i++)
        (void)strbuf_addf(&log->text, " %lld:%.*s", (long long)s->points[i].t_ms,
                          SV_ARG(s->points[i].value));
    (void)strbuf_add_char(&log->text, '\n');
    if (++log->n == log->refuse_at)
        return err_set(err, ERR_LIMIT, 7, "enough");
    return true;
}

/* Reads the text in pieces of so many bytes, 0: of random sizes. The log is initialised here. */
static bool read_all(struct promread *r, struct log *log, const char *text, size_t piece,
                     struct err *err)
{
    struct sv rest = sv_from(text);
    bool ok = true;

    strbuf_init(&log->text, 1 << 20);
    promread_init(r, note, log);
    while (ok && rest.len != 0) {
        size_t n = piece != 0 ? piece : 1 + (size_t)rand() % 40;
        struct sv bytes = {.at = rest.at, .len = n < rest.len ? n : rest.len};
        char *own = xmalloc(bytes.len); /* so that reading behind it shows */

        memcpy(own, bytes.at, bytes.len);
        ok = promread_push(r, (struct sv){.at = own, .len = bytes.len}, err);
        free(own);
        rest = sv_skip(rest, bytes.len);
    }
    return ok && promread_end(r, err);
}

static const char vector[] =
    "{\"status\":\"success\",\"isPartial\":false,\"data\":{\"resultType\":\"vector\",\"result\":["
    "{\"metric\":{\"__name__\":\"up\",\"job\":\"a \\\"b\\\" "
    "\\u00e4\"},\"value\":[1700000000.123,\"1\"]},"
    "{\"metric\":{},\"value\":[1700000000,\"NaN\"]}]},"
    "\"stats\":{\"seriesFetched\":\"2\",\"x\":[1,{\"y\":null}]}}\n";

static const char matrix[] =
    " { \"data\" : { \"result\" : [ { \"metric\" : { \"n\" : \"1\" } , \"values\" : [ [ 1 , \"2\" "
    "] , "
    "[ 61 , \"3.5\" ] ] } , "
    "{\"metric\":{\"n\":\"2\"},\"histograms\":[[1,{\"count\":\"3\",\"buckets\":[[0,\"1\","
    "\"2\",\"3\"]]}]]} ] , \"resultType\" : \"matrix\" } , \"status\" : \"success\" } ";

Test(promread, hands_out_series_whatever_the_pieces)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {vector, "__name__=up,job=a \"b\" ä 1700000000123:1\n 1700000000000:NaN\n"},
        {matrix, "n=1 1000:2 61000:3.5\nn=2\n"},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}", ""},
    };
    unsigned seed = (unsigned)time(NULL);

    srand(seed);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t piece = 0; piece <= strlen(rows[i].text); piece++) {
            struct err err = {0};
            struct promread r;
            struct log log = {0};

            cr_assert(read_all(&r, &log, rows[i].text, piece, &err),
                      "row %zu, pieces of %zu, seed %u: %s", i, piece, seed, err.text);
            cr_assert_str_eq(strbuf_str(&log.text), rows[i].expected,
                             "row %zu, pieces of %zu, seed %u", i, piece, seed);
            cr_assert_not(r.partial);
            strbuf_done(&log.text);
            promread_done(&r);
        }
    }
}

Test(promread, tells_what_prometheus_tells)
{
    static const char error[] =
        "{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"query "
        "processing would load\\ntoo many samples\"}";
    static const char warning[] =
        "{\"status\":\"success\",\"warnings\":[\"store \\\"b\\\" is away\",\"c\"],"
        "\"data\":{\"resultType\":\"vector\",\"result\":[]}}";
    struct err err = {0};
    struct promread r;
    struct log log = {0};

    cr_assert_not(read_all(&r, &log, error, 3, &err));
    cr_assert_eq(err.kind, ERR_SERVER);
    cr_assert_str_eq(err.text, "execution: query processing would load too many samples");
    cr_assert_str_eq(r.error_type, "execution");
    strbuf_done(&log.text);
    promread_done(&r);

    cr_assert(read_all(&r, &log, warning, 5, &err));
    cr_assert(r.partial);
    cr_assert_str_eq(r.warning, "store \"b\" is away");
    strbuf_done(&log.text);
    promread_done(&r);
}

Test(promread, an_answer_that_is_cut_anywhere_is_none)
{
    size_t whole = strlen(matrix) - 1; /* a blank is behind it */

    for (size_t n = 0; n < whole; n++) {
        CLEANUP(free_ptr) char *text = sv_dup((struct sv){.at = matrix, .len = n});
        struct err err = {0};
        struct promread r;
        struct log log = {0};

        cr_assert_not(read_all(&r, &log, text, 0, &err), "%zu bytes", n);
        cr_assert_eq(err.kind, ERR_PROTOCOL, "%zu bytes: %s", n, err.text);
        strbuf_done(&log.text);
        promread_done(&r);
    }
}

#define RESULT(series) "{\"status\":\"success\",\"data\":{\"result\":[" series "]}}"

Test(promread, refuses_what_is_no_answer)
{
    static const char *const rows[] = {
        "<html>502</html>",
        "[]",
        "{}",
        "{\"status\":\"success\"}",
        "{\"status\":\"success\",\"data\":{}}",
        "{\"status\":\"success\",\"data\":null}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}}",
        "{\"status\":\"success\",\"data\":{\"result\":{}}}",
        "{\"status\":\"success\",,\"data\":{\"result\":[]}}",
        "{\"status\" \"success\",\"data\":{\"result\":[]}}",
        "{\"status\":\"success\",\"data\":{\"result\":[]}}}",
        "{\"status\":\"success\",\"data\":{\"result\":[],}}",
        RESULT("{\"metric\":{\"a\":1},\"value\":[1,\"2\"]}"),
        RESULT("{\"metric\":[],\"value\":[1,\"2\"]}"),
        RESULT("{\"metric\":{},\"value\":[1]}"),
        RESULT("{\"metric\":{},\"value\":[]}"),
        RESULT("{\"metric\":{},\"value\":[1,2]}"),
        RESULT("{\"metric\":{},\"value\":[\"1\",\"2\"]}"),
        RESULT("{\"metric\":{},\"value\":[1,\"2\",3]}"),
        RESULT("{\"metric\":{},\"value\":[1e99,\"2\"]}"),
        RESULT("{\"metric\":{},\"values\":[[1,\"2\"]"),
        RESULT("{\"metric\":{}} {\"metric\":{}}"),
        RESULT("{\"metric\" {}}"),
        RESULT("{\"metric\":{\"a\":\"\\u0000\"}}"),
        RESULT("{},"),
        RESULT("1"),
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};
        struct promread r;
        struct log log = {0};

        cr_assert_not(read_all(&r, &log, rows[i], 1 + i % 5, &err), "%s", rows[i]);
        cr_assert(err.kind == ERR_PROTOCOL || err.kind == ERR_SERVER, "%s: %s", rows[i], err.text);
        cr_assert_neq(err.text[0], '\0', "%s", rows[i]);
        strbuf_done(&log.text);
        promread_done(&r);
    }
}

Test(promread, ends_where_its_taker_refuses)
{
    struct err err = {0};
    struct promread r;
    struct log log = {.refuse_at = 1};

    cr_assert_not(read_all(&r, &log, matrix, 4, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    cr_assert_eq(err.code, 7);
    cr_assert_eq(log.n, 1);
    strbuf_done(&log.text);
    promread_done(&r);
}

Test(promread, one_series_has_a_largest_size)
{
    struct err err = {0};
    struct promread r;
    struct log log = {0};
    bool ok = true;

    promread_init(&r, note, &log);
    cr_assert(promread_push(&r, SV("{\"data\":{\"result\":[{\"values\":["), &err));
    for (int i = 0; i < PROMREAD_MAX_SERIES / 8 && ok; i++)
        ok = promread_push(&r, SV("[1,\"234\"],"), &err);
    cr_assert_not(ok);
    cr_assert_eq(err.kind, ERR_LIMIT);
    promread_done(&r);
}

Test(promread, numbers_are_rounded_and_what_is_none_is_refused)
{
    static const struct {
        const char *text;
        int digits;
        int64_t value; /* -1: none */
    } rows[] = {
        {"0.25", 3, 250},
        {"0.7999999999999999", 3, 800},
        {"0.30000000000000004", 3, 300},
        {"1.7e+09", 0, 1700000000},
        {"1e-3", 3, 1},
        {"1073741824", 0, 1073741824},
        {".5", 1, 5},
        {"NaN", 0, -1},
        {"+Inf", 0, -1},
        {"-Inf", 0, -1},
        {"", 0, -1},
        {"-", 0, -1},
        {".", 0, -1},
        {"1.2.3", 0, -1},
        {"1e", 0, -1},
        {"1e+", 0, -1},
        {"1e9999", 0, -1},
        {"1e300", 0, -1},
        {"922337203685477580.2", 0, 922337203685477580},
        {"922337203685477580.7", 0, -1},
        {"0x10", 0, -1},
        {"12 ", 0, -1},
        {"9223372036854775807", 3, -1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = -1;

        cr_assert_eq(promread_number(sv_from(rows[i].text), rows[i].digits, &value),
                     rows[i].value != -1, "%s", rows[i].text);
        cr_assert_eq(value, rows[i].value, "%s: %lld", rows[i].text, (long long)value);
    }
}
