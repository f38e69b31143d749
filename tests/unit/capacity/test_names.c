#include "capacity/names.h"

#include "tests/unit/capacity/fixtures.h"

#define TEN   "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

struct row {
    struct sv text;
    bool qualified, subdomain, label_value;
};

static const struct row rows[] = {
    {{"", 0}, false, false, true},
    {{"a", 1}, true, true, true},
    {{"A", 1}, true, false, true},
    {{"app.kubernetes.io/name", 22}, true, false, false},
    {{"a.b-c.d9", 8}, true, true, true},
    {{"a_b", 3}, true, false, true},
    {{"-a", 2}, false, false, false},
    {{"a-", 2}, false, false, false},
    {{".a", 2}, false, false, false},
    {{"a.", 2}, false, false, false},
    {{"a..b", 4}, true, false, true},
    {{"a.-b", 4}, true, false, true},
    {{"a-.b", 4}, true, false, true},
    {{"a--b", 4}, true, true, true},
    {{"/a", 2}, false, false, false},
    {{"a/", 2}, false, false, false},
    {{"a/b", 3}, true, false, false},
    {{"a/b/c", 5}, false, false, false},
    {{"A/b", 3}, false, false, false},
    {{"a b", 3}, false, false, false},
    {{"a\0b", 3}, false, false, false},
    {{"\xc3\xa4", 2}, false, false, false},
    {{SIXTY "abc", 63}, true, true, true},
    {{SIXTY "abcd", 64}, false, true, false},
    {{SIXTY SIXTY SIXTY SIXTY TEN "abc/x", 255}, true, false, false},
    {{SIXTY SIXTY SIXTY SIXTY TEN "abcd/x", 256}, false, false, false},
};

Test(names, are_judged_as_kubernetes_does)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];

        cr_expect_eq(names_qualified(row->text), row->qualified, "qualified: '%s'", row->text.at);
        cr_expect_eq(names_subdomain(row->text), row->subdomain, "subdomain: '%s'", row->text.at);
        cr_expect_eq(names_label_value(row->text), row->label_value, "label value: '%s'",
                     row->text.at);
    }
}
