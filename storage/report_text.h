/*
 * report_text: a report as an aligned table, CSV or JSON. docs/REPORT.md describes all three. Pure.
 */
#ifndef BRIM_STORAGE_REPORT_TEXT_H
#define BRIM_STORAGE_REPORT_TEXT_H

#include "storage/report_words.h"

/* `report` and `waits` of JSON are those of version … */
enum { REPORT_VERSION = 2 };

enum report_format { REPORT_TABLE, REPORT_WIDE, REPORT_CSV, REPORT_GROUPS_CSV, REPORT_JSON };

/*
 * The table: the summary, the rows with a line of sums, with another period beside it the figures of both, and the groups of nodes. CSV:
 * the rows with a head, times in UTC; with another period the figures of both instead; or groups of nodes (report_group_text.h). Cuts
 * at the buffer's limit (`full`).
 */
void report_print(const struct report_story *story, enum report_format format, struct strbuf *out);

#endif
