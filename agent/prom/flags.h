/*
 * flags: how the commands that ask a Prometheus are told who asks, and over what (prom.h).
 */
#ifndef BRIM_AGENT_PROM_FLAGS_H
#define BRIM_AGENT_PROM_FLAGS_H

#include "agent/cli.h"
#include "agent/prom/prom.h"

/* For a command's table, beside its own "prometheus". */
#define PROM_FLAGS                                                                                 \
    {"prometheus-token-file", 0, CLI_VALUE, "FILE", NULL, NULL, "bearer token"},                   \
        {"prometheus-basic-file", 0, CLI_VALUE, "FILE", NULL, NULL, "USER:PASSWORD"},              \
        {"prometheus-ca-file",                                                                     \
         0,                                                                                        \
         CLI_VALUE,                                                                                \
         "FILE",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "certificate authority [the machine's]"},                                                 \
    {                                                                                              \
        "prometheus-headers-file", 0, CLI_VALUE, "FILE", NULL, NULL,                               \
            "further headers, Name: value, one a line"                                             \
    }

static inline struct prom_options prom_flags_read(const struct cli *cli)
{
    return (struct prom_options){
        .url = cli_value(cli, "prometheus"),
        .token_file = cli_value(cli, "prometheus-token-file"),
        .basic_file = cli_value(cli, "prometheus-basic-file"),
        .ca_file = cli_value(cli, "prometheus-ca-file"),
        .headers_file = cli_value(cli, "prometheus-headers-file"),
    };
}

#endif
