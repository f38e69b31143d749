/* Prints docs/METRICS.md: `ninja metrics-doc` writes it into the tree. */
#include <stdio.h>

#include "agent/serve/exposition.h"

int main(void)
{
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    exposition_document(&out);
    (void)fputs(strbuf_str(&out), stdout);
    strbuf_done(&out);
    return 0;
}
