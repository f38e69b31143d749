/*
 * report_group: the figures of a group of nodes in a report (report.h): what they are called and what they come to.
 *
 * Values are as in report_figure.h. Filler is all that filler pods of any policy hold there, whatever their state; free is what neither
 * paid pods nor filler hold. Offered = paid + filler + free as they are written, unless pods hold more than the nodes offer. Pure.
 */
#ifndef BRIM_STORAGE_REPORT_GROUP_H
#define BRIM_STORAGE_REPORT_GROUP_H

#include "storage/report_figure.h"

enum report_group_figure {
    GROUP_FIGURE_RECORDED, /* share of the report's time in which the group was there */
    GROUP_FIGURE_NODES,    /* the most at once */
    GROUP_FIGURE_OFFERED,
    GROUP_FIGURE_PAID,
    GROUP_FIGURE_FILLER,
    GROUP_FIGURE_FREE,
    GROUP_FIGURE_USED_PAID, /* shares of what is offered */
    GROUP_FIGURE_USED,
    GROUP_FIGURE_PEAK, /* the most that paid pods held at once */
    GROUP_FIGURE_FIT,  /* mean */
    GROUP_FIGURE_COUNT_
};

const struct report_figure_kind *report_group_kind(enum report_group_figure f);

struct report_group_figures {
    int64_t at[GROUP_FIGURE_COUNT_];
    bool known[GROUP_FIGURE_COUNT_];
};
void report_group_figures(const struct report *r, const struct report_group *g, int64_t step_milli,
                          struct report_group_figures *ret_figures);

/* A group in the time of a report and in the one that it is compared with; NULL where it was not there. */
struct report_group_pair {
    const struct report_group *now, *before;
};
/*
 * The groups of both, in the order of report.h; `before` may be NULL. Returns how many they are; the caller frees *ret_pairs. O(groups).
 */
size_t report_group_pairs_new(const struct report *now, const struct report *before,
                              struct report_group_pair **ret_pairs);
/* How many of them, from the first on, are of its label; n > 0. */
size_t report_group_pairs_of_label(const struct report_group_pair *pairs, size_t n);
/* One of both that is there: both have the same label and name. */
const struct report_group *report_group_of(const struct report_group_pair *pair);

/* What each figure has changed by, in the form of report_group_change_form(); known where both are. */
void report_group_changes(const struct report_group_figures *now,
                          const struct report_group_figures *before,
                          struct report_group_figures *ret_changes);
enum report_form report_group_change_form(enum report_group_figure f);

/* As report_cell(). */
void report_group_cell(const struct report_group_figures *figures, enum report_group_figure f,
                       char text[static REPORT_CELL_SIZE]);

#endif
