#include "agent/secure.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

/* A certificate that ends sooner than this is told, each time that one is taken into force. */
#define SOON_US (7 * 24 * 3600 * US_PER_S)

struct secure {
    struct loop *loop;
    struct tls *tls;
    struct loop_timer *read;
    struct err broken; /* of the last reading; ERR_NONE: it was fine */
    bool told;         /* that error was logged */
};

static void tell_end(struct secure *s)
{
    struct tls_pair *pair = tls_current(s->tls);
    struct wall ends = tls_pair_ends(pair);
    char text[WALL_TEXT_SIZE];

    wall_format(ends, 0, text);
    if (ends.us < loop_wall(s->loop).us)
        log_error("the serving certificate has ended: clients refuse it", F_STR("ended", text));
    else if (ends.us - loop_wall(s->loop).us < SOON_US)
        log_warn("the serving certificate ends soon", F_STR("ends", text));
    else
        log_info("serving certificate in force", F_STR("ends", text));
    tls_pair_unref(pair);
}

static void note_broken(struct secure *s, const struct err *err)
{
    bool same = s->broken.kind != ERR_NONE && strcmp(s->broken.text, err->text) == 0;

    if (same && !s->told)
        log_error("the serving certificate's files are broken: the last good ones stay in force",
                  F_ERR(err));
    s->told = same;
    s->broken = *err;
}

static void read_again(void *self)
{
    struct secure *s = self;
    struct err err = {0};
    bool changed;

    if (!tls_reload(s->tls, &changed, &err)) {
        note_broken(s, &err);
    } else {
        if (s->told)
            log_info("the serving certificate's files are whole again");
        s->broken = (struct err){0};
        s->told = false;
        if (changed)
            tell_end(s);
    }
    loop_timer_set(s->read, SECURE_READ_US);
}

static bool check(const struct secure_options *o, struct err *err)
{
    if (o->cert_file != NULL && o->key_file != NULL)
        return true;
    return err_set(err, ERR_INPUT, 0,
                   "--secure-listen: %s is missing: a PEM file, as in a Secret of type "
                   "kubernetes.io/tls",
                   o->cert_file == NULL ? "--tls-cert-file" : "--tls-private-key-file");
}

bool secure_new(struct loop *loop, struct httpd *httpd, const struct secure_options *options,
                struct secure **ret_secure, struct err *err)
{
    struct secure *s;

    *ret_secure = NULL;
    if (options->listen == NULL)
        return options->cert_file == NULL && options->key_file == NULL
                   ? true
                   : err_set(err, ERR_INPUT, 0,
                             "--tls-cert-file and --tls-private-key-file: --secure-listen is "
                             "missing, the port that they are for");
    if (!check(options, err))
        return false;
    s = xcalloc(1, sizeof *s);
    s->loop = loop;
    *ret_secure = s; /* freed with the agent, also where the rest fails */
    if (!tls_new(options->cert_file, options->key_file, &s->tls, err) ||
        !httpd_serve_secure(httpd, options->listen, s->tls, err))
        return false;
    s->read = loop_timer_new(loop, read_again, s);
    loop_timer_set(s->read, SECURE_READ_US);
    tell_end(s);
    log_warn("the TLS port asks nobody who it is: let nobody reach it but who may read all of it",
             F_STR("secure_listen", options->listen));
    return true;
}

void secure_free(struct secure *s)
{
    if (s == NULL)
        return;
    loop_timer_free(s->read);
    tls_free(s->tls);
    free(s);
}
