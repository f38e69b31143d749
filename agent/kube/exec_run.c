#include "agent/kube/exec_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"

enum { READ_SIZE = 4096 };

/* Why it was killed. */
enum verdict { VERDICT_NONE, VERDICT_TIME, VERDICT_OUTPUT };

struct exec_run {
    const struct kube_exec *exec;
    exec_done_fn *fn;
    void *fn_self;
    pid_t pid;
    int out_fd, pid_fd;
    struct loop_io *out, *end;
    struct loop_timer *limit;
    struct strbuf output;
    enum verdict verdict;
};

static void run_free(struct exec_run *run)
{
    loop_io_free(run->out);
    loop_io_free(run->end);
    loop_timer_free(run->limit);
    if (run->out_fd >= 0)
        (void)close(run->out_fd);
    if (run->pid_fd >= 0)
        (void)close(run->pid_fd);
    strbuf_done(&run->output);
    free(run);
}

/* ---- its end ---- */

/* Its children may hold the pipe open: they go with it. Its number is its own until it was waited for. */
static void kill_group(const struct exec_run *run)
{
    (void)kill(-run->pid, SIGKILL);
}

static void kill_for(struct exec_run *run, enum verdict verdict)
{
    if (run->verdict != VERDICT_NONE)
        return;
    run->verdict = verdict;
    loop_io_set(run->out, false, false);
    kill_group(run);
}

/* True if it ended well. */
static bool judge(const struct exec_run *run, int status, struct err *err)
{
    const char *name = run->exec->argv[0];

    switch (run->verdict) {
    case VERDICT_TIME:
        return err_set(err, ERR_AUTH, 0, "exec plugin '%s' did not end within %d s", name,
                       (int)(EXEC_TIME_US / US_PER_S));
    case VERDICT_OUTPUT:
        return err_set(err, ERR_AUTH, 0, "exec plugin '%s' printed more than %d bytes", name,
                       EXEC_MAX_OUTPUT);
    case VERDICT_NONE:
        break;
    }
    if (WIFSIGNALED(status))
        return err_set(err, ERR_AUTH, 0, "exec plugin '%s' was ended by signal %d", name,
                       WTERMSIG(status));
    return WEXITSTATUS(status) == 0 ||
           err_set(err, ERR_AUTH, 0, "exec plugin '%s' failed with exit code %d", name,
                   WEXITSTATUS(status));
}

/* Reads what is there. */
static void read_output(struct exec_run *run)
{
    while (run->verdict == VERDICT_NONE) {
        size_t left = EXEC_MAX_OUTPUT + 1 - run->output.len;
        size_t want = left < READ_SIZE ? left : READ_SIZE;
        ssize_t got = read(run->out_fd, strbuf_room(&run->output, want), want);

        if (got > 0)
            strbuf_wrote(&run->output, (size_t)got);
        else if (got == 0)
            loop_io_set(run->out, false, false);
        if (run->output.len > EXEC_MAX_OUTPUT)
            kill_for(run, VERDICT_OUTPUT);
        if (got == 0 || (got < 0 && errno != EINTR))
            return;
    }
}

static void on_output(void *self, int fd UNUSED, bool readable UNUSED, bool writable UNUSED)
{
    read_output(self);
}

static void on_end(void *self, int fd UNUSED, bool readable UNUSED, bool writable UNUSED)
{
    struct exec_run *run = self;
    struct err err = {0};
    int status;
    bool ok;

    if (waitpid(run->pid, &status, WNOHANG) != run->pid)
        return;
    /* What lies in the pipe is all: a child that it left behind may keep the other end for ever. */
    read_output(run);
    ok = judge(run, status, &err);
    run->fn(run->fn_self, strbuf_sv(&run->output), ok ? NULL : &err);
    run_free(run);
}

static void on_limit(void *self)
{
    kill_for(self, VERDICT_TIME);
}

/* ---- its start ---- */

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return strncmp(a, b, len) == 0 && b[len] == '=';
}

static bool is_among(const char *line, char *const *lines)
{
    for (; *lines != NULL; lines++)
        if (same_name(*lines, line))
            return true;
    return false;
}

/* The environment with `over` in force: an array to be freed, its lines borrowed. Of a name given twice the last counts. */
static char **make_env(char *const *over)
{
    size_t n = 0, cap = 0;
    char **env = NULL;

    for (char **line = environ; *line != NULL; line++)
        if (!is_among(*line, over))
            VEC_PUSH(env, n, cap, *line);
    for (; *over != NULL; over++)
        if (!is_among(*over, over + 1))
            VEC_PUSH(env, n, cap, *over);
    VEC_PUSH(env, n, cap, NULL);
    return env;
}

/* posix_spawn() and not fork(): a large agent has large page tables. Returns an errno. */
static int spawn(const struct kube_exec *exec, int out_fd, pid_t *ret_pid)
{
    char **env = make_env(exec->env);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t all, none;
    int code;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    (void)posix_spawnattr_init(&attr);
    /* Signals that the agent ignores would be ignored there too. */
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    code = posix_spawnp(ret_pid, exec->argv[0], &actions, &attr, exec->argv, env);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(env);
    return code;
}

static bool not_started(const struct kube_exec *exec, int code, struct err *err)
{
    if (code != ENOENT)
        return err_set(err, ERR_AUTH, code, "exec plugin '%s' cannot be run: %s", exec->argv[0],
                       strerror(code));
    return err_set(err, ERR_AUTH, code, "exec plugin '%s' was not found%s%s", exec->argv[0],
                   exec->install_hint != NULL ? ": " : "",
                   exec->install_hint != NULL ? exec->install_hint : "");
}

/* Starts it and opens what tells of its output and end. */
static bool launch(struct exec_run *run, struct err *err)
{
    int ends[2], code;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return not_started(run->exec, errno, err);
    run->out_fd = ends[0];
    code = spawn(run->exec, ends[1], &run->pid);
    (void)close(ends[1]);
    if (code != 0)
        return not_started(run->exec, code, err);
    run->pid_fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    code = run->pid_fd < 0 || fcntl(run->out_fd, F_SETFL, O_NONBLOCK) != 0 ? errno : 0;
    if (code == 0)
        return true;
    kill_group(run);
    (void)waitpid(run->pid, NULL, 0);
    return not_started(run->exec, code, err);
}

static struct exec_run *start(void *self, const struct kube_exec *exec, exec_done_fn *fn,
                              void *fn_self, struct err *err)
{
    struct loop *loop = self;
    struct exec_run *run = xcalloc(1, sizeof *run);

    *run =
        (struct exec_run){.exec = exec, .fn = fn, .fn_self = fn_self, .out_fd = -1, .pid_fd = -1};
    strbuf_init(&run->output, EXEC_MAX_OUTPUT + 1);
    if (!launch(run, err)) {
        run_free(run);
        return NULL;
    }
    run->out = loop_io_new(loop, run->out_fd, on_output, run);
    run->end = loop_io_new(loop, run->pid_fd, on_end, run);
    run->limit = loop_timer_new(loop, on_limit, run);
    loop_io_set(run->out, true, false);
    loop_io_set(run->end, true, false);
    loop_timer_set(run->limit, EXEC_TIME_US);
    return run;
}

/* It may take a moment to die; nobody waits for that. */
static void cancel(struct exec_run *run)
{
    kill_group(run);
    (void)waitpid(run->pid, NULL, WNOHANG);
    run_free(run);
}

struct exec_runner exec_runner_from_loop(struct loop *loop)
{
    return (struct exec_runner){.start = start, .cancel = cancel, .self = loop};
}
