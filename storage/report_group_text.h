/*
 * report_group_text: groups of nodes as tables, CSV or JSON (report_text.h). With another period beside the report each group of either
 * is told of both. docs/REPORT.md describes all three. Pure.
 */
#ifndef BRIM_STORAGE_REPORT_GROUP_TEXT_H
#define BRIM_STORAGE_REPORT_GROUP_TEXT_H

#include "base/jsonw.h"
#include "storage/report_words.h"

/* A table for each label, below an empty line. Each group is a line, of two periods one of each and, where it has both, of the change. */
void report_group_tables(const struct report_story *story, struct strbuf *out);
/* A row for each group; of two periods for each of its figures. */
void report_group_csv(const struct report_story *story, struct strbuf *out);
/* The key `groups`; of two periods `groups_before`, too. */
void report_group_json(const struct report_story *story, struct jsonw *w);

#endif
