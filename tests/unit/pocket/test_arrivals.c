#include "tests/pocket/arrivals.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static struct wall now(void)
{
    const struct clock clock = clock_system();

    return clock.wall(clock.self);
}

/* Two ends of a TCP connection, as a server and its client have them: [0] accepted, [1] connected. */
static void connect_both(int ends[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(bind(listening, (struct sockaddr *)&at, sizeof at) == 0 &&
              listen(listening, 1) == 0 &&
              getsockname(listening, (struct sockaddr *)&at, &len) == 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(ends[1], (struct sockaddr *)&at, sizeof at), 0);
    ends[0] = accept(listening, NULL, NULL);
    cr_assert(ends[0] >= 0);
    (void)close(listening);
}

Test(pocket_arrivals, bytes_have_the_time_at_which_they_came_however_late_they_are_looked_for)
{
    const struct wall never = {.us = 1};
    struct arrivals *a = arrivals_new();
    struct pollfd readable;
    struct wall before, after, arrived;
    int ends[2];
    char byte;

    connect_both(ends);
    arrivals_open(a, ends[0]);
    /* The kernel begins to note times a moment after it was first asked to. */
    for (int i = 0; i < 100; i++) {
        before = now();
        cr_assert_eq(write(ends[1], "x", 1), 1);
        readable = (struct pollfd){.fd = ends[0], .events = POLLIN};
        cr_assert_eq(poll(&readable, 1, 10000), 1);
        after = now();
        (void)usleep(30000);
        arrivals_look(a);
        arrived = arrivals_take(a, ends[0], never);
        cr_assert_eq(read(ends[0], &byte, 1), 1, "looking takes nothing");
        if (arrived.us != never.us)
            break;
    }
    cr_expect(arrived.us >= before.us - 1 && arrived.us <= after.us,
              "sent %lld us before, there %lld us after", (long long)(arrived.us - before.us),
              (long long)(after.us - arrived.us));
    cr_expect_eq(arrivals_take(a, ends[0], never).us, never.us, "told once");
    arrivals_look(a);
    cr_expect_eq(arrivals_take(a, ends[0], never).us, never.us, "nothing lies there");
    arrivals_close(a, ends[0]);
    cr_expect_eq(arrivals_take(a, ends[0], never).us, never.us, "a socket that went");
    (void)close(ends[0]);
    (void)close(ends[1]);
    arrivals_free(a);
}
