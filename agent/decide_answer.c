#include "agent/decide_answer.h"

#include "base/jsonw.h"

void decide_seconds(int64_t us, struct strbuf *out)
{
    char text[32];
    size_t from = sizeof text;
    uint64_t whole = (uint64_t)us / US_PER_S, part = (uint64_t)us % US_PER_S;

    if (part != 0) {
        int digits = 6;

        for (; part % 10 == 0; digits--)
            part /= 10;
        for (; digits != 0; digits--, part /= 10)
            text[--from] = (char)('0' + part % 10);
        text[--from] = '.';
    }
    do
        text[--from] = (char)('0' + whole % 10);
    while ((whole /= 10) != 0);
    (void)strbuf_add(out, (struct sv){.at = text + from, .len = sizeof text - from});
}

static void seconds(struct jsonw *w, const char *key, int64_t us, struct strbuf *scratch)
{
    strbuf_clear(scratch);
    decide_seconds(us, scratch);
    jsonw_raw(w, key, strbuf_sv(scratch));
}

void decide_answer_print(const struct decide_answer *answer, struct strbuf *scratch,
                         struct strbuf *out)
{
    const struct decision *d = &answer->decision;
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    seconds(&w, "t", answer->t_us, scratch);
    jsonw_array(&w, "decisions");
    jsonw_object(&w, NULL);
    jsonw_str(&w, "policy", answer->policy);
    jsonw_i64(&w, "replicas", d->replicas);
    jsonw_cstr(&w, "reason", reason_name(d->reason));
    strbuf_clear(scratch);
    decision_text(d, answer->from, scratch);
    jsonw_str(&w, "detail", strbuf_sv(scratch));
    jsonw_array(&w, "delete_first");
    jsonw_end(&w);
    jsonw_array(&w, "admit");
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
    if (answer->has_wake)
        seconds(&w, "wake", answer->wake_us, scratch);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}
