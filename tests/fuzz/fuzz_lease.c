#include <stdlib.h>

#include "agent/kube/lease.h"
#include "tests/fuzz/fuzz.h"

static struct lease_record read_back(const struct strbuf *text)
{
    struct lease_record r;

    if (!lease_read_record(strbuf_sv(text), &r, NULL))
        abort();
    return r;
}

static void check_write(const struct lease *l, enum lease_ask ask, struct sv object)
{
    struct lease_record r;
    struct strbuf out;

    strbuf_init(&out, 8 * LEASE_MAX_OBJECT);
    if (!lease_write(l, ask, object, "n", "ns", (struct wall){0}, &out))
        abort();
    if (out.len <= LEASE_MAX_OBJECT) {
        r = read_back(&out);
        if (r.holder_hash != l->identity_hash || r.duration_us != LEASE_DURATION_US ||
            r.transitions < l->record.transitions || r.transitions > l->record.transitions + 1)
            abort();
    }
    strbuf_done(&out);
}

static void check_release(struct sv object)
{
    struct lease_record r;
    struct strbuf out;

    strbuf_init(&out, 8 * LEASE_MAX_OBJECT);
    if (!lease_write_release(object, (struct wall){0}, &out))
        abort();
    if (out.len <= LEASE_MAX_OBJECT) {
        r = read_back(&out);
        if (r.holder[0] != '\0' || r.duration_us != US_PER_S)
            abort();
    }
    strbuf_done(&out);
}

/* A Lease as a server may give it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv object = {.at = (const char *)data, .len = size};
    struct lease_record r;
    struct err err = {0};
    struct lease l;

    if (!lease_read_record(object, &r, &err)) {
        if (err.kind != ERR_PROTOCOL && err.kind != ERR_LIMIT)
            abort();
        return 0;
    }
    if (r.duration_us < 0 || r.transitions < 0)
        abort();
    lease_init(&l, "fuzzed", size, (struct mono){0});
    (void)lease_begin(&l, (struct mono){0});
    if (lease_answered(&l, LEASE_END_OK, &r, (struct mono){0}) == LEASE_ASK_CREATE)
        abort();
    check_write(&l, LEASE_ASK_TAKE, object);
    check_write(&l, LEASE_ASK_RENEW, object);
    check_release(object);
    return 0;
}
