/*
 * file: whole files of a known largest size.
 */
#ifndef BRIM_BASE_FILE_H
#define BRIM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

/*
 * ret_text, which is initialised here and the caller's on success, gets the whole file.
 * `ordinary`: a pipe or a device is refused (ERR_INPUT), as whatever is read while a loop runs
 * must: nobody knows when a pipe's other end writes. Else it may block. ERR_NOT_FOUND: there is
 * none; ERR_LIMIT: it has more than `max` bytes; ERR_SYSTEM.
 */
bool file_read(const char *path, bool ordinary, size_t max, struct strbuf *ret_text,
               struct err *err) MUST_CHECK;

#endif
