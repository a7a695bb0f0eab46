#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

#include <arpa/inet.h>

/* --- networks ------------------------------------------------------------------------------------
 */

static bool addr_parse(const char *text, unsigned char out[16], bool *ret_four)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, text, &four) == 1) {
        memset(out, 0, 10);
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &four, 4);
        *ret_four = true;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    memcpy(out, &six, 16);
    *ret_four = IN6_IS_ADDR_V4MAPPED(&six);
    return true;
}

static bool net_parse(struct arena *a, const char *s, size_t n, struct net *ret)
{
    char *text = arena_strndup(a, s, n);
    char *slash = strchr(text, '/');
    bool four = false;
    if (slash)
        *slash = '\0';
    if (!addr_parse(text, ret->addr, &four))
        return false;
    bool written_four = four && !strchr(text, ':');
    int64_t bits = written_four ? 32 : 128;
    if (slash && !str_to_i64(slash + 1, 0, bits, &bits))
        return false;
    ret->bits = (unsigned)bits + (written_four ? 96 : 0);
    return true;
}

int nets_parse(struct arena *a, const char *text, struct nets *ret, struct err *err)
{
    struct nets nets = { .v = arena_alloc(a, (strlen(text) / 2 + 1) * sizeof *nets.v) };
    for (const char *p = text; *p;) {
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (!n)
            break;
        if (!net_parse(a, p, n, &nets.v[nets.n++]))
            return err_set(err, E_config, "%.*s is not a network", (int)n, p);
        p += n;
    }
    *ret = nets;
    return 0;
}

static bool is_in(const struct nets *nets, const char *addr)
{
    unsigned char a[16];
    bool four;
    if (!addr_parse(addr, a, &four))
        return false;
    for (size_t i = 0; i < nets->n; i++) {
        const struct net *net = &nets->v[i];
        unsigned whole = net->bits / 8, rest = net->bits % 8;
        unsigned char mask = (unsigned char)(0xff00U >> rest);
        if (!memcmp(a, net->addr, whole) && (!rest || !((a[whole] ^ net->addr[whole]) & mask)))
            return true;
    }
    return false;
}

/* Asked for each request, and nearly always of the same gateway or the same client. */
bool nets_have(const struct nets *nets, const char *addr)
{
    static _Thread_local struct {
        const struct net *of; /* of one configuration, which lives as long as the process */
        char addr[INET6_ADDRSTRLEN];
        bool in;
    } last;
    if (!nets->n)
        return false;
    if (last.of == nets->v && strcmp(last.addr, addr) == 0)
        return last.in;
    bool in = is_in(nets, addr);
    size_t n = strlen(addr);
    last.of = n < sizeof last.addr ? nets->v : NULL;
    memcpy(last.addr, addr, last.of ? n + 1 : 0);
    last.in = in;
    return in;
}

/* The right-most address that is not a proxy of ours; what is left of it anyone may have written.
 */
static const char *client_addr(const struct call *c)
{
    const char *addr = c->http->peer;
    if (!nets_have(&c->rt->proxies, addr))
        return addr;
    const char *list = http_header(c->http, "X-Forwarded-For");
    size_t end = list ? strlen(list) : 0;
    while (end) {
        size_t begin = end;
        while (begin && list[begin - 1] != ',')
            begin--;
        const char *s = list + begin;
        size_t n = end - begin;
        s += strspn(s, " \t");
        n -= (size_t)(s - (list + begin));
        while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
            n--;
        char *entry = arena_strndup(c->req.arena, s, n);
        unsigned char bytes[16];
        bool four;
        if (!addr_parse(entry, bytes, &four))
            return addr;
        addr = entry;
        if (!nets_have(&c->rt->proxies, addr))
            return addr;
        end = begin ? begin - 1 : 0;
    }
    return addr;
}

/* --- names of the request ------------------------------------------------------------------------
 */

static bool request_id_ok(const char *s)
{
    size_t n = 0;
    for (; *s; s++) {
        bool alnum = (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z');
        if ((!alnum && *s != '.' && *s != '_' && *s != '-') || ++n > 64)
            return false;
    }
    return n > 0;
}

static bool hex_field(const char *s, size_t n)
{
    bool zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
        zero &= s[i] == '0';
    }
    return !zero || n == 2;
}

/* W3C Trace Context §3.2.2; versions after 00 may have more behind the flags. */
static bool traceparent_ok(const char *s)
{
    if (strlen(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || !hex_field(s, 2) ||
        !hex_field(s + 3, 32) || !hex_field(s + 36, 16) || !hex_field(s + 53, 2))
        return false;
    if (str_starts(s, "ff"))
        return false;
    return str_starts(s, "00") ? s[55] == '\0' : s[55] == '\0' || s[55] == '-';
}

/* A trace that begins here has the name of its first request, if we made that: one search finds
 * both, and chance is dear.  Its right half is chance, as W3C Trace Context §3.2.2.3 asks for. */
static void begin_trace(const struct call *c, const char *id, char out[33])
{
    unsigned char seed[16];
    if (!c->own_id) {
        random_bytes(seed, sizeof seed);
        hex_encode(seed, sizeof seed, out);
        return;
    }
    for (size_t i = 0, n = 0; i < uuid_len; i++)
        if (id[i] != '-')
            out[n++] = id[i];
}

void route_identify(struct call *c)
{
    struct req *req = &c->req;
    const char *id = http_header(c->http, "X-Request-Id");
    const char *parent = http_header(c->http, "traceparent");
    unsigned char seed[8];
    char trace[33], span[17];
    if (!id || !request_id_ok(id)) {
        char *minted = arena_raw(req->arena, uuid_len + 1);
        uuid7(minted);
        id = minted;
        c->own_id = true;
    }
    random_bytes(seed, sizeof seed);
    hex_encode(seed, sizeof seed, span);
    char *own = arena_raw(req->arena, 56);
    memcpy(own, "00-", 3);
    bool follow = parent && traceparent_ok(parent);
    if (!follow)
        begin_trace(c, id, trace);
    memcpy(own + 3, follow ? parent + 3 : trace, 32);
    own[35] = '-';
    memcpy(own + 36, span, 16); /* this hop's own span */
    own[52] = '-';
    memcpy(own + 53, follow ? parent + 53 : "01", 2);
    own[55] = '\0';
    memcpy(c->parent_span, follow ? parent + 36 : "", follow ? 16 : 0);
    req->request_id = id;
    req->traceparent = own;
    req->client_addr = client_addr(c);
    size_t n = strlen(id);
    n = n < sizeof c->log.request_id ? n : sizeof c->log.request_id - 1;
    memcpy(c->log.request_id, id, n);
    c->log.request_id[n] = '\0';
    memcpy(c->log.trace_id, own + 3, 32);
    c->log.trace_id[32] = '\0';
}
