#include "storage/policies.h"

#include "base/alloc.h"
#include "storage/schema.h"
#include "tests/unit/storage/folder.h"

/* What policies_load() gave, one after the other. */
struct seen {
    char text[256];
    int64_t saved_at_ms;
    size_t n;
};

static void note(void *self, const struct policies_text *text, int64_t saved_at_ms)
{
    struct seen *s = self;
    size_t len = strlen(s->text);

    (void)snprintf(s->text + len, sizeof s->text - len, "%.*s=%.*s;", SV_ARG(text->name),
                   SV_ARG(text->text));
    s->saved_at_ms = saved_at_ms;
    s->n++;
}

static struct db *open_history(const struct folder *f)
{
    struct err err = {0};
    struct db *db = NULL;

    cr_assert(schema_open(&(struct db_options){.path = f->file}, &db, &err), "%s", err.text);
    return db;
}

static struct seen load(struct db *db)
{
    struct seen seen = {0};
    struct err err = {0};

    cr_assert(policies_load(db, note, &seen, &err), "%s", err.text);
    return seen;
}

static const struct policies_text first[] = {{{"z.yaml", 6}, {"kind: X\n", 8}},
                                             {{"a.yaml", 6}, {"", 0}}};
static const struct policies_text second[] = {{{"a.yaml", 6}, {"it's", 4}}};

Test(policies, give_back_the_last_set_in_its_order)
{
    struct folder f = folder_new();
    struct db *db = open_history(&f);
    struct err err = {0};

    cr_assert_eq(load(db).n, 0, "a new history holds none");
    cr_assert(policies_save(db, first, 2, 5, &err), "%s", err.text);
    db_close(db);
    db = open_history(&f);
    cr_assert_str_eq(load(db).text, "z.yaml=kind: X\n;a.yaml=;");
    cr_assert_eq(load(db).saved_at_ms, 5);
    cr_assert(policies_save(db, second, 1, 6, &err), "%s", err.text);
    cr_assert_str_eq(load(db).text, "a.yaml=it's;");
    cr_assert(policies_save(db, NULL, 0, 7, &err), "%s", err.text);
    cr_assert_eq(load(db).n, 0);
    db_close(db);
    folder_done(&f);
}

Test(policies, keep_the_old_set_where_the_new_one_cannot_be_saved)
{
    static char large[DB_MAX_VALUE + 1];
    struct folder f = folder_new();
    struct db *db = open_history(&f);
    struct policies_text broken[2] = {second[0], {{"b.yaml", 6}, {large, sizeof large}}};
    struct err err = {0};

    memset(large, '#', sizeof large);
    cr_assert(policies_save(db, first, 2, 5, &err), "%s", err.text);
    cr_assert(!policies_save(db, broken, 2, 6, &err));
    cr_assert_eq(err.kind, ERR_STORAGE);
    broken[1] = broken[0];
    cr_assert(!policies_save(db, broken, 2, 6, &err), "two of one name");
    cr_assert_str_eq(load(db).text, "z.yaml=kind: X\n;a.yaml=;");
    cr_assert_eq(load(db).saved_at_ms, 5);
    db_close(db);
    folder_done(&f);
}

/* ---- what was found ---- */

static void note_found(void *self, const struct policies_found *found)
{
    struct seen *s = self;
    size_t len = strlen(s->text);

    (void)snprintf(s->text + len, sizeof s->text - len, "%.*s:%llu=%lld;", SV_ARG(found->policy),
                   (unsigned long long)found->uid.lo, (long long)found->replicas);
}

static struct policies_found target(const char *policy, uint64_t uid, int64_t replicas)
{
    return (struct policies_found){
        .policy = sv_from(policy), .uid = {.hi = uid != 0, .lo = uid}, .replicas = replicas};
}

Test(policies, keep_what_was_found_first_of_each_target_in_force)
{
    static const struct {
        const char *name, *want;
        size_t n;
        struct {
            const char *policy;
            uint64_t uid;
            int64_t replicas;
        } found[2];
    } rows[] = {
        {"nothing was found yet", "", 1, {{"a", 0, 0}}},
        {"found", "a:1=3;", 1, {{"a", 1, 3}}},
        {"found again", "a:1=3;b:2=0;", 2, {{"b", 2, 0}, {"a", 1, 80}}},
        {"not read yet", "a:1=3;b:2=0;", 2, {{"b", 0, 0}, {"a", 0, 0}}},
        {"another object", "a:7=9;b:2=0;", 2, {{"b", 0, 0}, {"a", 7, 9}}},
        {"no longer in force", "a:7=9;", 1, {{"a", 7, 10}}},
        {"none in force", "", 0, {{NULL, 0, 0}}},
    };
    struct folder f = folder_new();
    struct db *db = open_history(&f);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policies_found found[2];
        struct seen seen = {0};
        struct err err = {0};

        for (size_t k = 0; k < rows[i].n; k++)
            found[k] =
                target(rows[i].found[k].policy, rows[i].found[k].uid, rows[i].found[k].replicas);
        cr_assert(policies_keep_found(db, found, rows[i].n, &err), "%s: %s", rows[i].name,
                  err.text);
        cr_assert(policies_load_found(db, note_found, &seen, &err), "%s", err.text);
        cr_assert_str_eq(seen.text, rows[i].want, "%s: %s", rows[i].name, seen.text);
    }
    db_close(db);
    folder_done(&f);
}
