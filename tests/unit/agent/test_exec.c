#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/kube/exec.h"
#include "base/alloc.h"
#include "tests/unit/agent/fake_kube.h"

#define START_S 1000

/* A program that ends when the test says so. */
struct exec_run {
    struct rig *rig;
    exec_done_fn *fn;
    void *self;
};

struct rig {
    struct fake fake;
    struct timers timers;
    struct kube_exec plan;
    struct kube_config config;
    struct exec *exec;
    struct exec_run *run; /* NULL: none */
    int runs, cancelled, told, rotations;
    bool broken; /* it cannot be started */
};

static struct exec_run *start(void *self, const struct kube_exec *plan, exec_done_fn *fn,
                              void *fn_self, struct err *err)
{
    struct rig *r = self;

    r->runs++;
    cr_assert_null(r->run, "one at a time");
    cr_assert_eq(plan, r->config.exec);
    if (r->broken) {
        (void)err_set(err, ERR_AUTH, 0, "not found");
        return NULL;
    }
    r->run = xcalloc(1, sizeof *r->run);
    *r->run = (struct exec_run){.rig = r, .fn = fn, .self = fn_self};
    return r->run;
}

static void cancel(struct exec_run *run)
{
    run->rig->cancelled++;
    run->rig->run = NULL;
    free(run);
}

static void told(void *self, bool new_certificate)
{
    struct rig *r = self;

    r->told++;
    r->rotations += new_certificate;
}

static void rig_init(struct rig *r)
{
    static char version[] = KUBE_EXEC_V1, name[] = "login";
    static char *argv[] = {name, NULL}, *env[] = {NULL};
    struct exec_runner runner = {.start = start, .cancel = cancel, .self = r};

    *r = (struct rig){.plan = {.api_version = version, .argv = argv, .env = env}};
    r->config.exec = &r->plan;
    fake_init(&r->fake);
    r->fake.wall.us = START_S * US_PER_S;
    r->timers = fake_timers(&r->fake);
    r->exec = exec_new(&r->config, &runner, &r->timers, told, r);
}

static void rig_done(struct rig *r)
{
    exec_free(r->exec);
    free(r->config.token);
    strbuf_done(&r->config.cert_pem);
    strbuf_done(&r->config.key_pem);
    fake_done(&r->fake);
}

static void end(struct rig *r, const char *output, const struct err *err)
{
    struct exec_run *run = r->run;

    cr_assert_not_null(run);
    r->run = NULL;
    run->fn(run->self, sv_from(output), err);
    free(run);
}

/* It gives a token that lasts so many seconds; 0: for ever. */
static void give(struct rig *r, const char *token, int seconds)
{
    struct wall until = {.us = r->fake.wall.us + seconds * US_PER_S};
    char when[WALL_TEXT_SIZE], text[512];

    wall_format(until, 6, when);
    (void)snprintf(text, sizeof text,
                   "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" KUBE_EXEC_V1
                   "\",\"status\":{\"token\":\"%s\",\"expirationTimestamp\":%s%s%s}}",
                   token, seconds != 0 ? "\"" : "", seconds != 0 ? when : "null",
                   seconds != 0 ? "\"" : "");
    end(r, text, NULL);
}

static void give_certificate(struct rig *r, const char *name)
{
    char text[512];

    (void)snprintf(
        text, sizeof text,
        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" KUBE_EXEC_V1
        "\",\"status\":{\"clientCertificateData\":\"-----BEGIN %s-----\\n-----END X-----\\n\","
        "\"clientKeyData\":\"-----BEGIN K-----\\n-----END K-----\\n\"}}",
        name);
    end(r, text, NULL);
}

static enum exec_state ask(struct rig *r)
{
    return exec_ask(r->exec, 0, NULL);
}

Test(exec, runs_once_for_all_who_ask)
{
    struct rig r;

    rig_init(&r);
    cr_assert_eq(ask(&r), EXEC_WAIT);
    cr_assert_eq(ask(&r), EXEC_WAIT);
    cr_assert_eq(r.runs, 1);
    cr_assert_eq(exec_generation(r.exec), 0);
    give(&r, "one", 0);
    cr_assert_eq(r.told, 1);
    cr_assert_eq(ask(&r), EXEC_READY);
    cr_assert_str_eq(r.config.token, "one");
    cr_assert_eq(exec_generation(r.exec), 1);
    fake_advance(&r.fake, 365 * 86400 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_READY);
    cr_assert_eq(r.runs, 1, "what has no end is kept until it is refused");
    rig_done(&r);
}

Test(exec, runs_early_while_the_old_token_still_holds)
{
    struct rig r;

    rig_init(&r);
    (void)ask(&r);
    give(&r, "one", 900);
    fake_advance(&r.fake, 839 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_READY);
    cr_assert_eq(r.runs, 1);
    fake_advance(&r.fake, 1 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_READY, "nobody waits");
    cr_assert_eq(r.runs, 2);
    fake_advance(&r.fake, 59 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_READY);
    fake_advance(&r.fake, 1 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_WAIT, "now it is over");
    give(&r, "two", 20);
    cr_assert_eq(ask(&r), EXEC_READY);
    cr_assert_str_eq(r.config.token, "two");
    fake_advance(&r.fake, 14 * US_PER_S);
    (void)ask(&r);
    cr_assert_eq(r.runs, 2);
    fake_advance(&r.fake, 1 * US_PER_S);
    (void)ask(&r);
    cr_assert_eq(r.runs, 3, "the last quarter of a short life");
    rig_done(&r);
    cr_assert_eq(r.cancelled, 1);
}

Test(exec, runs_again_when_the_server_refused)
{
    struct rig r;
    struct err err = {0};

    rig_init(&r);
    (void)ask(&r);
    give(&r, "one", 0);
    cr_assert_eq(exec_ask(r.exec, 1, &err), EXEC_REFUSED, "it has just been run");
    fake_advance(&r.fake, EXEC_GAP_US);
    cr_assert_eq(exec_ask(r.exec, 1, &err), EXEC_WAIT);
    cr_assert_eq(ask(&r), EXEC_READY, "others go on");
    cr_assert_eq(r.runs, 2);
    give(&r, "two", 0);
    cr_assert_eq(exec_ask(r.exec, 1, &err), EXEC_READY);
    cr_assert_eq(exec_ask(r.exec, 2, &err), EXEC_REFUSED);
    cr_assert_eq(r.runs, 2);
    rig_done(&r);
}

Test(exec, tells_of_failures_and_pauses_longer_each_time)
{
    static const int pauses_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct err wrong = {.kind = ERR_AUTH, .text = "no network"}, err = {0};
    struct rig r;

    rig_init(&r);
    for (size_t i = 0; i < COUNT_OF(pauses_s); i++) {
        cr_assert_eq(ask(&r), EXEC_WAIT);
        end(&r, "", &wrong);
        cr_assert_eq(exec_ask(r.exec, 0, &err), EXEC_FAILED);
        cr_assert_str_eq(err.text, "no network");
        fake_advance(&r.fake, pauses_s[i] * US_PER_S - 1);
        cr_assert_eq(exec_ask(r.exec, 0, &err), EXEC_FAILED, "pause %zu", i);
        fake_advance(&r.fake, 1);
    }
    cr_assert_eq(ask(&r), EXEC_WAIT);
    give(&r, "one", 900);
    cr_assert_eq(ask(&r), EXEC_READY);

    fake_advance(&r.fake, 890 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_READY);
    end(&r, "garbage", NULL);
    cr_assert_eq(ask(&r), EXEC_READY, "the old one holds for 10 s");
    fake_advance(&r.fake, 10 * US_PER_S);
    cr_assert_eq(ask(&r), EXEC_WAIT);
    end(&r, "garbage", NULL);
    cr_assert_eq(exec_ask(r.exec, 0, &err), EXEC_FAILED);
    cr_assert_str_eq(err.text, "exec plugin 'login': its answer is no JSON object");
    rig_done(&r);
}

Test(exec, tells_what_cannot_be_started)
{
    struct rig r;
    struct err err = {0};

    rig_init(&r);
    r.broken = true;
    cr_assert_eq(exec_ask(r.exec, 0, &err), EXEC_FAILED);
    cr_assert_str_eq(err.text, "not found");
    cr_assert_eq(r.told, 0, "nobody is told from inside");
    (void)ask(&r);
    cr_assert_eq(r.runs, 1);
    rig_done(&r);
}

Test(exec, leaves_credentials_that_came_too_late_to_the_server)
{
    struct rig r;

    rig_init(&r);
    (void)ask(&r);
    give(&r, "old", -5);
    cr_assert_eq(ask(&r), EXEC_READY, "one of two clocks is wrong");
    cr_assert_eq(r.runs, 1);
    fake_advance(&r.fake, EXEC_GAP_US);
    cr_assert_eq(ask(&r), EXEC_WAIT);
    give(&r, "new", 3600);
    r.fake.wall.us -= 3600 * US_PER_S;
    cr_assert_eq(ask(&r), EXEC_READY, "a clock that was set back");
    r.fake.wall.us += 2 * 3600 * US_PER_S;
    fake_advance(&r.fake, EXEC_GAP_US);
    cr_assert_eq(ask(&r), EXEC_WAIT, "and forth");
    rig_done(&r);
}

Test(exec, tells_of_a_certificate_that_replaces_another)
{
    struct rig r;

    rig_init(&r);
    (void)ask(&r);
    give_certificate(&r, "X");
    cr_assert_eq(r.rotations, 0, "the first");
    for (int i = 0; i < 2; i++) {
        fake_advance(&r.fake, EXEC_GAP_US);
        (void)exec_ask(r.exec, exec_generation(r.exec), NULL);
        give_certificate(&r, i == 0 ? "X" : "Y");
        cr_assert_eq(r.rotations, i, "the same is none");
    }
    fake_advance(&r.fake, EXEC_GAP_US);
    (void)exec_ask(r.exec, exec_generation(r.exec), NULL);
    give(&r, "token", 0);
    cr_assert_eq(r.rotations, 2);
    cr_assert_eq(r.config.cert_pem.len, 0);
    rig_done(&r);
}
