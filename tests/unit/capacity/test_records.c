#include "capacity/records.h"

#include "tests/unit/capacity/fixtures.h"

Test(records, read_a_uuid_as_its_own_bits)
{
    struct uid uid = uid_parse(SV("01234567-89ab-cdef-fedc-ba9876543210"));

    cr_assert_eq(uid.hi, 0x0123456789abcdefULL);
    cr_assert_eq(uid.lo, 0xfedcba9876543210ULL);
}

Test(records, write_a_uuid_as_it_was_read)
{
    static const char *const texts[] = {
        "01234567-89ab-cdef-fedc-ba9876543210",
        "00000000-0000-0000-0000-000000000001",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    };
    char text[UID_TEXT_SIZE];

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        uid_format(uid_parse(sv_from(texts[i])), text);
        cr_expect_str_eq(text, texts[i]);
    }
}

Test(records, tell_all_texts_of_uids_apart)
{
    static const struct sv texts[] = {
        SV(""),
        SV("u"),
        SV("v"),
        SV("u\0"),
        SV("\0"),
        SV("00000000-0000-0000-0000-000000000000"),
        SV("00000000-0000-0000-0000-000000000001"),
        SV("0123456789abcdef"),
        SV("01234567-89ab-cdef-fedc-ba9876543210"),
        SV("01234567-89AB-CDEF-FEDC-BA9876543210"),
        SV("01234567x89ab-cdef-fedc-ba9876543210"),
        SV("01234567-89ab-cdef-fedc-ba987654321-"),
        SV("01234567-89ab-cdef-fedc-ba98765432100"),
        SV("01234567-89ab-cdef-fedc-ba987654321g"),
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct uid a = uid_parse(texts[i]);

        cr_expect_eq(uid_is_zero(a), texts[i].len == 0, "row %zu: only no text is no uid", i);
        for (size_t j = 0; j < COUNT_OF(texts); j++)
            cr_expect_eq(uid_eq(a, uid_parse(texts[j])), i == j, "rows %zu and %zu", i, j);
    }
}

Test(records, count_a_pod_on_its_node_until_it_has_ended)
{
    static const struct {
        const char *name;
        struct pod_record pod;
        bool counted;
    } rows[] = {
        {"running", {.node = SV("n"), .phase = PHASE_RUNNING}, true},
        {"bound, not started", {.node = SV("n"), .phase = PHASE_PENDING}, true},
        {"unknown", {.node = SV("n"), .phase = PHASE_UNKNOWN}, true},
        {"being deleted", {.node = SV("n"), .phase = PHASE_RUNNING, .deleting = true}, true},
        {"succeeded", {.node = SV("n"), .phase = PHASE_SUCCEEDED}, false},
        {"failed", {.node = SV("n"), .phase = PHASE_FAILED}, false},
        {"no node", {.phase = PHASE_PENDING}, false},
        {"nominated", {.nominated = SV("n"), .phase = PHASE_PENDING}, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(pod_record_counted(&rows[i].pod), rows[i].counted, "%s", rows[i].name);
}

Test(records, name_phases_as_kubernetes_does)
{
    static const char *const names[] = {"Pending", "Running", "Succeeded", "Failed", "Unknown"};

    for (int i = 0; i < PHASE_COUNT_; i++)
        cr_expect_str_eq(pod_phase_name((enum pod_phase)i), names[i]);
}
