#include "base/err.h"

#include <criterion/criterion.h>
#include <string.h>

Test(err, names_every_kind)
{
    for (int i = 0; i < ERR_KIND_COUNT_; i++) {
        cr_assert(err_kind_name((enum err_kind)i) != NULL);
        for (int j = 0; j < i; j++)
            cr_assert(strcmp(err_kind_name((enum err_kind)i), err_kind_name((enum err_kind)j)) !=
                      0);
    }
    cr_assert_str_eq(err_kind_name(ERR_NOT_FOUND), "not-found");
}

Test(err, carries_kind_code_and_text)
{
    struct err err = {0};

    cr_assert(!err_set(&err, ERR_GONE, 410, "version %d", 7));
    cr_assert(err.kind == ERR_GONE && err.code == 410);
    cr_assert_str_eq(err.text, "version 7");
}

Test(err, puts_context_in_front)
{
    struct err err;

    (void)err_set(&err, ERR_INPUT, 0, "140%% is above 100%%");
    cr_assert(!err_wrap(&err, "%d:%d", 12, 5));
    cr_assert(!err_wrap(&err, "policy %s", "night.yaml"));
    cr_assert_str_eq(err.text, "policy night.yaml: 12:5: 140% is above 100%");
    cr_assert_eq(err.kind, ERR_INPUT);
}

Test(err, wants_no_text_from_nobody)
{
    cr_assert(!err_set(NULL, ERR_INPUT, 0, "%s", "x"));
    cr_assert(!err_wrap(NULL, "%s", "x"));
}

Test(err, cuts_what_is_too_long)
{
    char text[1000];
    struct err err;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, ERR_INPUT, 0, "%s", text);
    cr_assert_eq(strlen(err.text), sizeof err.text - 1);
    (void)err_wrap(&err, "front");
    cr_assert_eq(strlen(err.text), sizeof err.text - 1);
    cr_assert_eq(strncmp(err.text, "front: xxx", 10), 0);
    (void)err_wrap(&err, "%s", text);
    cr_assert_eq(strlen(err.text), sizeof err.text - 1);
}

Test(err, marks_a_cut_between_two_characters)
{
    /* Characters of 1 to 4 bytes, pushed on by a byte each: the cut falls on each byte of them. */
    static const char *const characters[] = {"x", "é", "€", "😀"};

    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        for (size_t lead = 0; lead < 4; lead++) {
            size_t one = strlen(characters[i]), len = lead;
            char text[1000] = "----";
            struct err err = {0};

            for (; len + one < sizeof text; len += one)
                memcpy(text + len, characters[i], one + 1);
            (void)err_set(&err, ERR_SERVER, 500, "%s", text);
            len = strlen(err.text);
            cr_expect_str_eq(err.text + len - 3, "…", "%s", err.text);
            cr_expect_eq((len - 3 - lead) % one, 0U, "%s: cut inside a character", err.text);
            cr_expect_eq(strncmp(err.text, text, len - 3), 0);
            (void)err_wrap(&err, "%s", "front");
            cr_expect_str_eq(err.text + strlen(err.text) - 3, "…");
        }
    }
}

Test(err, leaves_alone_what_just_fits)
{
    char text[sizeof((struct err *)0)->text];
    struct err err = {0};

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, ERR_INPUT, 0, "%s", text);
    cr_expect_str_eq(err.text, text);
    (void)err_set(&err, ERR_INPUT, 0, "%s", text + 3);
    (void)err_wrap(&err, "%s", "x");
    cr_expect_eq(strncmp(err.text, "x: xxx", 6), 0);
    cr_expect_null(strstr(err.text, "…"));
}
