#include "tests/pocket/encode.h"

#include <criterion/criterion.h>

#include "agent/kube/pbwire.h"
#include "tests/pbmake.h"
#include "tests/unit/agent/samples.h"

/* What the API server itself encoded, byte by byte. */
static void same_as_server(const char *name, const struct encode_message *message, const char *kind)
{
    CLEANUP(strbuf_done) struct strbuf object, body;
    struct samples samples;
    const struct sample *sample;
    cJSON *json;

    samples_load(&samples);
    sample = samples_find(&samples, name);
    strbuf_init(&object, SIZE_MAX);
    strbuf_init(&body, SIZE_MAX);
    json = cJSON_ParseWithLength(sample->json.at, sample->json.len);
    encode_object(message, json, false, &object);
    pbmake_envelope(&body, kind, strbuf_sv(&object));
    for (size_t i = 0; i < body.len && i < sample->protobuf.len; i++)
        cr_assert_eq(body.at[i], sample->protobuf.at[i], "%s: byte %zu is %02x, expected %02x",
                     name, i, (unsigned char)body.at[i], (unsigned char)sample->protobuf.at[i]);
    cr_assert_eq(body.len, sample->protobuf.len, "%s: %zu bytes, expected %zu", name, body.len,
                 sample->protobuf.len);
    cJSON_Delete(json);
    samples_done(&samples);
}

Test(pocket_encode, writes_a_pod_as_the_api_server_does)
{
    same_as_server("pod", &encode_pod, "Pod");
}

Test(pocket_encode, writes_a_node_as_the_api_server_does)
{
    same_as_server("node", &encode_node, "Node");
}

Test(pocket_encode, writes_a_status_as_the_api_server_does)
{
    same_as_server("status410", &encode_status, "Status");
}

Test(pocket_encode, leaves_out_what_has_another_type)
{
    CLEANUP(strbuf_done) struct strbuf out;
    cJSON *json = cJSON_Parse("{\"labels\":{\"a\":1},\"ownerReferences\":\"x\",\"finalizers\":{}}");

    strbuf_init(&out, SIZE_MAX);
    encode_object(&encode_meta, json, true, &out);
    cr_assert_eq(out.len, 0, "found %zu bytes", out.len);
    cJSON_Delete(json);
}

Test(pocket_encode, a_piece_has_only_what_is_there)
{
    CLEANUP(strbuf_done) struct strbuf out;
    cJSON *json = cJSON_Parse("{\"phase\":\"Running\"}");
    struct pb r;
    struct pb_field f;

    strbuf_init(&out, SIZE_MAX);
    encode_object(&encode_pod_status, json, true, &out);
    r = pb_open(strbuf_sv(&out));
    cr_assert(pb_next(&r, &f) && f.tag == PB_LEN(1) && sv_eq(f.bytes, SV("Running")));
    cr_assert(!pb_next(&r, &f));
    cJSON_Delete(json);
}
