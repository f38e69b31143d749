/*
 * samples: real encodings of the API server (tests/data/protobuf-samples.json), and records held against each other.
 */
#ifndef BRIM_TESTS_UNIT_AGENT_SAMPLES_H
#define BRIM_TESTS_UNIT_AGENT_SAMPLES_H

#include "base/strbuf.h"
#include "capacity/records.h"

enum { SAMPLES_MAX = 16 };

struct sample {
    char name[32];
    struct strbuf protobuf; /* the body as it came */
    struct strbuf json;     /* the same as JSON; of the watch a line an event */
};

struct samples {
    struct sample at[SAMPLES_MAX];
    size_t n;
};

void samples_load(struct samples *s);
void samples_done(struct samples *s);
const struct sample *samples_find(const struct samples *s, const char *name);

/* The first difference in `text`, "" where there is none. */
enum { DIFFERENCE_SIZE = 240 };
void pods_differ(const struct pod_record *a, const struct pod_record *b,
                 char text[static DIFFERENCE_SIZE]);
void nodes_differ(const struct node_record *a, const struct node_record *b,
                  char text[static DIFFERENCE_SIZE]);

#endif
