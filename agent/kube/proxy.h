/*
 * proxy: through which proxy a server is reached, as Go's programs find it out from the environment, kubectl among them
 * (golang.org/x/net/http/httpproxy). libcurl reads the same variables otherwise, and is therefore told what to do.
 *
 * HTTPS_PROXY counts for https servers, HTTP_PROXY for http; ALL_PROXY for none. Of the two spellings the one in capitals
 * wins. "host:3128" stands for "http://host:3128". localhost and loopback addresses are always reached directly, and so is
 * what NO_PROXY names, a list split by ',': "*" (everything), addresses, networks ("10.0.0.0/8"; names are not looked up for
 * it), names ("a.b": itself and all below; ".a.b" and "*.a.b": only what is below). All but networks may end in ":PORT".
 */
#ifndef BRIM_AGENT_KUBE_PROXY_H
#define BRIM_AGENT_KUBE_PROXY_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

/* Values of the environment; NULL or empty: not set. */
struct proxy_env {
    const char *https, *http, *none;
};

struct proxy_env proxy_env_read(void);

/* Is it a URL of a kind of proxy that is spoken here? */
bool proxy_known(const char *url);

/*
 * Sets *ret_url to the proxy's URL, to be freed, or NULL: directly. `server` begins with "http://" or "https://".
 * ERR_INPUT: the environment names what is no proxy. O(length of NO_PROXY).
 */
bool proxy_choose(const struct proxy_env *env, const char *server, char **ret_url,
                  struct err *err) MUST_CHECK;

#endif
