#include <criterion/criterion.h>

#include "agent/serve/accept.h"

#define V2      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#define V2BETA1 "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

Test(accept, chooses_a_form_of_json)
{
    static const struct {
        const char *accept;
        enum accept_form plain, groups; /* without and with aggregated discovery offered */
    } rows[] = {
        {NULL, ACCEPT_JSON, ACCEPT_JSON},
        {"", ACCEPT_JSON, ACCEPT_JSON},
        {" ", ACCEPT_JSON, ACCEPT_JSON},
        {"*/*", ACCEPT_JSON, ACCEPT_JSON},
        {"application/*", ACCEPT_JSON, ACCEPT_JSON},
        {"application/json", ACCEPT_JSON, ACCEPT_JSON},
        {"APPLICATION/JSON; charset=utf-8", ACCEPT_JSON, ACCEPT_JSON},
        {"application/json, */*", ACCEPT_JSON, ACCEPT_JSON},
        {"application/vnd.kubernetes.protobuf, */*", ACCEPT_JSON, ACCEPT_JSON},
        {"application/vnd.kubernetes.protobuf,application/json", ACCEPT_JSON, ACCEPT_JSON},
        {"application/vnd.kubernetes.protobuf", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"text/html", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"application/json;q=0", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"application/json;q=0, */*", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"application/json;q=0.5, */*;q=0", ACCEPT_JSON, ACCEPT_JSON},
        {"application/json;q=nonsense", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"application/json;as=Table;v=v1;g=meta.k8s.io", ACCEPT_NOTHING, ACCEPT_NOTHING},
        {"application/json;as=Table;v=v1;g=meta.k8s.io,application/json", ACCEPT_JSON, ACCEPT_JSON},
        {V2, ACCEPT_NOTHING, ACCEPT_GROUPS_V2},
        {V2 "," V2BETA1 ",application/json", ACCEPT_JSON, ACCEPT_GROUPS_V2},
        {V2BETA1 ",application/json", ACCEPT_JSON, ACCEPT_GROUPS_V2BETA1},
        {V2BETA1 "," V2, ACCEPT_NOTHING, ACCEPT_GROUPS_V2BETA1},
        {V2 ";q=0.5," V2BETA1, ACCEPT_NOTHING, ACCEPT_GROUPS_V2BETA1},
        {"application/json," V2, ACCEPT_JSON, ACCEPT_JSON},
        {"application/json;q=0.9," V2, ACCEPT_JSON, ACCEPT_GROUPS_V2},
        {V2 ";profile=nopeer," V2, ACCEPT_NOTHING, ACCEPT_GROUPS_V2},
        {"application/json;g=\"apidiscovery.k8s.io\";v=\"v2\";as=\"APIGroupDiscoveryList\"",
         ACCEPT_NOTHING, ACCEPT_GROUPS_V2},
        {"application/json;g=other.k8s.io;v=v2;as=APIGroupDiscoveryList,*/*", ACCEPT_JSON,
         ACCEPT_JSON},
        {"application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*;q=0.1",
         ACCEPT_JSON, ACCEPT_JSON},
        {",,;,", ACCEPT_NOTHING, ACCEPT_NOTHING},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        cr_expect_eq(accept_json(sv_from(rows[i].accept), false), rows[i].plain, "'%s'",
                     rows[i].accept);
        cr_expect_eq(accept_json(sv_from(rows[i].accept), true), rows[i].groups,
                     "'%s' where groups are offered", rows[i].accept);
    }
}
