#include "agent/serve/report_desk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

extern char **environ;

enum { MAX_WORDS = 24, MAX_WORD = 64 << 10, NICE = 10, READ_BYTES = 64 << 10 };

struct report_job {
    char *words[MAX_WORDS]; /* the child's arguments, the last NULL */
    size_t n_words;
    const char *content_type;
    void (*done)(void *self);
    void *self;
    int status; /* of HTTP */
    struct strbuf body;
    struct report_job *next;
};

struct report_desk {
    char *program, *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come;
    int wake[2]; /* a pipe: written to once, when the desk is stopped */
    /* Under the lock. */
    struct report_job *first, *last;
    size_t n_jobs;
    bool stopped;
};

/* ---- jobs ---- */

static void add_word(struct report_job *job, const char *name, struct sv value)
{
    struct strbuf word;

    if (job->n_words + 1 >= MAX_WORDS)
        return;
    strbuf_init(&word, MAX_WORD);
    (void)strbuf_addf(&word, "%s%.*s", name, SV_ARG(value));
    job->words[job->n_words++] = xstrdup(strbuf_str(&word));
    strbuf_done(&word);
}

static const struct {
    const char *name, *content_type;
} formats[] = {
    {"html", "text/html; charset=utf-8"},  {"json", "application/json"},
    {"csv", "text/csv; charset=utf-8"},    {"table", "text/plain; charset=utf-8"},
    {"wide", "text/plain; charset=utf-8"},
};

static void add_format(struct report_job *job, struct sv name)
{
    size_t k = 0;

    for (size_t i = 0; i < COUNT_OF(formats); i++)
        k = sv_eq(name, sv_from(formats[i].name)) ? i : k;
    job->content_type = formats[k].content_type;
    add_word(job, "--output=", sv_from(formats[k].name));
}

static void add_param(struct report_job *job, const struct routes_param *p)
{
    static const char *const names[][2] = {
        {"policy", "--policy="}, {"by", "--by="},       {"since", "--since="},
        {"until", "--until="},   {"zone", "--zone="},   {"compare", "--compare="},
        {"target", "--target="}, {"price", "--price="},
    };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (sv_eq(p->key, sv_from(names[i][0])) && p->value.len != 0)
            add_word(job, names[i][1], p->value);
    }
    if (sv_eq(p->key, SV("advice")) && sv_eq(p->value, SV("1")))
        add_word(job, "--advice", SV(""));
    if (sv_eq(p->key, SV("groups")) && sv_eq(p->value, SV("1")))
        add_word(job, "--groups", SV(""));
}

static struct report_job *job_new(const struct report_desk *d, const struct routes_param *params,
                                  size_t n_params)
{
    struct report_job *job = xcalloc(1, sizeof *job);
    struct sv format = {0};

    strbuf_init(&job->body, REPORT_DESK_MAX_BODY);
    add_word(job, "brim", SV(""));
    add_word(job, "report", SV(""));
    add_word(job, "--db=", sv_from(d->db));
    for (size_t i = 0; i < n_params; i++) {
        if (sv_eq(params[i].key, SV("format")))
            format = params[i].value;
        else
            add_param(job, &params[i]);
    }
    add_format(job, format);
    return job;
}

void report_job_free(struct report_job *job)
{
    if (job == NULL)
        return;
    for (size_t i = 0; i < job->n_words; i++)
        free(job->words[i]);
    strbuf_done(&job->body);
    free(job);
}

void report_job_take(struct report_job *job, struct routes_answer *ret_answer)
{
    *ret_answer = (struct routes_answer){
        .status = job->status,
        .content_type = job->status == 200 ? job->content_type : "text/plain; charset=utf-8",
        .body = job->body};
    job->body = (struct strbuf){0};
}

static void fail(struct report_job *job, int status, const char *why)
{
    job->status = status;
    strbuf_clear(&job->body);
    (void)strbuf_addf(&job->body, "%s\n", why);
}

/* ---- the child ---- */

static bool spawn(const struct report_desk *d, struct report_job *job, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int failed;

    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    failed |= posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    failed |= posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (failed == 0)
        failed = posix_spawn(ret_pid, d->program, &actions, &attr, job->words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (failed == 0)
        (void)setpriority(PRIO_PROCESS, (id_t)*ret_pid, NICE);
    return failed == 0;
}

static int64_t now_ms(void)
{
    struct clock clock = clock_system();

    return clock.mono(clock.self).us / 1000;
}

/* Reads what the child writes to its end: 0, or the status of HTTP that says why not. */
static int drain(const struct report_desk *d, struct report_job *job, int in)
{
    struct pollfd fds[] = {{.fd = in, .events = POLLIN}, {.fd = d->wake[0], .events = POLLIN}};
    int64_t until_ms = now_ms() + REPORT_DESK_LIMIT_S * INT64_C(1000);

    for (;;) {
        int64_t left_ms = until_ms - now_ms();
        char *room;
        ssize_t n;

        if (left_ms <= 0)
            return 504;
        if (poll(fds, COUNT_OF(fds), (int)left_ms) < 0 && errno != EINTR)
            return 500;
        if (fds[1].revents != 0)
            return 503;
        if (fds[0].revents == 0)
            continue;
        room = strbuf_room(&job->body, READ_BYTES);
        if (room == NULL)
            return 500;
        n = read(in, room, READ_BYTES);
        if (n <= 0)
            return n == 0 ? 0 : 500;
        strbuf_wrote(&job->body, (size_t)n);
    }
}

/* What the exit code stands for (cli.h); the child's words are the answer in any case. */
static int status_of(int status)
{
    if (!WIFEXITED(status))
        return 500;
    return WEXITSTATUS(status) == 0 ? 200 : WEXITSTATUS(status) == 2 ? 400 : 503;
}

static void make(const struct report_desk *d, struct report_job *job)
{
    int pipes[2], failed, status = 0;
    pid_t pid;

    bool runs;

    if (pipe2(pipes, O_CLOEXEC) != 0) {
        fail(job, 500, "no process could be started for the report");
        return;
    }
    runs = spawn(d, job, pipes[1], &pid);
    (void)close(pipes[1]);
    if (!runs) {
        (void)close(pipes[0]);
        fail(job, 500, "no process could be started for the report");
        return;
    }
    failed = drain(d, job, pipes[0]);
    (void)close(pipes[0]);
    if (failed != 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    job->status = status_of(status);
    if (failed != 0)
        fail(job, failed,
             failed == 504   ? "the report takes too long: ask for a shorter time"
             : failed == 503 ? "the agent is stopping"
                             : "the report is larger than this server sends");
    else if (job->status == 500)
        fail(job, 500, "the report's process failed");
}

/* ---- the desk ---- */

/* The next job, or NULL once the desk is stopped and none is left. */
static struct report_job *next_job(struct report_desk *d, bool *ret_stopped)
{
    struct report_job *job;

    (void)pthread_mutex_lock(&d->lock);
    while (d->first == NULL && !d->stopped)
        (void)pthread_cond_wait(&d->come, &d->lock);
    job = d->first;
    if (job != NULL) {
        d->first = job->next;
        d->n_jobs--;
    }
    *ret_stopped = d->stopped;
    (void)pthread_mutex_unlock(&d->lock);
    return job;
}

static void *work(void *self)
{
    struct report_desk *d = self;
    struct report_job *job;
    bool stopped;

    for (job = next_job(d, &stopped); job != NULL; job = next_job(d, &stopped)) {
        if (stopped)
            fail(job, 503, "the agent is stopping");
        else
            make(d, job);
        job->done(job->self); /* may free the job */
    }
    return NULL;
}

bool report_desk_new(const char *program, const char *db, struct report_desk **ret_desk,
                     struct err *err)
{
    struct report_desk *d = xcalloc(1, sizeof *d);
    sigset_t all, before;
    int failed;

    d->program = xstrdup(program != NULL ? program : "/proc/self/exe");
    d->db = xstrdup(db);
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->come, NULL);
    failed = pipe2(d->wake, O_CLOEXEC) != 0 ? errno : 0;
    if (failed == 0) {
        (void)sigfillset(&all); /* signals are the loop's */
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(&d->thread, NULL, work, d);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed != 0) {
            (void)close(d->wake[0]);
            (void)close(d->wake[1]);
        }
    }
    if (failed != 0) {
        free(d->program);
        free(d->db);
        free(d);
        return err_set(err, ERR_SYSTEM, failed, "reports: %s", strerror(failed));
    }
    *ret_desk = d;
    return true;
}

void report_desk_stop(struct report_desk *d)
{
    bool before;

    (void)pthread_mutex_lock(&d->lock);
    before = d->stopped;
    d->stopped = true;
    (void)pthread_cond_signal(&d->come);
    (void)pthread_mutex_unlock(&d->lock);
    if (before)
        return;
    (void)!write(d->wake[1], "", 1);
    (void)pthread_join(d->thread, NULL);
}

void report_desk_free(struct report_desk *d)
{
    if (d == NULL)
        return;
    report_desk_stop(d);
    (void)close(d->wake[0]);
    (void)close(d->wake[1]);
    (void)pthread_cond_destroy(&d->come);
    (void)pthread_mutex_destroy(&d->lock);
    free(d->program);
    free(d->db);
    free(d);
}

struct report_job *report_desk_ask(struct report_desk *d, const struct routes_param *params,
                                   size_t n_params, void (*done)(void *self), void *self)
{
    struct report_job *job = job_new(d, params, n_params);
    bool taken, stopped;

    job->done = done;
    job->self = self;
    (void)pthread_mutex_lock(&d->lock);
    stopped = d->stopped;
    taken = !stopped && d->n_jobs < REPORT_DESK_MAX_JOBS;
    if (taken) {
        if (d->first == NULL)
            d->first = job;
        else
            d->last->next = job;
        d->last = job;
        d->n_jobs++;
        (void)pthread_cond_signal(&d->come);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (!taken) {
        fail(job, stopped ? 503 : 429,
             stopped ? "the agent is stopping"
                     : "too many reports are being made: ask again later");
        done(self);
    }
    return job;
}
