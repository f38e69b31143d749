/*
 * exec_run: runs a program for credentials beside the loop, which is never held up: its output comes through a pipe, its end
 * through a pidfd (Linux 5.3).
 *
 * The program gets the environment with exec->env over it, /dev/null as input and brim's stderr as its own, so that people
 * read what it says; no other open file is handed on. After EXEC_TIME_US, or beyond EXEC_MAX_OUTPUT bytes of output, it is
 * killed with all of its process group.
 *
 * The runner is a struct of functions, so that tests play programs from a script. done comes exactly once, never from inside
 * start(); the run is gone then. `output` is valid during the call. err (ERR_AUTH) says which program failed and how, and
 * what to install if it was not found.
 */
#ifndef BRIM_AGENT_KUBE_EXEC_RUN_H
#define BRIM_AGENT_KUBE_EXEC_RUN_H

#include "agent/kube/config.h"
#include "agent/loop.h"
#include "base/err.h"
#include "base/sv.h"

/* A login over the network takes seconds; who must be asked at a browser has a minute. */
#define EXEC_TIME_US (60 * US_PER_S)

enum { EXEC_MAX_OUTPUT = 1 << 20 };

struct exec_run;

typedef void exec_done_fn(void *self, struct sv output, const struct err *err);

struct exec_runner {
    /* NULL: it could not be started. `exec` is borrowed until the end. */
    struct exec_run *(*start)(void *self, const struct kube_exec *exec, exec_done_fn *fn,
                              void *fn_self, struct err *err);
    /* Kills it, without done. */
    void (*cancel)(struct exec_run *run);
    void *self;
};

struct exec_runner exec_runner_from_loop(struct loop *loop);

#endif
