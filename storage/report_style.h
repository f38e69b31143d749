/*
 * report_style: the style sheet of the report's page. Internal to the report.
 *
 * Colours are those of the live page and of Grafana; text has a contrast of at least 5.7, marks of 3. Print and forced colours tell
 * the parts apart by pattern.
 */
#ifndef BRIM_STORAGE_REPORT_STYLE_H
#define BRIM_STORAGE_REPORT_STYLE_H

extern const char report_style[];

#endif
