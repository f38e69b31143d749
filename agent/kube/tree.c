#include "agent/kube/tree.h"

#include <cjson/cJSON.h>

const cJSON *tree_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

struct sv tree_text(const cJSON *object, const char *key)
{
    return sv_from(cJSON_GetStringValue(tree_get(object, key)));
}

bool tree_count(const cJSON *object, const char *key, int64_t absent, int64_t *ret_count)
{
    const cJSON *item = tree_get(object, key);

    *ret_count = absent;
    if (item == NULL || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= INT32_MAX) ||
        (double)(int64_t)item->valuedouble < item->valuedouble)
        return false;
    *ret_count = (int64_t)item->valuedouble;
    return true;
}
