#include <stdlib.h>

#include "agent/kube/access.h"
#include "agent/kube/pod_patch.h"
#include "agent/kube/scale.h"
#include "agent/kube/template.h"
#include "agent/kube/version.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

enum { MAX_STEPS = 100 };

/* How often each question was answered. */
struct seen {
    int scales, versions, rights, patches;
};

static void check_problem(const struct client_problem *p)
{
    if (p->err.kind == ERR_NONE || p->err.text[0] == '\0')
        abort();
}

static void on_scale(void *self, const struct scale_result *r)
{
    struct seen *seen = self;
    volatile uint64_t sum = sv_hash(r->uid) + sv_hash(r->owner) + sv_hash(r->scale.rests) +
                            sv_hash(r->scale.selector) + sv_hash(r->scale.uid) +
                            sv_hash(r->resource_version);

    (void)sum;
    seen->scales++;
    if (r->problem != NULL)
        check_problem(r->problem);
    else if (r->scale.replicas < 0 || r->scale.replicas > INT32_MAX || r->scale.status_replicas < 0)
        abort();
    if (r->problem == NULL && r->pod_json.len != 0)
        (void)fuzz_decode(DECODE_JSON, r->pod_json);
}

static void on_version(void *self, const struct kube_version *version, const struct err *problem)
{
    struct seen *seen = self;
    struct podreq_rules rules;
    struct err err = {0};

    seen->versions++;
    if ((version == NULL) == (problem == NULL))
        abort();
    if (version != NULL && (memchr(version->release, '\0', sizeof version->release) == NULL ||
                            memchr(version->git, '\0', sizeof version->git) == NULL))
        abort();
    /* Digits and a dot: a release that is not known is no error of the text. */
    if (version != NULL && !podreq_rules_for(sv_from(version->release), &rules, &err) &&
        err.text[0] == '\0')
        abort();
}

static void on_right(void *self, bool allowed, const struct err *err)
{
    struct seen *seen = self;

    seen->rights++;
    if (err != NULL && (allowed || err->kind == ERR_NONE))
        abort();
}

static void on_patch(void *self, const struct pod_patch_result *r)
{
    struct seen *seen = self;

    seen->patches++;
    if (r->outcome >= POD_PATCH_OUTCOME_COUNT_ ||
        (r->outcome == POD_PATCH_DONE) != (r->err == NULL))
        abort();
}

/* Plays until all is answered; false where it was not within MAX_STEPS, which an endless list may cause. */
static bool play(struct script *s)
{
    for (int i = 0; i < MAX_STEPS; i++) {
        if (!script_play(s))
            return s->transfers == NULL;
    }
    return false;
}

/* A kind that is known, one that must be asked for, and one whose count is its own. */
static void ask_scale(struct script *s, uint8_t which, struct seen *seen)
{
    static const struct target targets[] = {
        {"apps/v1", "Deployment", "filler", "miner"},
        {"x.dev/v1", "Runner", "filler", "miner"},
        {"batch/v1", "Job", "filler", "miner"},
    };
    bool is_job = (which & 7) == 7;
    struct scaler *scaler = scaler_new(s->client, &targets[is_job ? 2 : (which & 8) != 0 ? 1 : 0]);
    bool all;

    switch (which & 7) {
    case 0:
        (void)scale_get(scaler, on_scale, seen);
        break;
    case 1:
        (void)scale_patch_yield(scaler, SV("u"), 3, on_scale, seen);
        break;
    case 2:
        (void)scale_patch_grow(scaler, SV("u"), (which & 16) != 0 ? 0 : 3, 7, on_scale, seen);
        break;
    case 3:
        (void)scale_patch_pause(scaler, SCALE_PAUSE_UP, (which & 16) != 0, on_scale, seen);
        break;
    case 4:
        (void)scale_find_owner(scaler, on_scale, seen);
        break;
    case 7:
        if ((which & 8) != 0)
            (void)scale_patch_grow(scaler, SV("u"), 0, 7, on_scale, seen);
        else
            (void)scale_get(scaler, on_scale, seen);
        break;
    default:
        (void)scale_template(scaler, on_scale, seen);
        break;
    }
    all = play(s);
    if (seen->scales > 1 || (all && seen->scales != 1))
        abort();
    scaler_free(scaler);
}

static void ask_right(struct script *s, struct seen *seen)
{
    const struct access_right right = access_right_to_patch_pods("filler");
    struct access_question *question = access_ask(s->client, &right, on_right, seen);

    if (!play(s))
        access_cancel(question);
    else if (seen->rights != 1)
        abort();
}

/* A let-in whose rules are not known reads the pod first; so does one that the server refuses. */
static void patch_pods(struct script *s, uint8_t which, struct seen *seen)
{
    const struct pod_rules none = {0};
    const struct pod_patch_pod pod = {.name = SV("p1"),
                                      .uid = uid_parse(SV("11111111-2222-3333-4444-555555555555")),
                                      .rules = (which & 8) != 0 ? &none : NULL};
    struct pod_patcher *patcher = pod_patcher_new(s->client, "filler");
    bool all;

    (void)pod_patch_let_in(patcher, &pod, SV("n1"), on_patch, seen);
    (void)pod_patch_cost(patcher, &pod, -1, on_patch, seen);
    all = play(s);
    if (seen->patches > 2 || (all && seen->patches != 2))
        abort();
    pod_patcher_free(patcher);
}

static void make_template(struct sv text)
{
    struct strbuf pod;
    struct err err = {0};

    strbuf_init(&pod, TEMPLATE_MAX_POD);
    if (template_pod(text, &pod, &err))
        (void)fuzz_decode(DECODE_JSON, strbuf_sv(&pod));
    else if (err.kind != ERR_INPUT && err.kind != ERR_NOT_FOUND && err.kind != ERR_LIMIT)
        abort();
    strbuf_clear(&pod);
    if (template_defaults(text, &pod, NULL)) {
        struct strbuf again;

        /* Limits that were made requests are there. */
        strbuf_init(&again, TEMPLATE_MAX_POD);
        if (!template_defaults(strbuf_sv(&pod), &again, NULL) ||
            !sv_eq(strbuf_sv(&pod), strbuf_sv(&again)))
            abort();
        strbuf_done(&again);
    }
    strbuf_done(&pod);
}

/* The first byte says what is asked, the others what the server answers (script.h). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {0};
    struct script s;
    struct kube_version_question *question;
    uint8_t which;

    script_init(&s, (struct sv){.at = (const char *)data, .len = size});
    which = script_byte(&s);
    switch (which >> 5) {
    case 0:
        question = kube_version_ask(s.client, on_version, &seen);
        if (play(&s) && seen.versions != 1)
            abort();
        if (seen.versions == 0)
            kube_version_cancel(question);
        break;
    case 1:
        ask_right(&s, &seen);
        break;
    case 2:
        patch_pods(&s, which, &seen);
        break;
    case 3:
        make_template(s.bytes);
        break;
    default:
        ask_scale(&s, which, &seen);
        break;
    }
    script_done(&s);
    return 0;
}
