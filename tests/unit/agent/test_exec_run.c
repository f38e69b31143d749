#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/exec_run.h"
#include "base/strbuf.h"

struct rig {
    struct loop *loop;
    struct loop_timer *watchdog, *at_once;
    struct exec_runner runner;
    int done, turns;
    struct err err;
    struct strbuf output;
};

static void on_done(void *self, struct sv output, const struct err *err)
{
    struct rig *r = self;

    r->done++;
    r->err = err != NULL ? *err : (struct err){0};
    (void)strbuf_add(&r->output, output);
    loop_stop(r->loop);
}

static void too_long(void *self UNUSED)
{
    cr_assert_fail("nothing happened for 30 s");
}

static void rig_init(struct rig *r)
{
    *r = (struct rig){.loop = loop_new()};
    r->runner = exec_runner_from_loop(r->loop);
    r->watchdog = loop_timer_new(r->loop, too_long, r);
    loop_timer_set(r->watchdog, 30 * US_PER_S);
    strbuf_init(&r->output, 2 << 20);
}

static void rig_done(struct rig *r)
{
    loop_timer_free(r->watchdog);
    loop_free(r->loop);
    strbuf_done(&r->output);
}

/* Runs a script to its end; false if it did not start. */
static bool run(struct rig *r, char *script, char **env)
{
    static char *none[] = {NULL};
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
    struct kube_exec plan = {.argv = argv, .env = env != NULL ? env : none};

    strbuf_clear(&r->output);
    r->done = 0;
    if (r->runner.start(r->runner.self, &plan, on_done, r, &r->err) == NULL)
        return false;
    cr_assert_eq(r->done, 0, "not from inside");
    loop_run(r->loop);
    cr_assert_eq(r->done, 1);
    return true;
}

Test(exec_run, hands_on_what_was_printed)
{
    struct rig r;

    rig_init(&r);
    cr_assert(run(&r, (char[]){"printf 'a\\nb'; sleep 0.05; printf c"}, NULL));
    cr_assert_eq(r.err.kind, ERR_NONE, "%s", r.err.text);
    cr_assert_str_eq(strbuf_str(&r.output), "a\nbc");
    cr_assert(run(&r, (char[]){"head -c 1048576 /dev/zero"}, NULL));
    cr_assert_eq(r.err.kind, ERR_NONE, "%s", r.err.text);
    cr_assert_eq(r.output.len, EXEC_MAX_OUTPUT);
    rig_done(&r);
}

Test(exec_run, puts_its_environment_over_the_agents)
{
    char *env[] = {(char[]){"BRIM_A=old"}, (char[]){"BRIM_A=new"}, (char[]){"BRIM_B=b c"}, NULL};
    struct rig r;

    rig_init(&r);
    (void)setenv("BRIM_A", "outer", 1);
    (void)setenv("BRIM_C", "kept", 1);
    cr_assert(run(&r, (char[]){"env | grep ^BRIM_ | sort"}, env));
    cr_assert_str_eq(strbuf_str(&r.output), "BRIM_A=new\nBRIM_B=b c\nBRIM_C=kept\n");
    rig_done(&r);
}

Test(exec_run, gives_neither_input_nor_open_files_nor_ignored_signals)
{
    struct rig r;
    int fd = dup(STDERR_FILENO);

    rig_init(&r);
    cr_assert_geq(fd, 3);
    (void)signal(SIGPIPE, SIG_IGN);
    cr_assert(run(&r,
                  (char[]){"cat; for fd in 0 1 2 3 4 5 6 7 8 9; do "
                           "[ ! -e /proc/$$/fd/$fd ] || printf '%s ' $fd; done"},
                  NULL));
    cr_assert_str_eq(strbuf_str(&r.output), "0 1 2 ");
    cr_assert(run(&r, (char[]){"kill -PIPE $$"}, NULL));
    cr_assert_str_eq(r.err.text, "exec plugin 'sh' was ended by signal 13");
    (void)signal(SIGPIPE, SIG_DFL);
    (void)close(fd);
    rig_done(&r);
}

Test(exec_run, says_how_it_failed)
{
    struct rig r;

    rig_init(&r);
    cr_assert(run(&r, (char[]){"echo x; exit 3"}, NULL));
    cr_assert_eq(r.err.kind, ERR_AUTH);
    cr_assert_str_eq(r.err.text, "exec plugin 'sh' failed with exit code 3");
    cr_assert(run(&r, (char[]){"kill -9 $$"}, NULL));
    cr_assert_str_eq(r.err.text, "exec plugin 'sh' was ended by signal 9");
    rig_done(&r);
}

Test(exec_run, names_what_to_install)
{
    char *none[] = {NULL}, *argv[] = {(char[]){"brim-no-such-program"}, NULL};
    struct kube_exec plan = {.argv = argv, .env = none};
    struct rig r;

    rig_init(&r);
    cr_assert_null(r.runner.start(r.runner.self, &plan, on_done, &r, &r.err));
    cr_assert_str_eq(r.err.text, "exec plugin 'brim-no-such-program' was not found");
    plan.install_hint = (char[]){"get it at example.com"};
    cr_assert_null(r.runner.start(r.runner.self, &plan, on_done, &r, &r.err));
    cr_assert_str_eq(r.err.text,
                     "exec plugin 'brim-no-such-program' was not found: get it at example.com");
    argv[0] = (char[]){"/etc/passwd"};
    cr_assert_null(r.runner.start(r.runner.self, &plan, on_done, &r, &r.err));
    cr_assert_str_eq(r.err.text, "exec plugin '/etc/passwd' cannot be run: Permission denied");
    cr_assert_eq(r.done, 0);
    rig_done(&r);
}

/* The process whose number a script wrote down. */
static pid_t pid_in(const char *path)
{
    FILE *f = fopen(path, "r");
    int pid = 0;

    cr_assert_not_null(f);
    cr_assert_eq(fscanf(f, "%d", &pid), 1);
    cr_assert_eq(fclose(f), 0);
    return pid;
}

/* A zombie is one: nobody else in this process group waits for orphans. */
static bool is_gone(pid_t pid)
{
    char path[64], line[256] = "";
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (f == NULL)
        return true;
    (void)!fgets(line, sizeof line, f);
    cr_assert_eq(fclose(f), 0);
    return strstr(line, ") Z ") != NULL || line[0] == '\0';
}

static void await_gone(pid_t pid)
{
    for (int i = 0; i < 3000 && !is_gone(pid); i++)
        (void)usleep(10000);
    cr_assert(is_gone(pid));
}

static char dir[] = "/tmp/brim-exec-XXXXXX";

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
}

static void remove_dir(void)
{
    char command[64];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(exec_group, .init = make_dir, .fini = remove_dir);

Test(exec_group, is_killed_when_it_prints_too_much)
{
    struct rig r;

    rig_init(&r);
    cr_assert(run(&r, (char[]){"sleep 1000 & echo $! >child; yes"}, NULL));
    cr_assert_str_eq(r.err.text, "exec plugin 'sh' printed more than 1048576 bytes");
    await_gone(pid_in("child"));
    rig_done(&r);
}

Test(exec_group, does_not_wait_for_what_it_leaves_behind)
{
    struct rig r;
    pid_t left;

    rig_init(&r);
    cr_assert(run(&r, (char[]){"sleep 1000 & echo $! >child; echo done"}, NULL));
    cr_assert_eq(r.err.kind, ERR_NONE, "%s", r.err.text);
    cr_assert_str_eq(strbuf_str(&r.output), "done\n");
    left = pid_in("child");
    cr_assert_not(is_gone(left), "an agent of its own is its own business");
    cr_assert_eq(kill(left, SIGKILL), 0);
    rig_done(&r);
}

static void stop(void *self)
{
    struct rig *r = self;

    if (access("child", R_OK) == 0 && ++r->turns > 1)
        loop_stop(r->loop);
    loop_timer_set(r->at_once, 10000);
}

Test(exec_group, is_killed_when_nobody_wants_it_any_more)
{
    char *none[] = {NULL};
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
                    (char[]){"sleep 1000 & echo $! >new; mv new child; wait"}, NULL};
    struct kube_exec plan = {.argv = argv, .env = none};
    struct rig r;
    struct exec_run *it;

    rig_init(&r);
    it = r.runner.start(r.runner.self, &plan, on_done, &r, &r.err);
    cr_assert_not_null(it, "%s", r.err.text);
    r.at_once = loop_timer_new(r.loop, stop, &r);
    loop_timer_set(r.at_once, 0);
    loop_run(r.loop);
    r.runner.cancel(it);
    await_gone(pid_in("child"));
    cr_assert_eq(r.done, 0);
    loop_timer_free(r.at_once);
    rig_done(&r);
}
