/* Any list of networks, address or URL: both readers of a key's networks agree on what an address
 * is in, and no URL passes the guard that is not http or https, or that carries a name and
 * password.
 */
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/route_internal.h"
#include "common/kit/token_internal.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void check_list(struct arena *a, const char *text, const char *addr)
{
    struct nets nets = { 0 };
    struct networks *l = NULL;
    struct err err = { 0 };
    if (nets_parse(a, text, &nets, &err) == 0)
        (void)nets_have(&nets, addr);
    else
        assert(err.code == E_config && *err.msg);
    if (networks_parse(text, &l)) {
        assert(key_networks_ok(text));
        assert(!l || networks_hold(l, addr) == key_networks_hold(text, addr));
        free(l);
    } else {
        assert(!key_networks_ok(text) && !key_networks_hold(text, addr));
    }
}

static void check_url(const char *url)
{
    static struct egress *guard;
    struct err err = { 0 };
    if (!guard && egress_new("", &guard, &err))
        abort();
    if (egress_check_url(guard, url, &err)) {
        assert(err.code && *err.msg);
        return;
    }
    char head[9] = "";
    for (size_t i = 0; i < 8 && url[i]; i++)
        head[i] = (char)(url[i] >= 'A' && url[i] <= 'Z' ? url[i] | 32 : url[i]);
    assert(str_starts(head, "http://") || str_starts(head, "https://"));
    const char *host = strstr(url, "://") + 3;
    assert(!memchr(host, '@', strcspn(host, "/?#")));
}

/* The first line is an address, the rest a list and a URL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    struct arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data, size), *rest = strchr(text, '\n');
    if (rest)
        *rest++ = '\0';
    check_list(a, rest ? rest : text, text);
    check_url(rest ? rest : text);
    arena_free(a);
    return 0;
}
