#include "tests/pocket/patch.h"

#include <criterion/criterion.h>

#include "base/attr.h"
#include "base/sv.h"

/* The examples of RFC 7396, and what the API's clients send. */
static const struct {
    const char *target, *patch, *result;
} merges[] = {
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
};

Test(pocket_patch, merges_as_rfc_7396_says)
{
    for (size_t i = 0; i < COUNT_OF(merges); i++) {
        cJSON *target = cJSON_Parse(merges[i].target), *patch = cJSON_Parse(merges[i].patch);
        cJSON *result = cJSON_Parse(merges[i].result);

        patch_merge(target, patch);
        cr_expect(cJSON_Compare(target, result, true), "%s with %s: found %s", merges[i].target,
                  merges[i].patch, cJSON_Print(target));
        cJSON_Delete(target);
        cJSON_Delete(patch);
        cJSON_Delete(result);
    }
}

static const struct {
    const char *name, *target, *patch, *result; /* NULL: refused */
    enum err_kind kind;
} patches[] = {
    {"test and replace", "{\"n\":3}",
     "[{\"op\":\"test\",\"path\":\"/n\",\"value\":3},{\"op\":\"replace\",\"path\":\"/"
     "n\",\"value\":5}]",
     "{\"n\":5}", 0},
    {"a test that fails", "{\"n\":4}", "[{\"op\":\"test\",\"path\":\"/n\",\"value\":3}]", NULL,
     ERR_CONFLICT},
    {"null is what is not there", "{\"s\":{}}",
     "[{\"op\":\"test\",\"path\":\"/s/n\",\"value\":null},{\"op\":\"add\",\"path\":\"/s/"
     "n\",\"value\":1}]",
     "{\"s\":{\"n\":1}}", 0},
    {"null is not what is there", "{\"n\":1}", "[{\"op\":\"test\",\"path\":\"/n\",\"value\":null}]",
     NULL, ERR_CONFLICT},
    {"replacing nothing", "{}", "[{\"op\":\"replace\",\"path\":\"/n\",\"value\":1}]", NULL,
     ERR_CONFLICT},
    {"removing nothing", "{}", "[{\"op\":\"remove\",\"path\":\"/n\"}]", NULL, ERR_CONFLICT},
    {"into what is not there", "{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL,
     ERR_CONFLICT},
    {"removing from a list", "{\"l\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/l/1\"}]",
     "{\"l\":[1,3]}", 0},
    {"at the end of a list", "{\"l\":[1]}", "[{\"op\":\"add\",\"path\":\"/l/-\",\"value\":2}]",
     "{\"l\":[1,2]}", 0},
    {"behind the end of a list", "{\"l\":[1]}", "[{\"op\":\"add\",\"path\":\"/l/7\",\"value\":2}]",
     NULL, ERR_CONFLICT},
    {"escapes", "{\"a/b\":1,\"m~n\":2}",
     "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"remove\",\"path\":\"/m~0n\"}]", "{}", 0},
    {"an unknown op", "{}", "[{\"op\":\"swap\",\"path\":\"/a\"}]", NULL, ERR_INPUT},
    {"no path", "{}", "[{\"op\":\"add\"}]", NULL, ERR_INPUT},
    {"no list", "{}", "{\"op\":\"add\"}", NULL, ERR_INPUT},
    {"the root", "{}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, ERR_CONFLICT},
};

Test(pocket_patch, applies_json_patches_or_says_why_not)
{
    for (size_t i = 0; i < COUNT_OF(patches); i++) {
        cJSON *target = cJSON_Parse(patches[i].target), *patch = cJSON_Parse(patches[i].patch);
        cJSON *result = patches[i].result != NULL ? cJSON_Parse(patches[i].result) : NULL;
        struct err err = {0};
        bool ok = patch_json(target, patch, &err);

        cr_expect_eq(ok, result != NULL, "%s: %s", patches[i].name, err.text);
        cr_expect_eq(err.kind, patches[i].kind, "%s: found %s", patches[i].name,
                     err_kind_name(err.kind));
        cr_expect(result == NULL || cJSON_Compare(target, result, true), "%s", patches[i].name);
        cJSON_Delete(target);
        cJSON_Delete(patch);
        cJSON_Delete(result);
    }
}
