/*
 * term: the terminal that `brim top` draws on. While it is held there is no echo, keys come one by
 * one, the cursor is hidden and the screen is the alternate one; term_give_back() undoes all of it
 * and may be called at any time, also twice. Ctrl-C still sends SIGINT; Ctrl-Z is off, since a
 * stopped program would leave the terminal as it is.
 */
#ifndef BRIM_AGENT_TOP_TERM_H
#define BRIM_AGENT_TOP_TERM_H

#include <stdbool.h>
#include <termios.h>

#include "base/err.h"
#include "base/sv.h"

struct term {
    int in, out; /* in -1: keys are not read */
    bool held;
    struct termios before;
};

/* `in` may be no terminal: then no keys come from it. */
bool term_hold(struct term *t, int in, int out, struct err *err) MUST_CHECK;
void term_give_back(struct term *t);

/* Columns and lines; 80 x 24 where the terminal does not say. */
void term_size(int out, int *ret_cols, int *ret_rows);

/* All of it, however many writes the kernel takes. */
bool term_write(int out, struct sv bytes, struct err *err) MUST_CHECK;

/* Is text shown as UTF-8, by LC_ALL, LC_CTYPE or LANG? */
bool term_is_utf8(void);
/* Colours are wanted: NO_COLOR is not set and TERM is not "dumb". */
bool term_has_colour(void);

#endif
