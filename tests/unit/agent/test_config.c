#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kube/config.h"
#include "base/alloc.h"

static char dir[64];

static void setup(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/brim-config-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(config, .init = setup, .fini = teardown);

/* The path lives in one of a few static buffers. */
static const char *path_of(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
    return path;
}

#define PEM(name) "-----BEGIN " name "-----\nZm9v\n-----END " name "-----\n"

#define KUBECONFIG(cluster, user)                                                                  \
    "apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                           \
    "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"                                     \
    "clusters:\n- name: k\n  cluster:\n    " cluster "\n"                                          \
    "users:\n- name: u\n  user:\n    " user "\n"

Test(config, reads_all_that_a_kubeconfig_says)
{
    struct kube_config c;
    struct err err = {0};

    (void)write_file("tok", "abc\n");
    (void)write_file("cert", PEM("cert"));
    cr_assert_eq(mkdir(path_of("sub"), 0700), 0);
    (void)write_file("sub/key", PEM("key"));
    cr_assert(
        kube_config_load(
            &(struct kube_config_options){
                .kubeconfig = write_file(
                    "config",
                    "current-context: dev\n"
                    "contexts:\n- {name: dev, context: {cluster: k, user: u, namespace: work}}\n"
                    "clusters:\n- name: k\n  cluster:\n    server: https://[::1]:6443/prefix/\n"
                    "    certificate-authority-data: Zm9v\n    tls-server-name: api.example\n"
                    "    proxy-url: socks5://proxy:1080\n"
                    "users:\n- name: u\n  user:\n    tokenFile: tok\n    client-certificate: cert\n"
                    "    client-key: sub/key\n    as: jane\n    as-uid: '7'\n    as-groups: [a, b "
                    "c]\n"
                    "    as-user-extra: {'scopes/x': [view]}\n")},
            &c, &err),
        "%s", err.text);
    cr_assert_str_eq(c.server, "https://[::1]:6443/prefix");
    cr_assert_not(c.plain);
    cr_assert_not(c.insecure);
    cr_assert_str_eq(strbuf_str(&c.ca_pem), "foo");
    cr_assert_null(c.ca_file);
    cr_assert_str_eq(c.tls_server_name, "api.example");
    cr_assert_str_eq(c.proxy_url, "socks5://proxy:1080");
    cr_assert_str_eq(c.token, "abc");
    cr_assert_str_eq(c.token_file, path_of("tok"));
    cr_assert_str_eq(c.cert_file, path_of("cert"));
    cr_assert_str_eq(c.key_file, path_of("sub/key"));
    cr_assert_str_eq(strbuf_str(&c.cert_pem), PEM("cert"));
    cr_assert_str_eq(strbuf_str(&c.key_pem), PEM("key"));
    cr_assert_null(c.exec);
    cr_assert_str_eq(c.ns, "work");
    cr_assert_str_eq(c.context, "dev");
    cr_assert_eq(c.n_impersonate, 5);
    cr_assert_str_eq(c.impersonate[0], "Impersonate-User: jane");
    cr_assert_str_eq(c.impersonate[1], "Impersonate-Uid: 7");
    cr_assert_str_eq(c.impersonate[3], "Impersonate-Group: b c");
    cr_assert_str_eq(c.impersonate[4], "Impersonate-Extra-scopes%2Fx: view");
    kube_config_done(&c);
}

#define EXEC(fields) KUBECONFIG("server: https://a", "exec: {" fields "}")
#define V1           "apiVersion: client.authentication.k8s.io/v1"

/* %s in an error stands for the file's path. */
static const struct {
    const char *name, *text, *error;
} mistakes[] = {
    {"broken YAML", "a: [\n", NULL},
    {"no mapping", "- a\n", "%s:1:1: found a list, expected a mapping"},
    {"no current-context", "clusters: []\n",
     "%s: no current-context is set and no context was asked for"},
    {"unknown context", "current-context: x\n", "%s: no context named 'x'"},
    {"twice the same name",
     KUBECONFIG("server: https://a", "token: t") "- name: u\n  user: {token: v}\n",
     "%s:15:3: users: a second entry is named 'u'"},
    {"no server", KUBECONFIG("insecure-skip-tls-verify: true", "token: t"),
     "%s: the cluster has no server"},
    {"strange server", KUBECONFIG("server: ftp://a", "token: t"),
     "%s:10:13: server: found 'ftp://a', expected https://HOST or http://HOST"},
    {"server without a host", KUBECONFIG("server: https:///x", "token: t"),
     "%s:10:13: server: 'https:///x' is not a URL of host, port (1 to 65535) and path"},
    {"a port that is too large", KUBECONFIG("server: https://a:65536", "token: t"),
     "%s:10:13: server: 'https://a:65536' is not a URL of host, port (1 to 65535) and path"},
    {"a port that is none", KUBECONFIG("server: https://a:6443x/y", "token: t"),
     "%s:10:13: server: 'https://a:6443x/y' is not a URL of host, port (1 to 65535) and path"},
    {"both CA and data",
     KUBECONFIG("{server: 'https://a', certificate-authority: x, certificate-authority-data: Zm9v}",
                "token: t"),
     "%s:10:81: both certificate-authority and certificate-authority-data are given, expected one"},
    {"CA and insecure",
     KUBECONFIG("{server: 'https://a', certificate-authority: x, insecure-skip-tls-verify: true}",
                "token: t"),
     "%s:10:79: insecure-skip-tls-verify: true, but a certificate authority is given too"},
    {"data that is no base64",
     KUBECONFIG("{server: 'https://a', certificate-authority-data: '*'}", "token: t"),
     "%s:10:55: certificate-authority-data: expected base64"},
    {"text where a bool belongs",
     KUBECONFIG("{server: 'https://a', insecure-skip-tls-verify: 'yes'}", "token: t"),
     "%s:10:53: insecure-skip-tls-verify: expected true or false"},
    {"half a certificate", KUBECONFIG("server: https://a", "client-certificate: x"),
     "%s:14:5: found one of client-certificate and client-key, expected both"},
    {"token and password", KUBECONFIG("server: https://a", "{token: t, username: u}"),
     "%s:14:5: found both a token and a username, expected one"},
    {"a list for a token", KUBECONFIG("server: https://a", "token: [t]"),
     "%s:14:12: token: found a list, expected text"},
    {"a line break in a token", KUBECONFIG("server: https://a", "token: \"a\\nHost: b\""),
     "%s:14:12: token: found a control character"},
    {"exec that is no mapping", KUBECONFIG("server: https://a", "exec: aws"),
     "%s:14:11: exec: expected a mapping"},
    {"exec without a version", EXEC("command: aws-iam"),
     "%s:14:11: exec: apiVersion: found '', expected client.authentication.k8s.io/v1 or "
     "client.authentication.k8s.io/v1beta1"},
    {"exec of an old version",
     EXEC("command: a, apiVersion: client.authentication.k8s.io/v1alpha1"),
     "%s:14:11: exec: apiVersion: found 'client.authentication.k8s.io/v1alpha1', expected "
     "client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1"},
    {"exec without a command", EXEC(V1), "%s:14:11: exec: found no command"},
    {"exec without a mode", EXEC("command: a, " V1),
     "%s:14:11: exec: interactiveMode: expected Never, IfAvailable or Always"},
    {"exec of an unknown mode", EXEC("command: a, interactiveMode: Often, " V1),
     "%s:14:11: exec: interactiveMode: expected Never, IfAvailable or Always"},
    {"exec that must ask", EXEC("command: a, interactiveMode: Always, " V1),
     "%s:14:11: exec: 'a' wants to ask at the terminal (interactiveMode: Always), which brim never "
     "does: use a token or a certificate"},
    {"args that are no list", EXEC("command: a, args: x, interactiveMode: Never, " V1),
     "%s:14:30: args: found a scalar, expected a list"},
    {"an arg that is no text", EXEC("command: a, args: [[x]], interactiveMode: Never, " V1),
     "%s:14:31: args: expected a text"},
    {"an arg with a NUL", EXEC("command: a, args: [\"x\\0\"], interactiveMode: Never, " V1),
     "%s:14:31: args: expected a text"},
    {"env without a value", EXEC("command: a, env: [{name: x}], interactiveMode: Never, " V1),
     "%s:14:30: env: expected a name and a value"},
    {"env with a strange name",
     EXEC("command: a, env: [{name: 'x=', value: y}], interactiveMode: Never, " V1),
     "%s:14:30: env: expected a name and a value"},
    {"auth provider", KUBECONFIG("server: https://a", "{token: t, auth-provider: {name: oidc}}"),
     "%s:14:31: auth-provider 'oidc' is not supported: use exec, a token or a certificate"},
    {"strange proxy", KUBECONFIG("{server: 'https://a', proxy-url: 'gopher://x'}", "token: t"),
     "%s:10:38: proxy-url: expected http://, https:// or socks5://"},
    {"groups that are no list", KUBECONFIG("server: https://a", "as-groups: x"),
     "%s:14:16: expected a list of texts"},
};

Test(config, says_what_is_wrong_and_where)
{
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        const char *path = write_file("config", mistakes[i].text);
        struct kube_config c;
        struct err err = {0};
        struct strbuf expected;

        cr_assert_not(kube_config_load(&(struct kube_config_options){.kubeconfig = path}, &c, &err),
                      "%s", mistakes[i].name);
        cr_assert_eq(err.kind, ERR_INPUT, "%s: %s", mistakes[i].name, err.text);
        cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s: %s", mistakes[i].name,
                     err.text);
        if (mistakes[i].error == NULL)
            continue;
        strbuf_init(&expected, 1000);
        (void)strbuf_addf(&expected, "%s%s", path, mistakes[i].error + 2);
        cr_assert_str_eq(err.text, strbuf_str(&expected), "%s: found %s", mistakes[i].name,
                         err.text);
        strbuf_done(&expected);
    }
}

/* NULL: refused. */
static void expect_server(const char *given, const char *server, bool plain)
{
    struct kube_config c;
    struct strbuf text;
    struct err err = {0};
    bool ok;

    strbuf_init(&text, 4096);
    (void)strbuf_addf(&text, KUBECONFIG("server: '%s'", "token: t"), given);
    ok = kube_config_load(
        &(struct kube_config_options){.kubeconfig = write_file("config", strbuf_str(&text))}, &c,
        &err);
    cr_expect_eq(ok, server != NULL, "%s: %s", given, err.text);
    if (ok && server != NULL)
        cr_expect(strcmp(c.server, server) == 0 && c.plain == plain, "%s: found %s, expected %s",
                  given, c.server, server);
    if (ok)
        kube_config_done(&c);
    strbuf_done(&text);
}

/* Whatever is taken here libcurl can go to, and nothing is told only when the first request fails. */
Test(config, takes_the_servers_that_can_be_reached)
{
    static const struct {
        const char *given, *server;
        bool plain;
    } rows[] = {
        {"HTTPS://Api.Example:443/X/", "https://Api.Example:443/X", false},
        {"Http://127.0.0.1:8080", "http://127.0.0.1:8080", true},
        {"https://a:", "https://a:", false},
        {"https://[::1]", "https://[::1]", false},
        {"https://[fe80::1%25eth0]:1/", "https://[fe80::1%25eth0]:1", false},
        {"https://b\xc3\xbc_r-1.x:65535//", "https://b\xc3\xbc_r-1.x:65535", false},
        {"https://", NULL, false},
        {"https://:1", NULL, false},
        {"https://a:0", NULL, false},
        {"https://a:-1", NULL, false},
        {"https://a:1:2", NULL, false},
        {"https://a%41", NULL, false},
        {"https://a,b", NULL, false},
        {"https://a\\b", NULL, false},
        {"https://u@a", NULL, false},
        {"https://[::1", NULL, false},
        {"https://[::1]x", NULL, false},
        {"https://[::1]:x", NULL, false},
        {"https://[1.2.3.4]", NULL, false},
        {"https://[::1%]", NULL, false},
        {"https://[::1%25aaaaaaaaaaaaaaaa]", NULL, false},
        {"https://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL, false},
        {"https//a", NULL, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_server(rows[i].given, rows[i].server, rows[i].plain);
}

/* As kubectl does, which goes by YAML 1.1. */
Test(config, takes_for_true_and_false_what_yaml_does)
{
    static const struct {
        const char *word;
        bool is_bool, value;
    } rows[] = {
        {"true", true, true},   {"True", true, true},     {"TRUE", true, true},
        {"yes", true, true},    {"On", true, true},       {"y", true, true},
        {"false", true, false}, {"False", true, false},   {"NO", true, false},
        {"off", true, false},   {"N", true, false},       {"~", true, false},
        {"tRUE", false, false}, {"'true'", false, false}, {"1", false, false},
        {"[]", false, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_config c;
        struct err err = {0};
        char text[1000];
        bool ok;

        (void)snprintf(
            text, sizeof text,
            KUBECONFIG("{server: 'https://a', insecure-skip-tls-verify: %s}", "token: t"),
            rows[i].word);
        ok = kube_config_load(
            &(struct kube_config_options){.kubeconfig = write_file("config", text)}, &c, &err);
        cr_assert_eq(ok, rows[i].is_bool, "%s: %s", rows[i].word, err.text);
        if (!ok)
            continue;
        cr_assert_eq(c.insecure, rows[i].value, "%s", rows[i].word);
        kube_config_done(&c);
    }
}

Test(config, reads_anchors_and_aliases)
{
    struct kube_config c;
    struct err err = {0};

    cr_assert(kube_config_load(
                  &(struct kube_config_options){
                      .kubeconfig = write_file(
                          "config", "current-context: b\n"
                                    "contexts:\n- {name: a, context: &a {cluster: k, user: u}}\n"
                                    "- {name: b, context: *a}\n"
                                    "clusters: [{name: k, cluster: {server: 'https://k'}}]\n"
                                    "users: [{name: u, user: {token: t}}]\n")},
                  &c, &err),
              "%s", err.text);
    cr_assert_str_eq(c.context, "b");
    cr_assert_str_eq(c.token, "t");
    kube_config_done(&c);
}

Test(config, merges_a_list_entry_by_entry)
{
    struct kube_config c;
    struct err err = {0};
    struct strbuf list;

    strbuf_init(&list, 1000);
    (void)write_file("one", "clusters: [{name: k, cluster: {server: 'https://first'}}]\n");
    (void)write_file("two", "current-context: b\nclusters: [{name: k, cluster: {server: "
                            "'https://second', tls-server-name: x}}]\n"
                            "contexts: [{name: b, context: {cluster: k, user: u}}]\nusers: [{name: "
                            "u, user: {token: two}}]\n");
    (void)write_file("three", "current-context: z\nusers: [{name: u, user: {token: three}}, {name: "
                              "v, user: {token: v}}]\n"
                              "contexts: [{name: other, context: {cluster: k, user: v}}]\n");
    (void)strbuf_addf(&list, "%s:%s::%s:%s", path_of("missing"), path_of("one"), path_of("two"),
                      path_of("three"));
    cr_assert(
        kube_config_load(&(struct kube_config_options){.env_list = strbuf_str(&list)}, &c, &err),
        "%s", err.text);
    cr_assert_str_eq(c.server, "https://first");
    cr_assert_null(c.tls_server_name, "entries are not merged field by field");
    cr_assert_str_eq(c.token, "two");
    cr_assert_str_eq(c.ns, "default");
    kube_config_done(&c);

    cr_assert(kube_config_load(
                  &(struct kube_config_options){.env_list = strbuf_str(&list), .context = "other"},
                  &c, &err),
              "%s", err.text);
    cr_assert_str_eq(c.token, "v");
    kube_config_done(&c);
    strbuf_done(&list);
}

Test(config, goes_by_its_order)
{
    const char *named = write_file("named", KUBECONFIG("server: https://named", "token: t"));
    struct kube_config c;
    struct err err = {0};

    cr_assert_eq(mkdir(path_of(".kube"), 0700), 0);
    (void)write_file(".kube/config", KUBECONFIG("server: https://home", "token: t"));
    cr_assert(kube_config_load(
        &(struct kube_config_options){.kubeconfig = named, .env_list = "/nowhere", .home = dir}, &c,
        &err));
    cr_assert_str_eq(c.server, "https://named");
    kube_config_done(&c);
    cr_assert(
        kube_config_load(&(struct kube_config_options){.env_list = named, .home = dir}, &c, &err));
    cr_assert_str_eq(c.server, "https://named");
    kube_config_done(&c);
    cr_assert(kube_config_load(&(struct kube_config_options){.home = dir}, &c, &err), "%s",
              err.text);
    cr_assert_str_eq(c.server, "https://home");
    kube_config_done(&c);

    cr_assert_not(kube_config_load(
        &(struct kube_config_options){.kubeconfig = "/nowhere/config", .home = dir}, &c, &err));
    cr_assert_eq(err.kind, ERR_NOT_FOUND);
}

Test(config, names_the_files_that_it_looked_for)
{
    static const struct {
        struct kube_config_options options;
        const char *want;
    } rows[] = {
        {{.home = "/nowhere"}, "/nowhere/.kube/config"},
        {{.home = "/nowhere", .env_list = ""}, "/nowhere/.kube/config"},
        {{.home = "/nowhere", .env_list = "/nope:/no/more"}, "(/nope:/no/more)"},
        {{.home = ""}, "neither $KUBECONFIG nor $HOME is set"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_config c;
        struct err err = {0};

        cr_assert_not(kube_config_load(&rows[i].options, &c, &err));
        cr_expect_eq(err.kind, ERR_NOT_FOUND);
        cr_expect_not_null(strstr(err.text, rows[i].want), "no '%s' in: %s", rows[i].want,
                           err.text);
    }
}

Test(config, finds_its_way_inside_a_pod)
{
    struct kube_config_options o = {
        .service_host = "fd00::1", .service_port = "443", .account_dir = dir};
    struct kube_config c;
    struct err err = {0};

    cr_assert_not(kube_config_load(&o, &c, &err));
    cr_assert_not_null(strstr(err.text, "token file"), "%s", err.text);
    (void)write_file("token", " tok1\n");
    cr_assert_not(kube_config_load(&o, &c, &err));
    cr_assert_not_null(strstr(err.text, "certificate authority"), "%s", err.text);
    (void)write_file("ca.crt", PEM("one"));
    (void)write_file("namespace", "filler\n");
    cr_assert(kube_config_load(&o, &c, &err), "%s", err.text);
    cr_assert(c.in_cluster);
    cr_assert_str_eq(c.server, "https://[fd00::1]:443");
    cr_assert_str_eq(c.token, "tok1");
    cr_assert_str_eq(c.ns, "filler");
    cr_assert_str_eq(c.ca_file, path_of("ca.crt"));
    cr_assert_str_eq(strbuf_str(&c.ca_pem), PEM("one"));

    (void)write_file("token", "tok2");
    cr_assert(kube_config_read_token(&c, &err));
    cr_assert_str_eq(c.token, "tok2");
    (void)write_file("token", "a\nb");
    cr_assert_not(kube_config_read_token(&c, &err));
    cr_assert_str_eq(c.token, "tok2", "a broken file leaves the old token");
    cr_assert_eq(unlink(path_of("token")), 0);
    cr_assert_not(kube_config_read_token(&c, &err));
    cr_assert_str_eq(c.token, "tok2");
    kube_config_done(&c);
}

Test(config, keeps_no_credentials_for_plain_http)
{
    struct kube_config c;
    struct err err = {0};

    cr_assert(
        kube_config_load(
            &(struct kube_config_options){
                .kubeconfig = write_file(
                    "config", KUBECONFIG("server: http://127.0.0.1:8080/", "{token: t, as: x}"))},
            &c, &err),
        "%s", err.text);
    cr_assert(c.plain);
    cr_assert_str_eq(c.server, "http://127.0.0.1:8080");
    cr_assert_null(c.token);
    cr_assert_eq(c.n_impersonate, 0);
    kube_config_done(&c);
}

Test(config, reads_certificates_again_whole_or_not_at_all)
{
    const char *path =
        write_file("config", KUBECONFIG("{server: 'https://a', certificate-authority: ca}",
                                        "{client-certificate: cert, client-key: key}"));
    struct kube_config c;
    struct err err = {0};
    bool changed = true;

    (void)write_file("ca", PEM("ca"));
    (void)write_file("cert", PEM("cert"));
    cr_assert_not(kube_config_load(&(struct kube_config_options){.kubeconfig = path}, &c, &err));
    cr_assert_not_null(strstr(err.text, "client key: "), "%s", err.text);
    (void)write_file("key", PEM("key"));
    cr_assert(kube_config_load(&(struct kube_config_options){.kubeconfig = path}, &c, &err), "%s",
              err.text);

    cr_assert(kube_config_read_tls(&c, &changed, &err));
    cr_assert_not(changed);
    (void)write_file("cert", PEM("new") PEM("chain"));
    (void)write_file("key", "-----BEGIN key-----\nZm9v\n-----END k");
    cr_assert_not(kube_config_read_tls(&c, &changed, &err));
    cr_assert_str_eq(strbuf_str(&c.cert_pem), PEM("cert"), "half of a pair is not taken");
    cr_assert_not_null(strstr(err.text, "found no whole PEM text"), "%s", err.text);
    (void)write_file("key", PEM("newkey"));
    cr_assert(kube_config_read_tls(&c, &changed, &err), "%s", err.text);
    cr_assert(changed);
    cr_assert_str_eq(strbuf_str(&c.cert_pem), PEM("new") PEM("chain"));
    cr_assert_str_eq(strbuf_str(&c.key_pem), PEM("newkey"));
    cr_assert_str_eq(strbuf_str(&c.ca_pem), PEM("ca"));
    cr_assert_eq(unlink(path_of("ca")), 0);
    cr_assert_not(kube_config_read_tls(&c, &changed, &err));
    cr_assert_str_eq(strbuf_str(&c.ca_pem), PEM("ca"));
    kube_config_done(&c);
}

/* Nobody writes to these pipes: who waited for one would wait for ever. */
Test(config, waits_for_no_pipe)
{
    static const struct {
        const char *cluster, *user, *what;
    } rows[] = {
        {"server: https://a", "tokenFile: pipe", "token file: "},
        {"{server: 'https://a', certificate-authority: pipe}", "token: t",
         "certificate authority: "},
        {"server: https://a", "tokenFile: .", "token file: "},
    };

    cr_assert_eq(mkfifo(path_of("pipe"), 0600), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_config c;
        struct strbuf text;
        struct err err = {0};

        strbuf_init(&text, 4096);
        (void)strbuf_addf(&text, KUBECONFIG("%s", "%s"), rows[i].cluster, rows[i].user);
        cr_assert_not(kube_config_load(
            &(struct kube_config_options){.kubeconfig = write_file("config", strbuf_str(&text))},
            &c, &err));
        cr_expect_eq(err.kind, ERR_INPUT);
        cr_expect_eq(strncmp(err.text, rows[i].what, strlen(rows[i].what)), 0, "%s", err.text);
        cr_expect_not_null(strstr(err.text, ": found no ordinary file, expected one"), "%s",
                           err.text);
        strbuf_done(&text);
    }
}

Test(config, reads_a_kubeconfig_from_a_pipe)
{
    const char *text = KUBECONFIG("server: https://a", "token: t");
    struct kube_config c;
    struct err err = {0};
    char path[32];
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(close(ends[1]), 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    cr_assert(kube_config_load(&(struct kube_config_options){.kubeconfig = path}, &c, &err), "%s",
              err.text);
    cr_assert_str_eq(c.token, "t");
    kube_config_done(&c);
    (void)close(ends[0]);
}

static void load_exec(const char *cluster, const char *exec, struct kube_config *ret_config)
{
    struct strbuf text;
    struct err err = {0};

    strbuf_init(&text, 64 << 10);
    (void)strbuf_addf(
        &text,
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters:\n- name: k\n  cluster:\n%s\nusers:\n- name: u\n  user:\n    exec:\n%s",
        cluster, exec);
    cr_assert(
        kube_config_load(
            &(struct kube_config_options){.kubeconfig = write_file("config", strbuf_str(&text)),
                                          .proxy = {.https = "proxy:3128", .none = "b"}},
            ret_config, &err),
        "%s", err.text);
    strbuf_done(&text);
}

Test(config, knows_how_to_run_a_program_for_credentials)
{
    struct kube_config c;

    load_exec("    server: https://a",
              "      apiVersion: client.authentication.k8s.io/v1beta1\n      command: bin/login\n"
              "      args: [-a, 'b c']\n      env: [{name: REGION, value: ''}]\n"
              "      installHint: |\n        get it\n        somewhere\n",
              &c);
    cr_assert_not_null(c.exec);
    cr_assert_str_eq(c.exec->argv[0], path_of("bin/login"), "a path goes by the file's folder");
    cr_assert_str_eq(c.exec->argv[1], "-a");
    cr_assert_str_eq(c.exec->argv[2], "b c");
    cr_assert_null(c.exec->argv[3]);
    cr_assert_str_eq(c.exec->env[0], "REGION=");
    cr_assert_str_eq(c.exec->env[1],
                     "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":"
                     "\"client.authentication.k8s.io/v1beta1\",\"spec\":{\"interactive\":false}}");
    cr_assert_null(c.exec->env[2]);
    cr_assert_str_eq(c.exec->install_hint, "get it somewhere");
    cr_assert_str_eq(c.proxy_url, "http://proxy:3128");
    kube_config_done(&c);
}

Test(config, tells_the_program_about_the_cluster)
{
    struct kube_config c;

    (void)write_file("ca", PEM("ca"));
    load_exec("    server: https://b:1/\n    certificate-authority: ca\n    tls-server-name: n\n"
              "    extensions:\n    - {name: other, extension: 1}\n"
              "    - name: client.authentication.k8s.io/exec\n"
              "      extension: {a: [1, -2.5, '3', true, null, x y, 'no', No], b: {}}",
              "      " V1 "\n      command: login\n      interactiveMode: IfAvailable\n"
              "      provideClusterInfo: true\n",
              &c);
    cr_assert_str_eq(c.exec->argv[0], "login");
    cr_assert_str_eq(
        c.exec->env[0],
        "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":"
        "\"client.authentication.k8s.io/v1\",\"spec\":{\"interactive\":false,\"cluster\":{"
        "\"server\":\"https://b:1\",\"tls-server-name\":\"n\",\"certificate-authority-data\":"
        "\"LS0tLS1CRUdJTiBjYS0tLS0tClptOXYKLS0tLS1FTkQgY2EtLS0tLQo=\","
        "\"config\":{\"a\":[1,-2.5,\"3\",true,null,\"x y\",\"no\",false],\"b\":{}}}}}");
    cr_assert_null(c.proxy_url, "NO_PROXY names the host");
    kube_config_done(&c);
}

Test(config, runs_no_program_beside_a_token)
{
    struct kube_config c;
    struct err err = {0};

    cr_assert(
        kube_config_load(
            &(struct kube_config_options){
                .kubeconfig = write_file(
                    "config", KUBECONFIG("server: https://a", "{token: t, exec: {command: x}}"))},
            &c, &err),
        "%s", err.text);
    cr_assert_null(c.exec);
    kube_config_done(&c);
}
