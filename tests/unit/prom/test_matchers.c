#include "agent/prom/matchers.h"

#include <criterion/criterion.h>
#include <string.h>

Test(matchers, take_what_may_stand_in_a_selector)
{
    static const char *const texts[] = {
        "",
        "  ",
        "team=\"a\"",
        "team = 'a', zone!~\"eu.*\",x1=~`a\\b`",
        "a=\"\",",
        "\"node.pool\"=\"x\"",
        "a=\"\\\"\\\\\\n\\u00e4\"",
        "a=\"\xc3\xa4,}\"",
    };
    struct err err = {0};

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        cr_assert(matchers_check(sv_from(texts[i]), &err), "%s: %s", texts[i], err.text);
}

Test(matchers, say_where_and_what_they_are_not)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"team", "found the end after 4 characters, expected =, !=, =~ or !~"},
        {"team=", "found the end after 5 characters, expected a text in quotes"},
        {"team=a", "character 6: found 'a', expected a text in quotes"},
        {"team==\"a\"", "character 6: found '=\"a\"', expected a text in quotes"},
        {"team~\"a\"", "character 5: found '~\"a\"', expected =, !=, =~ or !~"},
        {"team=\"a", "character 6: found '\"a', expected a quote that ends"},
        {"team=\"a\n\"", "character 6: found '\"a', expected a quote that ends"},
        {"team=\"a\" zone=\"b\"", "character 10: found 'zone=\"b\"', expected a comma or the end"},
        {"team=\"a\"}", "character 9: found '}', expected a comma or the end"},
        {"{team=\"a\"}", "character 1: found '{team=\"a\"}', expected a label's name"},
        {"1team=\"a\"", "character 1: found '1team=\"a\"', expected a label's name"},
        {"a=\"b\",,", "character 7: found ',', expected a label's name"},
        {"a=\"\\q\"", "character 5: found 'q\"', expected an escape"},
        {"a=\"\\", "found the end after 4 characters, expected an escape"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {0};

        cr_assert_not(matchers_check(sv_from(rows[i].text), &err), "%s", rows[i].text);
        cr_assert_eq(err.kind, ERR_INPUT);
        cr_assert_not_null(strstr(err.text, rows[i].says), "%s: %s", rows[i].text, err.text);
    }
}
