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

static void admissions(struct jsonw *w, const struct decide *d, const struct placement_plan *plan)
{
    jsonw_array(w, "admit");
    for (size_t i = 0; plan != NULL && i < plan->n_admit; i++) {
        jsonw_array(w, NULL);
        jsonw_str(w, NULL, plan->admit[i].name);
        jsonw_str(w, NULL, decide_node(d, plan->admit[i].node));
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* Pods whose cost says that they go first; those that are set back to 0 are not. */
static void deletions(struct jsonw *w, const struct placement_plan *plan)
{
    jsonw_array(w, "delete_first");
    for (size_t i = 0; plan != NULL && i < plan->n_costs; i++) {
        if (plan->costs[i].cost < 0)
            jsonw_str(w, NULL, plan->costs[i].name);
    }
    jsonw_end(w);
}

static void one(struct jsonw *w, const struct decide *d, const struct decide_answer *answer,
                struct strbuf *scratch)
{
    const struct decision *decision = &answer->plan->decision;

    jsonw_object(w, NULL);
    jsonw_str(w, "policy", answer->policy);
    jsonw_i64(w, "replicas", decision->replicas);
    jsonw_cstr(w, "reason", reason_name(decision->reason));
    strbuf_clear(scratch);
    decision_text(decision, answer->from, scratch);
    jsonw_str(w, "detail", strbuf_sv(scratch));
    deletions(w, answer->plan->placement);
    admissions(w, d, answer->plan->placement);
    jsonw_end(w);
}

void decide_answer_print(const struct decide *d, const struct decide_answer *answers, size_t n,
                         struct strbuf *scratch, struct strbuf *out)
{
    int64_t wake_us;
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    seconds(&w, "t", answers[0].t_us, scratch);
    jsonw_array(&w, "decisions");
    for (size_t i = 0; i < n; i++)
        one(&w, d, &answers[i], scratch);
    jsonw_end(&w);
    if (decide_wake(d, &wake_us))
        seconds(&w, "wake", wake_us, scratch);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}
