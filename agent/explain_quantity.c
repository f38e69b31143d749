#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cmd.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "capacity/quantity.h"

static const struct cli_flag flags[] = {
    {"output", 'o', CLI_VALUE, "FORMAT", "text", "text|json",
     "form of the answer; json is one line an input"},
};

static const struct cli_command command = {
    .name = "brim explain quantity",
    .args = "QUANTITY…|-",
    .about = "Reads Kubernetes quantities as the API server does and shows what they come to: in "
             "thousandths (as cpu\n"
             "counts), whole (as memory counts), both rounded up, and as the server would write "
             "them. \"-\" reads one a\n"
             "line from stdin. An input is taken as it stands, blanks included.",
    .min_args = 1,
    .max_args = -1,
    .flags = flags,
    .n_flags = COUNT_OF(flags),
    .examples = "  brim explain quantity 1500m 1.5Gi 1e3\n  kubectl get nodes -o "
                "jsonpath='{.items[*].status.allocatable.cpu}' |\n"
                "    tr ' ' '\\n' | brim explain quantity - -o json\n",
};

/* What is printed in one go: stdin may be long. */
enum { FLUSH_AT = 64 << 10, LINE_MAX_BYTES = 16 << 20 };

struct printer {
    bool json;
    bool broken; /* one at least was */
    int code;
    struct strbuf out;
};

/* From the text, not from the quantity, which saturates: "1e30" has a canonical form too. */
static void canonical(struct sv input, struct strbuf *out)
{
    (void)!quantity_canonical(
        input, out,
        NULL); /* it was parsed before: only a full buffer can fail it, which cmd_print() tells */
}

static void print_json(struct strbuf *out, struct sv input, const struct quantity *q,
                       const struct err *err)
{
    char text[QUANTITY_TEXT_SIZE];
    struct strbuf written;
    struct jsonw w;
    int64_t n;

    strbuf_init(&written, LINE_MAX_BYTES);
    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_str(&w, "input", input);
    if (q == NULL) {
        jsonw_cstr(&w, "error", err->text);
    } else {
        if (quantity_milli(q, &n)) {
            (void)snprintf(text, sizeof text, "%lld", (long long)n);
            jsonw_cstr(&w, "milli", text);
        }
        if (quantity_value(q, &n)) {
            (void)snprintf(text, sizeof text, "%lld", (long long)n);
            jsonw_cstr(&w, "value", text);
        }
        canonical(input, &written);
        jsonw_str(&w, "canonical", strbuf_sv(&written));
    }
    strbuf_done(&written);
    jsonw_end(&w);
    (void)strbuf_add_char(out, '\n');
}

static void add_column(struct strbuf *out, bool fits, int64_t n)
{
    if (fits)
        (void)strbuf_addf(out, "  %20lld", (long long)n);
    else
        (void)strbuf_addf(out, "  %20s", "too large");
}

static void print_text(struct strbuf *out, struct sv input, const struct quantity *q,
                       const struct err *err)
{
    int64_t n;
    bool fits;

    (void)strbuf_add(out, input);
    if (input.len < 20)
        (void)strbuf_addf(out, "%*s", (int)(20 - input.len), "");
    if (q == NULL) {
        (void)strbuf_addf(out, "  error: %s\n", err->text);
        return;
    }
    fits = quantity_milli(q, &n);
    add_column(out, fits, n);
    fits = quantity_value(q, &n);
    add_column(out, fits, n);
    (void)strbuf_add(out, SV("  "));
    canonical(input, out);
    (void)strbuf_add_char(out, '\n');
}

static void print_one(struct printer *p, struct sv input)
{
    struct quantity q;
    struct err err = {0};
    bool good = quantity_parse(input, &q, &err);

    (p->json ? print_json : print_text)(&p->out, input, good ? &q : NULL, &err);
    p->broken |= !good;
    if (p->out.len >= FLUSH_AT && cmd_print(&p->out) != CLI_DONE)
        p->code = CLI_UNREACHABLE;
}

static void print_lines(struct printer *p)
{
    CLEANUP(free_ptr) char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    for (;;) {
        len = p->code == CLI_DONE ? getline(&line, &cap, stdin) : -1;
        if (len <= 0)
            return;
        if (line[len - 1] == '\n')
            len--;
        print_one(p, (struct sv){.at = line, .len = (size_t)len});
    }
}

int explain_quantity(int argc, char **argv)
{
    struct printer p = {0};
    struct cli cli;
    int code;

    if (!cli_begin(&command, argc, argv, &cli, &code))
        return code;
    p.json = sv_eq(sv_from(cli_value(&cli, "output")), SV("json"));
    strbuf_init(&p.out, LINE_MAX_BYTES);
    if (!p.json)
        (void)strbuf_addf(&p.out, "%-20s  %20s  %20s  %s\n", "INPUT", "MILLI", "VALUE",
                          "CANONICAL");
    for (size_t i = 0; i < cli.n_args && p.code == CLI_DONE; i++) {
        if (strcmp(cli.args[i], "-") == 0)
            print_lines(&p);
        else
            print_one(&p, sv_from(cli.args[i]));
    }
    if (cmd_print(&p.out) != CLI_DONE)
        p.code = CLI_UNREACHABLE;
    strbuf_done(&p.out);
    cli_done(&cli);
    return p.code != CLI_DONE ? p.code : p.broken ? CLI_NO : CLI_DONE;
}
