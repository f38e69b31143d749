/*
 * Answers of Prometheus to the questions about pods and nodes: each is read whole and in pieces, which must come to the same, and taken into a
 * trace of an hour.
 */
#include <ctype.h>
#include <stdlib.h>

#include "agent/prom/ksm.h"
#include "base/alloc.h"
#include "tests/fuzz/check_trace.h"
#include "tests/fuzz/fuzz.h"

#define SINCE_MS (INT64_C(1700000000) * 1000)
#define HOUR_MS  (INT64_C(3600) * 1000)

enum { EVERY_MS = 30000, DIGITS = 3, WINDOW = 0x80, NAMES_MAX = 100, MAX_PIECE = 16 };

/* What came of one answer. */
struct read {
    struct ksm *ksm; /* NULL: the series go nowhere */
    enum ksm_fact fact;
    uint64_t hash, n_series;
    bool ok;
};

static void mix(struct read *r, struct sv text)
{
    r->hash = (r->hash ^ sv_hash(text)) * UINT64_C(0x9e3779b97f4a7c15) + text.len;
}

static bool take(void *self, const struct promread_series *s, struct err *err)
{
    struct read *r = self;

    for (size_t i = 0; i < s->n_labels; i++) {
        mix(r, s->labels[i].name);
        mix(r, s->labels[i].value);
    }
    for (size_t i = 0; i < s->n_points; i++) {
        int64_t number;

        r->hash += (uint64_t)s->points[i].t_ms;
        mix(r, s->points[i].value);
        if (promread_number(s->points[i].value, DIGITS, &number))
            r->hash += (uint64_t)number;
    }
    r->n_series++;
    return r->ksm == NULL || ksm_take(r->ksm, r->fact, s, err);
}

static void check_text(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    if (len == size)
        abort();
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            abort();
    }
}

/* Piece by piece; each ends where what is its own ends, so that reading behind it shows. */
static bool push_pieces(struct promread *r, struct sv text, size_t piece, struct err *err)
{
    char *own = xmalloc(MAX_PIECE);
    bool ok = true;

    while (ok && text.len != 0) {
        size_t len = piece < text.len ? piece : text.len;
        char *at = own + MAX_PIECE - len;

        memcpy(at, text.at, len);
        ok = promread_push(r, (struct sv){.at = at, .len = len}, err);
        text = sv_skip(text, len);
    }
    free(own);
    return ok;
}

/* In one, so that reading behind it shows. */
static bool push_whole(struct promread *r, struct sv text, struct err *err)
{
    char *own = xmalloc(text.len);
    bool ok;

    memcpy(own, text.at, text.len);
    ok = promread_push(r, (struct sv){.at = own, .len = text.len}, err);
    free(own);
    return ok;
}

/* In pieces of so many bytes; 0: whole. */
static void read_answer(struct read *to, struct sv text, size_t piece)
{
    struct err err = {0};
    struct promread r;

    promread_init(&r, take, to);
    to->ok = (piece == 0 ? push_whole(&r, text, &err) : push_pieces(&r, text, piece, &err)) &&
             promread_end(&r, &err);
    if (!to->ok && (err.kind == ERR_NONE || err.text[0] == '\0'))
        abort();
    check_text(r.error_type, sizeof r.error_type);
    check_text(r.error, sizeof r.error);
    check_text(r.warning, sizeof r.warning);
    promread_done(&r);
}

static void read_both_ways(struct ksm *k, enum ksm_fact fact, struct sv text, size_t piece)
{
    struct read whole = {.ksm = k, .fact = fact}, pieces = {0};

    read_answer(&whole, text, 0);
    read_answer(&pieces, text, piece);
    if (whole.ok != pieces.ok || whole.hash != pieces.hash || whole.n_series != pieces.n_series)
        fuzz_fail("in pieces the answer is another one");
}

/* What stands in the next question, as a regular expression: uids or nodes' names, and '|', no more of them than were told. */
static void check_names(struct ksm *k, enum ksm_fact fact, size_t most)
{
    struct strbuf text;

    strbuf_init(&text, NAMES_MAX);
    for (; ksm_names(k, fact, NAMES_MAX, &text); most -= text.len) {
        if (text.len == 0 || text.len > most)
            fuzz_fail("more names than were told");
        for (size_t i = 0; i < text.len; i++) {
            if (memchr("|-.", text.at[i], 3) == NULL && !isalnum((unsigned char)text.at[i]))
                fuzz_fail("a name that means something in a regular expression");
        }
        strbuf_clear(&text);
    }
    strbuf_done(&text);
}

static void make_trace(struct ksm *k)
{
    struct ksm_seen seen;
    struct trace t;
    struct err err = {0};

    trace_init(&t);
    if (ksm_trace(k, &t, &seen, &err)) {
        check_trace(&t);
        if (seen.pods != t.n_pods || seen.once > seen.pods || seen.vanished > seen.pods ||
            seen.began.us > seen.ended.us)
            fuzz_fail("what was seen is more than there is");
    } else if (err.kind == ERR_NONE || err.text[0] == '\0') {
        abort();
    }
    trace_done(&t);
}

/* A byte for the size of the pieces; then answers, each behind a byte for the question ('a': the first of enum ksm_fact; from WINDOW on
 * a new window begins) and ended by a NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ksm_target target = {SV("filler"), SV("Deployment"), SV("miner")};
    struct sv rest = {.at = (const char *)data, .len = size}, answer;
    struct ksm *k = ksm_new(SINCE_MS, SINCE_MS + HOUR_MS, EVERY_MS, &target, 1);
    size_t piece = size != 0 ? 1 + data[0] % MAX_PIECE : 1;

    rest = sv_skip(rest, 1);
    while (sv_next(&rest, '\0', &answer)) {
        unsigned question = answer.len != 0 ? (unsigned char)answer.at[0] : 'a';

        if (question >= WINDOW)
            ksm_window(k, SINCE_MS + HOUR_MS / 2, 2 * EVERY_MS);
        read_both_ways(k, (question - 'a') % WINDOW % KSM_FACT_COUNT_, sv_skip(answer, 1), piece);
    }
    check_names(k, KSM_POD_LAST, size);
    check_names(k, KSM_POD_PHASES, size);
    make_trace(k);
    ksm_free(k);
    return 0;
}
