#include "capacity/podreq_steps.h"

#include <inttypes.h>
#include <stdio.h>

enum { LABEL_MIN = 22, COLUMN_MIN = 12, LABEL_SIZE = 128 };

static uint32_t places_of(struct amounts list)
{
    uint32_t places = 0;

    for (size_t i = 0; i < list.n; i++)
        places |= podreq_bit(list.at[i].place);
    return places;
}

static uint32_t places_of_statuses(const struct status_amounts *at, size_t n)
{
    uint32_t places = 0;

    for (size_t i = 0; i < n; i++)
        places |= places_of(at[i].requests) | places_of(at[i].allocated);
    return places;
}

static void add_containers(struct podreq_steps *s, const struct container_amounts *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t name = at[i].name.len < PODREQ_STEPS_NAME ? at[i].name.len : PODREQ_STEPS_NAME;
        int width = (int)(sizeof "container " - 1 + name);

        s->columns |= places_of(at[i].requests);
        if (width > s->label_width)
            s->label_width = width;
    }
}

static int column_width(const struct podreq_steps *s, int place)
{
    int name = (int)strlen(s->names->name[place]);

    return 2 + (name > COLUMN_MIN ? name : COLUMN_MIN);
}

void podreq_steps_begin(struct podreq_steps *s, const struct podreq_input *in,
                        const struct resource_names *names, struct strbuf *out)
{
    *s = (struct podreq_steps){.out = out, .names = names, .label_width = LABEL_MIN};
    if (out == NULL)
        return;
    s->columns = podreq_bit(RESOURCE_CPU) | podreq_bit(RESOURCE_MEMORY);
    add_containers(s, in->containers, in->n_containers);
    add_containers(s, in->inits, in->n_inits);
    s->columns |= places_of_statuses(in->statuses, in->n_statuses);
    s->columns |= places_of_statuses(in->init_statuses, in->n_init_statuses);
    s->columns |= places_of(in->pod_level) | places_of(in->pod_status);
    s->columns |= places_of(in->pod_allocated) | places_of(in->overhead);
    s->columns &= ~podreq_bit(RESOURCE_PODS); /* never counted */

    (void)strbuf_addf(out, "%-*s", s->label_width, "");
    for (uint32_t left = s->columns; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);

        (void)strbuf_addf(out, "%*s", column_width(s, place), names->name[place]);
    }
    (void)strbuf_add_char(out, '\n');
}

/* "container web", printable and not longer than the column. */
static void label(const struct podreq_steps *s, const char *what, struct sv name)
{
    char text[LABEL_SIZE];
    char shown[PODREQ_STEPS_NAME + 1];
    size_t n = name.len < PODREQ_STEPS_NAME ? name.len : PODREQ_STEPS_NAME;

    for (size_t i = 0; i < n; i++)
        shown[i] = name.at[i] > ' ' && name.at[i] <= '~' ? name.at[i] : '?';
    shown[n] = '\0';
    (void)snprintf(text, sizeof text, "%s%s%s", what, n != 0 ? " " : "", shown);
    (void)strbuf_addf(s->out, "%-*s", s->label_width, text);
}

void podreq_steps_row(const struct podreq_steps *s, const char *what, struct sv name,
                      const struct podreq_sums *sums, const char *note, uint32_t noted)
{
    const char *comma = "  ";

    if (s->out == NULL)
        return;
    label(s, what, name);
    for (uint32_t left = s->columns; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);
        char amount[QUANTITY_TEXT_SIZE] = "-";

        if ((sums->has & podreq_bit(place)) != 0)
            quantity_text(&sums->at[place], amount);
        (void)strbuf_addf(s->out, "%*s", column_width(s, place), amount);
    }
    if (note[0] != '\0') {
        (void)strbuf_addf(s->out, "  %s", note);
        comma = " ";
    }
    for (uint32_t left = noted; left != 0; left &= left - 1) {
        (void)strbuf_addf(s->out, "%s%s", comma, s->names->name[__builtin_ctz(left)]);
        comma = ", ";
    }
    (void)strbuf_add_char(s->out, '\n');
}

void podreq_steps_end(const struct podreq_steps *s, const struct resources *total)
{
    if (s->out == NULL)
        return;
    label(s, "counted", (struct sv){0});
    for (uint32_t left = s->columns; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);
        char amount[QUANTITY_TEXT_SIZE];

        (void)snprintf(amount, sizeof amount, "%" PRId64 "%s", total->at[place],
                       place == RESOURCE_CPU ? "m" : "");
        (void)strbuf_addf(s->out, "%*s", column_width(s, place), amount);
    }
    (void)strbuf_add(s->out, SV("  rounded up, once\n"));
}
