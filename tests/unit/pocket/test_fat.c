/* Fat pods are what the budgets for large clusters are measured with: they must be as the budgets say. */
#include "tests/pocket/fat.h"

#include <criterion/criterion.h>

#include "tests/pocket/scenario.h"

enum { NODES = 20, PODS = 2000 };

struct seen {
    size_t pods, jobs, ended, bytes, managed;
};

static struct world *filled_world(void)
{
    struct world *w =
        world_new(&(struct world_config){.seed = 7, .speed = 1, .ring = 16, .fat = true});
    struct err err = {0};

    cr_assert(
        scenario_fill(
            w, &(struct scenario_fill){.nodes = NODES, .cores = 32, .pods = PODS, .seed = 7}, &err),
        "%s", err.text);
    world_advance(w, (struct mono){.us = 1 * US_PER_S});
    return w;
}

static const cJSON *at(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* How many bytes this member of metadata takes; lists and maps are about as long in JSON as in protobuf's FieldsV1. */
static size_t length_of(const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    size_t len = strlen(text);

    cJSON_free(text);
    return len;
}

static void look(struct object *o, struct seen *seen)
{
    CLEANUP(strbuf_done) struct strbuf text;
    cJSON *json;
    const cJSON *meta, *owner;

    strbuf_init(&text, 1 << 20);
    object_json(o, 0, true, &text);
    json = cJSON_ParseWithLength(text.at, text.len);
    cr_assert(json != NULL);
    meta = at(json, "metadata");
    owner = cJSON_GetArrayItem(at(meta, "ownerReferences"), 0);
    cr_assert_eq(cJSON_GetArraySize(at(meta, "labels")), FAT_LABELS);
    cr_assert_eq(o->is.n_labels, FAT_LABELS, "selectors see the labels that clients see");
    cr_assert_eq(strlen(cJSON_GetStringValue(at(meta, "name"))), FAT_NAME_MAX);
    seen->pods++;
    seen->jobs += strcmp(cJSON_GetStringValue(at(owner, "kind")), "Job") == 0;
    seen->ended += strcmp(cJSON_GetStringValue(at(at(json, "status"), "phase")), "Succeeded") == 0;
    seen->managed += length_of(at(meta, "managedFields"));
    seen->bytes += object_protobuf_size(o);
    cJSON_Delete(json);
}

Test(pocket_fat, pods_are_as_large_and_as_different_as_real_ones)
{
    struct world *w = filled_world();
    struct listing *l = store_list(world_store(w), KIND_PODS);
    struct seen seen = {0};

    for (size_t i = 0; i < l->n; i++)
        look(l->at[i], &seen);
    cr_assert_eq(seen.pods, PODS);
    cr_assert(seen.bytes / PODS > 6000 && seen.bytes / PODS < 7000, "%zu bytes", seen.bytes / PODS);
    cr_assert(seen.managed * 100 / seen.bytes >= 40, "managedFields: %zu of %zu bytes",
              seen.managed / PODS, seen.bytes / PODS);
    cr_assert(seen.jobs * 100 / PODS >= 17 && seen.jobs * 100 / PODS <= 23, "%zu of Jobs",
              seen.jobs);
    cr_assert(seen.ended * 100 / PODS >= 4 && seen.ended * 100 / PODS <= 6, "%zu have ended",
              seen.ended);
    listing_unref(l);
    world_free(w);
}

Test(pocket_fat, three_labels_are_the_pods_own)
{
    struct world *w = filled_world();
    struct listing *l = store_list(world_store(w), KIND_PODS);
    size_t differ = 0;

    /* Neighbours in the list are of one kind. */
    for (size_t k = 0; k < FAT_LABELS; k++)
        differ += !sv_eq(l->at[0]->is.labels[k].value, l->at[1]->is.labels[k].value);
    cr_assert_eq(differ, 3);
    listing_unref(l);
    world_free(w);
}

Test(pocket_fat, nodes_have_twelve_labels)
{
    struct world *w = filled_world();
    const struct object *o = store_find(world_store(w), KIND_NODES, (struct sv){0}, SV("n-00000"));
    CLEANUP(strbuf_done) struct strbuf text;
    cJSON *json;

    strbuf_init(&text, 1 << 20);
    object_json(o, 0, true, &text);
    json = cJSON_ParseWithLength(text.at, text.len);
    cr_assert_eq(cJSON_GetArraySize(at(at(json, "metadata"), "labels")), FAT_LABELS);
    cJSON_Delete(json);
    world_free(w);
}
