#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/proxy.h"

#define P "http://proxy:3128"

/* Rows after golang.org/x/net/http/httpproxy's documentation of what is matched. */
static const struct {
    const char *server, *none;
    bool direct;
} rows[] = {
    {"https://example.com", NULL, false},
    {"https://localhost:6443", NULL, true},
    {"https://LOCALHOST", NULL, true},
    {"https://127.0.0.1:6443", NULL, true},
    {"https://127.9.9.9", NULL, true},
    {"https://[::1]:6443/p", NULL, true},
    {"https://[::ffff:127.0.0.1]", NULL, true},
    {"https://128.0.0.1", NULL, false},
    {"https://localhost.com", NULL, false},
    {"https://example.com", "*", true},
    {"https://example.com", "a, * ,b", true},
    {"https://example.com", "", false},
    {"https://example.com", " , ,:,", false},
    {"https://example.com/x", "example.com", true},
    {"https://Example.COM", "eXample.com", true},
    {"https://a.example.com", "example.com", true},
    {"https://a.b.example.com", "other, example.com", true},
    {"https://badexample.com", "example.com", false},
    {"https://example.com", "a.example.com", false},
    {"https://example.com", ".example.com", false},
    {"https://a.example.com", ".example.com", true},
    {"https://example.com", "*.example.com", false},
    {"https://a.example.com", "*.example.com", true},
    {"https://a.example.com", "*example.com", false},
    {"https://example.com:6443", "example.com:6443", true},
    {"https://example.com:6443", "example.com:443", false},
    {"https://example.com", "example.com:443", true},
    {"https://10.1.2.3:6443", "10.1.2.3", true},
    {"https://10.1.2.3:6443", "10.1.2.3:6443", true},
    {"https://10.1.2.3:6443", "10.1.2.3:1", false},
    {"https://10.1.2.3", "10.1.2.30", false},
    {"https://10.1.2.3", "10.0.0.0/8", true},
    {"https://11.1.2.3", "10.0.0.0/8", false},
    {"https://10.1.2.3", "10.1.2.0/30", true},
    {"https://10.1.2.4", "10.1.2.0/30", false},
    {"https://10.1.2.3", "0.0.0.0/0", true},
    {"https://10.1.2.3", "10.1.2.3/32", true},
    {"https://10.1.2.3", "10.1.2.3/33", false},
    {"https://10.1.2.3", "10.1.2.3/9223372036854775807", false}, /* it overflowed */
    {"https://10.1.2.3", "::/0", false},
    {"https://[fd00::7]:443", "fd00::/8", true},
    {"https://[fd00::7]:443", "fd00::7", true},
    {"https://[fd00::7]:443", "[fd00::7]:443", true},
    {"https://[fd00::7]:443", "[fd00::7]:444", false},
    {"https://[fe00::7]", "fd00::/8", false},
    {"https://10.1.2.3", "0.0.0.0/-1", false},
    {"https://h10.1.2.3", "10.1.2.3", false},
};

Test(proxy, goes_by_no_proxy_as_go_does)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct proxy_env env = {.https = P, .http = "http://wrong", .none = rows[i].none};
        struct err err = {0};
        char *url;

        cr_assert(proxy_choose(&env, rows[i].server, &url, &err), "%s", err.text);
        cr_expect_eq(url == NULL, rows[i].direct, "%s with '%s': %s", rows[i].server,
                     rows[i].none != NULL ? rows[i].none : "", url != NULL ? url : "directly");
        free(url);
    }
}

Test(proxy, takes_the_variable_of_the_servers_scheme)
{
    static const struct {
        struct proxy_env env;
        const char *server, *want;
    } urls[] = {
        {{.https = P, .http = "http://h"}, "https://a", P},
        {{.https = P, .http = "http://h"}, "http://a", "http://h"},
        {{.http = "http://h"}, "https://a", NULL},
        {{.https = ""}, "https://a", NULL},
        {{.https = "proxy:3128"}, "https://a", P},
        {{.https = "https://u:p@proxy"}, "https://a", "https://u:p@proxy"},
        {{.https = "socks5://s:1080"}, "https://a", "socks5://s:1080"},
        {{.https = "socks5h://s:1080"}, "https://a", "socks5h://s:1080"},
        {{.https = "HTTP://p:1"}, "https://a", "HTTP://p:1"},
        {{.https = "Socks5://s:1"}, "https://a", "Socks5://s:1"},
    };

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct err err = {0};
        char *url;

        cr_assert(proxy_choose(&urls[i].env, urls[i].server, &url, &err), "%s", err.text);
        if (urls[i].want == NULL)
            cr_expect_null(url);
        else
            cr_expect_str_eq(url, urls[i].want);
        free(url);
    }
}

Test(proxy, refuses_what_is_no_proxy)
{
    struct err err = {0};
    char *url = NULL;

    cr_assert_not(
        proxy_choose(&(struct proxy_env){.https = "ftp://u:secret@p"}, "https://a", &url, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    cr_assert_str_eq(err.text, "HTTPS_PROXY: expected http://, https:// or socks5:// and a host");
    cr_assert(
        proxy_choose(&(struct proxy_env){.https = "ftp://p", .none = "a"}, "https://a", &url, &err),
        "it is not needed");
    cr_assert_null(url);
}

Test(proxy, prefers_capitals_in_the_environment)
{
    (void)setenv("https_proxy", "small", 1);
    (void)setenv("HTTPS_PROXY", "", 1);
    (void)setenv("NO_PROXY", "capital", 1);
    (void)setenv("no_proxy", "small", 1);
    cr_assert_str_eq(proxy_env_read().https, "small");
    cr_assert_str_eq(proxy_env_read().none, "capital");
    (void)setenv("HTTPS_PROXY", "capital", 1);
    cr_assert_str_eq(proxy_env_read().https, "capital");
}
