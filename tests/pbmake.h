/*
 * pbmake: writes protobuf messages for tests, fuzz corpora and benches. No limits are checked: what it writes is ours.
 */
#ifndef BRIM_TESTS_PBMAKE_H
#define BRIM_TESTS_PBMAKE_H

#include <stdint.h>

#include "base/strbuf.h"

void pbmake_var(struct strbuf *out, unsigned number, uint64_t value);
void pbmake_bytes(struct strbuf *out, unsigned number, struct sv bytes);
void pbmake_str(struct strbuf *out, unsigned number, const char *text);

/* A map's entry of text; of a quantity, whose value is a message. */
void pbmake_entry(struct strbuf *out, unsigned number, const char *key, const char *value);
void pbmake_quantity(struct strbuf *out, unsigned number, const char *key, const char *value);

/* Appends `message` as field `number` and empties it for reuse. */
void pbmake_message(struct strbuf *out, unsigned number, struct strbuf *message);

/* "k8s\0" and runtime.Unknown around an object. */
void pbmake_envelope(struct strbuf *out, const char *kind, struct sv object);

/* A frame of a watch: length, WatchEvent, envelope. */
void pbmake_watch_frame(struct strbuf *out, const char *type, const char *kind, struct sv object);

#endif
