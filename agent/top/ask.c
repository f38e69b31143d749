#include "agent/top/ask.h"

#include "agent/top/answers.h"

static int64_t now_ms(const struct ask *a)
{
    return loop_wall(a->api->loop).us / US_PER_MS;
}

static void send(struct ask *a, const char *path, client_answer_fn *fn)
{
    const struct client_request request = {
        .method = "GET", .path = path, .channel = CHANNEL_POOL, .timeout_us = ASK_TIMEOUT_US};

    a->call = client_send(a->api->client, &request, fn, a);
}

static void end_round(struct ask *a)
{
    a->call = NULL;
    a->round_over(a->self);
}

static void fail_round(struct ask *a, const struct client_answer *answer, const char *what)
{
    if (answer->problem != NULL)
        a->trouble = answer->problem->err;
    else
        (void)err_set(&a->trouble, ERR_PROTOCOL, 0, "%s: this is not what brim's agent answers",
                      what);
    if (a->away_ms == 0)
        a->away_ms = now_ms(a);
    end_round(a);
}

static bool is_json(const struct client_answer *answer)
{
    return answer->problem == NULL && answer->format == DECODE_JSON;
}

/* The table of nodes is an extra: without it (503 while it is being made) the round is as good. */
static void nodes_came(void *self, const struct client_answer *answer)
{
    struct ask *a = self;

    if (is_json(answer))
        (void)!answers_nodes(answer->body, a->view);
    end_round(a);
}

static void decisions_came(void *self, const struct client_answer *answer)
{
    struct ask *a = self;

    if (!is_json(answer) || !answers_decisions(answer->body, a->view)) {
        fail_round(a, answer, "/api/v1/decisions");
        return;
    }
    run_decisions(a->run, a->view);
    a->trouble = (struct err){0};
    a->away_ms = 0;
    if (a->nodes)
        send(a, "/api/v1/nodes?names=1", nodes_came);
    else
        end_round(a);
}

static void status_came(void *self, const struct client_answer *answer)
{
    struct ask *a = self;

    if (!is_json(answer) || !answers_status(answer->body, a->view)) {
        fail_round(a, answer, "/api/v1/status");
        return;
    }
    a->answered_ms = now_ms(a);
    run_status(a->run, a->view, a->answered_ms);
    send(a, "/api/v1/decisions?limit=64", decisions_came);
}

void ask_round(struct ask *a)
{
    if (a->call == NULL)
        send(a, "/api/v1/status", status_came);
}

void ask_cancel(struct ask *a)
{
    client_cancel(a->call);
    a->call = NULL;
}
