#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cmd.h"

static const struct cmd commands[] = {
    {"agent", cmd_agent, "watch the cluster and scale fillers (the daemon)"},
    {"capacity", cmd_capacity, "nodes with what they offer, hold and have free"},
    {"check", cmd_check, "validate policy files"},
    {"decide", cmd_decide, "the controller as a filter: facts in, decisions out"},
    {"explain", cmd_explain, "how a pod, a quantity, a policy's key or a decision comes about"},
    {"history", cmd_history, "what a history file holds; backup, recover"},
    {"replay", cmd_replay, "the past played again under policies and other ways to run filler"},
    {"pause", cmd_pause, "hold a policy's target at its count"},
    {"report", cmd_report, "what the cluster was used for, by hour or day, from a history file"},
    {"resume", cmd_resume, "take a pause away"},
    {"status", cmd_status, "what the agent does now and why"},
    {"top", cmd_top, "the cluster live, in a terminal"},
    {"version", cmd_version, "which brim this is"},
};

int main(int argc, char **argv)
{
    static char version[] = "version";

    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        argv[1] = version;
    return cmd_dispatch("brim", commands, COUNT_OF(commands), argc, argv);
}
