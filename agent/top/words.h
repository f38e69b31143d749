/*
 * words: numbers, spans and moments as brim says them everywhere: cores whole from 10 up and with
 * one decimal below, two units of time at most, the hour of the day in UTC, "-" for what is not
 * known.
 */
#ifndef BRIM_AGENT_TOP_WORDS_H
#define BRIM_AGENT_TOP_WORDS_H

#include <stdint.h>

enum { WORDS_CORES = 24, WORDS_SPAN = 48, WORDS_TIME = 12, WORDS_COUNT = 32 };

void words_cores(int64_t milli, char text[static WORDS_CORES]);
/* "12 s", "3 min 5 s", "2 h 1 min", "3 d 4 h" */
void words_span(int64_t ms, char text[static WORDS_SPAN]);
/* "14:37:15" */
void words_time(int64_t ms, char text[static WORDS_TIME]);
/* 2583 as "2,583"; "-" below 0 */
void words_count(int64_t n, char text[static WORDS_COUNT]);

#endif
