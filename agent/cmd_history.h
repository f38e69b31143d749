/*
 * cmd_history: `brim history export` and `brim history import`.
 */
#ifndef BRIM_AGENT_CMD_HISTORY_H
#define BRIM_AGENT_CMD_HISTORY_H

int history_export(int argc, char **argv);
int history_import(int argc, char **argv);

#endif
