/*
 * report_page: a report as one HTML page that needs nothing else: no script, no font, no file beside it.
 *
 * In front the summary in plain words and what to change, then the figures beside another period, the pictures (report_chart.h) each
 * with a table behind it, waits, gaps and what every figure means. Light, dark and print by the reader's settings. Whatever others
 * named is escaped. Pure.
 */
#ifndef BRIM_STORAGE_REPORT_PAGE_H
#define BRIM_STORAGE_REPORT_PAGE_H

#include "storage/report_words.h"

/* Cuts at the buffer's limit (`full`). A year takes about 200 KB. */
void report_page(const struct report_story *story, struct strbuf *out);

#endif
