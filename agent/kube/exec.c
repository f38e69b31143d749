#include "agent/kube/exec.h"

#include <stdlib.h>
#include <string.h>

#include "agent/kube/exec_answer.h"
#include "base/alloc.h"

struct exec {
    struct kube_config *config;
    struct exec_runner runner;
    const struct timers *timers;
    exec_told_fn *told;
    void *told_self;

    struct exec_run *run; /* NULL: none */
    uint64_t generation;
    bool expires;
    struct wall got_at, expires_at; /* of the credentials */
    struct mono ended;              /* the last run, if `ran` */
    bool ran;
    int failures; /* in a row */
    struct err failure;
};

/* ---- when ---- */

static bool has_expired(const struct exec *e, struct wall now)
{
    return e->expires && now.us >= e->expires_at.us;
}

static bool expires_soon(const struct exec *e, struct wall now)
{
    int64_t early_us = (e->expires_at.us - e->got_at.us) / 4;

    if (early_us > EXEC_EARLY_US)
        early_us = EXEC_EARLY_US;
    return e->expires && now.us >= e->expires_at.us - early_us;
}

static int64_t pause_us(const struct exec *e)
{
    int64_t us = EXEC_PAUSE_US;

    if (e->failures == 0)
        return EXEC_GAP_US;
    for (int i = 1; i < e->failures && us < EXEC_PAUSE_MAX_US; i++)
        us *= 2;
    return us < EXEC_PAUSE_MAX_US ? us : EXEC_PAUSE_MAX_US;
}

static bool may_run(const struct exec *e, struct mono now)
{
    return e->run == NULL && (!e->ran || mono_since_us(e->ended, now) >= pause_us(e));
}

/* ---- runs ---- */

static void failed(struct exec *e, const struct err *err)
{
    e->failures++;
    e->failure = *err;
}

static void replace(struct strbuf *to, struct strbuf *from)
{
    strbuf_done(to);
    *to = *from;
    *from = (struct strbuf){0};
}

/* Takes over what was answered; true if there was a certificate, and it is another now. */
static bool take(struct exec *e, struct exec_answer *answer)
{
    struct kube_config *c = e->config;
    bool rotated =
        c->cert_pem.len != 0 && !(sv_eq(strbuf_sv(&c->cert_pem), strbuf_sv(&answer->cert_pem)) &&
                                  sv_eq(strbuf_sv(&c->key_pem), strbuf_sv(&answer->key_pem)));

    free(c->token);
    c->token = TAKE(answer->token);
    replace(&c->cert_pem, &answer->cert_pem);
    replace(&c->key_pem, &answer->key_pem);
    e->generation++;
    e->failures = 0;
    e->expires = answer->expires;
    e->expires_at = answer->expires_at;
    e->got_at = e->timers->wall(e->timers->self);
    return rotated;
}

static void on_done(void *self, struct sv output, const struct err *err)
{
    struct exec *e = self;
    struct exec_answer answer;
    struct err wrong = {0};
    bool rotated = false;

    e->run = NULL;
    e->ran = true;
    e->ended = e->timers->now(e->timers->self);
    if (err != NULL) {
        failed(e, err);
    } else if (!exec_answer_parse(output, e->config->exec->api_version, &answer, &wrong)) {
        (void)err_wrap(&wrong, "exec plugin '%s'", e->config->exec->argv[0]);
        failed(e, &wrong);
    } else {
        rotated = take(e, &answer);
        exec_answer_done(&answer);
    }
    e->told(e->told_self, rotated);
}

static void run(struct exec *e)
{
    struct err err = {0};

    e->run = e->runner.start(e->runner.self, e->config->exec, on_done, e, &err);
    if (e->run != NULL)
        return;
    e->ran = true;
    e->ended = e->timers->now(e->timers->self);
    failed(e, &err);
}

/* ---- public ---- */

struct exec *exec_new(struct kube_config *config, const struct exec_runner *runner,
                      const struct timers *timers, exec_told_fn *fn, void *self)
{
    struct exec *e = xcalloc(1, sizeof *e);

    *e = (struct exec){
        .config = config, .runner = *runner, .timers = timers, .told = fn, .told_self = self};
    return e;
}

void exec_free(struct exec *e)
{
    if (e == NULL)
        return;
    if (e->run != NULL)
        e->runner.cancel(e->run);
    free(e);
}

uint64_t exec_generation(const struct exec *e)
{
    return e->generation;
}

enum exec_state exec_ask(struct exec *e, uint64_t newer_than, struct err *err)
{
    struct wall wall = e->timers->wall(e->timers->self);
    bool newer = e->generation > newer_than;
    bool usable = newer && !has_expired(e, wall);

    if ((!usable || expires_soon(e, wall)) && may_run(e, e->timers->now(e->timers->self)))
        run(e);
    if (usable)
        return EXEC_READY;
    if (e->run != NULL)
        return EXEC_WAIT;
    if (e->failures != 0) {
        if (err != NULL)
            *err = e->failure;
        return EXEC_FAILED;
    }
    /* Fresh, and yet past their time or refused: whose clock is wrong is for the server to tell. */
    return newer ? EXEC_READY : EXEC_REFUSED;
}
