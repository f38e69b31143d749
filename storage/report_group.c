#include "storage/report_group.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const struct report_figure_kind kinds[] = {
    [GROUP_FIGURE_RECORDED] = {"RECORDED", "recorded", "recorded, share of the time", FORM_SHARE,
                               false},
    [GROUP_FIGURE_NODES] = {"NODES", "peak_nodes", "nodes, the most at once", FORM_COUNT, false},
    [GROUP_FIGURE_OFFERED] = {"OFFERED", "offered_core_hours", "offered", FORM_CORE_HOURS, false},
    [GROUP_FIGURE_PAID] = {"PAID", "paid_core_hours", "paid work", FORM_CORE_HOURS, false},
    [GROUP_FIGURE_FILLER] = {"FILLER", "filler_core_hours", "filler", FORM_CORE_HOURS, false},
    [GROUP_FIGURE_FREE] = {"FREE", "free_core_hours", "free", FORM_CORE_HOURS, false},
    [GROUP_FIGURE_USED_PAID] = {"PAID%", "utilisation_paid", "utilisation, paid alone", FORM_SHARE,
                                false},
    [GROUP_FIGURE_USED] = {"USED%", "utilisation", "utilisation, with filler", FORM_SHARE, false},
    [GROUP_FIGURE_PEAK] = {"PEAK", "peak_paid_cores", "paid work, the most at once", FORM_CORES,
                           false},
    [GROUP_FIGURE_FIT] = {"FIT", "mean_fit", "filler pods that fit, mean", FORM_CORES, false},
};
_Static_assert(COUNT_OF(kinds) == GROUP_FIGURE_COUNT_, "a figure has no name");

const struct report_figure_kind *report_group_kind(enum report_group_figure f)
{
    return &kinds[f];
}

static int64_t bounded(__int128 area)
{
    return area < 0 ? 0 : area > INT64_MAX ? INT64_MAX : (int64_t)area;
}

void report_group_figures(const struct report *r, const struct report_group *g, int64_t step_milli,
                          struct report_group_figures *ret_figures)
{
    const struct groups_sum *sum = &g->sum;
    __int128 used = sum->area[GROUP_PAID] + sum->area[GROUP_FILLER];
    const int64_t part[REPORT_PART_COUNT_] = {
        [REPORT_OFFERED] = bounded(sum->area[GROUP_ALLOCATABLE]),
        [REPORT_PAID] = bounded(sum->area[GROUP_PAID]),
        [REPORT_FILLER] = bounded(sum->area[GROUP_FILLER]),
        [REPORT_IDLE] = bounded(sum->area[GROUP_ALLOCATABLE] - used)};
    struct report_group_figures f = {0};
    int64_t hours[REPORT_PART_COUNT_];

    report_core_hours(part, step_milli, hours);
    f.at[GROUP_FIGURE_RECORDED] = report_share_milli(sum->covered_ms, r->total.span_ms);
    f.at[GROUP_FIGURE_NODES] = (sum->most_nodes_milli + 500) / 1000;
    f.at[GROUP_FIGURE_OFFERED] = hours[REPORT_OFFERED] * step_milli;
    f.at[GROUP_FIGURE_PAID] = hours[REPORT_PAID] * step_milli;
    f.at[GROUP_FIGURE_FILLER] = hours[REPORT_FILLER] * step_milli;
    f.at[GROUP_FIGURE_FREE] = hours[REPORT_IDLE] * step_milli;
    f.at[GROUP_FIGURE_USED_PAID] = report_share_milli(part[REPORT_PAID], part[REPORT_OFFERED]);
    f.at[GROUP_FIGURE_USED] = report_share_milli(bounded(used), part[REPORT_OFFERED]);
    f.at[GROUP_FIGURE_PEAK] = sum->most_paid_milli;
    f.at[GROUP_FIGURE_FIT] = groups_mean_milli(sum, GROUP_FIT);
    for (int i = 0; i < GROUP_FIGURE_COUNT_; i++)
        f.known[i] =
            (i != GROUP_FIGURE_USED_PAID && i != GROUP_FIGURE_USED) || part[REPORT_OFFERED] > 0;
    *ret_figures = f;
}

/* Labels by name; of one label its values, then what is none (GROUPS_NONE and the like), as groups_names_read() has them. */
static int order_of(const struct report_group *a, const struct report_group *b)
{
    int by_label = strcmp(a->label, b->label);
    int by_kind = (a->name[0] == '<') - (b->name[0] == '<');

    return by_label != 0 ? by_label : by_kind != 0 ? by_kind : strcmp(a->name, b->name);
}

size_t report_group_pairs_new(const struct report *now, const struct report *before,
                              struct report_group_pair **ret_pairs)
{
    size_t n_before = before != NULL ? before->n_groups : 0, n = 0;
    struct report_group_pair *pairs = xcalloc(now->n_groups + n_before + 1, sizeof *pairs);

    for (size_t i = 0, k = 0; i < now->n_groups || k < n_before; n++) {
        int order = i == now->n_groups ? 1
                    : k == n_before    ? -1
                                       : order_of(&now->groups[i], &before->groups[k]);

        pairs[n] = (struct report_group_pair){.now = order <= 0 ? &now->groups[i] : NULL,
                                              .before = order >= 0 ? &before->groups[k] : NULL};
        i += order <= 0;
        k += order >= 0;
    }
    *ret_pairs = pairs;
    return n;
}

size_t report_group_pairs_of_label(const struct report_group_pair *pairs, size_t n)
{
    const char *label = report_group_of(&pairs[0])->label;
    size_t of = 1;

    while (of < n && strcmp(report_group_of(&pairs[of])->label, label) == 0)
        of++;
    return of;
}

const struct report_group *report_group_of(const struct report_group_pair *pair)
{
    return pair->now != NULL ? pair->now : pair->before;
}

enum report_form report_group_change_form(enum report_group_figure f)
{
    return kinds[f].form == FORM_SHARE ? FORM_POINTS : kinds[f].form;
}

void report_group_changes(const struct report_group_figures *now,
                          const struct report_group_figures *before,
                          struct report_group_figures *ret_changes)
{
    struct report_group_figures changes = {0};

    for (int f = 0; f < GROUP_FIGURE_COUNT_; f++) {
        changes.known[f] = now->known[f] && before->known[f];
        changes.at[f] = changes.known[f] ? now->at[f] - before->at[f] : 0;
    }
    *ret_changes = changes;
}

void report_group_cell(const struct report_group_figures *figures, enum report_group_figure f,
                       char text[static REPORT_CELL_SIZE])
{
    if (figures->known[f])
        report_form_text(kinds[f].form, figures->at[f], text);
    else
        (void)snprintf(text, REPORT_CELL_SIZE, "-");
}
