/*
 * The egress guard.  A URL is parsed twice, by curl (which connects) and by a plain scan of its
 * authority; where the two disagree about the host the URL is refused, since every parser trick
 * lives in that gap.  Addresses are judged by networks; forms that carry an IPv4 address inside
 * (mapped, NAT64, 6to4) are judged by what they carry.
 */
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/io/httpc.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { url_bytes_max = 2048, host_bytes_max = 253, allow_max = 64, cidr_text_max = 64 };

struct network {
    int family;
    unsigned char addr[16];
    unsigned bits;
};

struct egress {
    struct network allow[allow_max];
    size_t n;
};

/* Everything that is not the public internet: IANA's special-purpose registries, and the metadata
 * address of a cloud that sits in a public range. */
static const char *const refused[] = {
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "168.63.129.16/32",
    /* IPv6: only 2000::/3 is global; what is not global within it. */
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "2620:4f:8000::/48",
};

/* Where an IPv4 address starts within the IPv6 one. */
static const struct {
    const char *network;
    unsigned at;
} carriers[] = {
    { "::ffff:0:0/96", 12 },
    { "64:ff9b::/96",  12 },
    { "2002::/16",     2  }
};

/* Names that mean this machine or its cloud whatever a resolver says. */
static const struct {
    const char *name, *addr;
} known[] = {
    { "localhost",                  "127.0.0.1"       },
    { "localhost.localdomain",      "127.0.0.1"       },
    { "ip6-localhost",              "::1"             },
    { "ip6-loopback",               "::1"             },
    { "metadata",                   "169.254.169.254" },
    { "metadata.google.internal",   "169.254.169.254" },
    { "instance-data.ec2.internal", "169.254.169.254" },
};

static unsigned family_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

static bool network_parse(const char *text, size_t n, struct network *ret)
{
    char t[cidr_text_max];
    uint64_t bits = 0;
    if (n == 0 || n >= sizeof(t))
        return false;
    memcpy(t, text, n);
    t[n] = '\0';
    char *slash = strchr(t, '/');
    if (slash)
        *slash = '\0';
    ret->family = strchr(t, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(ret->family, t, ret->addr) != 1)
        return false;
    if (slash && !str_to_u64(slash + 1, family_bits(ret->family), &bits))
        return false;
    ret->bits = slash ? (unsigned)bits : family_bits(ret->family);
    return true;
}

static bool network_holds(const struct network *net, int family, const unsigned char *addr)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (net->family != family || memcmp(net->addr, addr, whole) != 0)
        return false;
    return rest == 0 || (net->addr[whole] ^ addr[whole]) >> (8 - rest) == 0;
}

static bool table_holds(const char *network, int family, const unsigned char *addr)
{
    struct network net = { 0 };
    return network_parse(network, strlen(network), &net) && network_holds(&net, family, addr);
}

static bool allowed(const struct egress *e, int family, const unsigned char *addr)
{
    for (size_t i = 0; i < e->n; i++)
        if (network_holds(&e->allow[i], family, addr))
            return true;
    return false;
}

static bool is_public(int family, const unsigned char *addr)
{
    if (family == AF_INET6 && (addr[0] & 0xe0) != 0x20)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (table_holds(refused[i], family, addr))
            return false;
    return true;
}

static bool addr_ok(const struct egress *e, int family, const unsigned char *addr)
{
    if (allowed(e, family, addr))
        return true;
    for (size_t i = 0; family == AF_INET6 && i < ARRAY_LEN(carriers); i++)
        if (table_holds(carriers[i].network, AF_INET6, addr))
            return allowed(e, AF_INET, addr + carriers[i].at) ||
                   is_public(AF_INET, addr + carriers[i].at);
    return is_public(family, addr);
}

bool egress_allows(const struct egress *e, const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
        return addr_ok(e, AF_INET, (const unsigned char *)&in->sin_addr);
    }
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        return addr_ok(e, AF_INET6, in6->sin6_addr.s6_addr);
    }
    return false;
}

int egress_new(const char *allow, struct egress **ret, struct err *err)
{
    struct egress *e = calloc(1, sizeof(*e));
    if (!e)
        abort();
    for (const char *p = allow ? allow : ""; *p;) {
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (n == 0)
            break;
        if (e->n == allow_max || !network_parse(p, n, &e->allow[e->n])) {
            free(e);
            return err_set(err, E_config, "CMS365_EGRESS_ALLOW: \"%.*s\" is not a network.",
                           (int)(n < cidr_text_max ? n : cidr_text_max), p);
        }
        e->n++;
        p += n;
    }
    *ret = e;
    return 0;
}

void egress_free(struct egress *e)
{
    free(e);
}

/* --- URLs --- */

static int refuse(struct err *err, const char *why)
{
    return err_at(err, E_egress_refused, "/url", "%s", why);
}

/* Only what RFC 3986 allows unescaped; never a byte that two parsers may read differently. */
static const char *bytes_wrong(const char *url)
{
    size_t n = strlen(url);
    if (n == 0)
        return "The URL is empty.";
    if (n > url_bytes_max)
        return "The URL is longer than 2048 bytes.";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)url[i];
        if (c <= 0x20 || c == 0x7f)
            return "The URL has blanks or control characters.";
        if (c >= 0x80)
            return "The URL is not ASCII: write names in punycode and escape the rest.";
        if (strchr("\\<>\"^`{|}", c))
            return "The URL has characters that must be escaped.";
    }
    return NULL;
}

/* The host as written: between "//" and the port. */
static const char *host_written(const char *url, char ret[host_bytes_max + 3])
{
    size_t scheme = str_starts(url, "http://") ? 7 : str_starts(url, "https://") ? 8 : 0;
    if (!scheme)
        return "The URL does not start with http:// or https://.";
    const char *host = url + scheme;
    size_t n = strcspn(host, "/?#");
    if (memchr(host, '@', n))
        return "The URL has credentials in it.";
    if (memchr(host, '%', n))
        return "The URL's host is escaped.";
    const char *end = host[0] == '[' ? memchr(host, ']', n) : memchr(host, ':', n);
    if (host[0] == '[' && !end)
        return "The URL's host is not an address.";
    if (end)
        n = (size_t)(end - host) + (host[0] == '[');
    if (n == 0)
        return "The URL has no host.";
    if (n > host_bytes_max)
        return "The URL's host is too long.";
    memcpy(ret, host, n);
    ret[n] = '\0';
    return NULL;
}

/* A last label of digits, or 0x…: some parsers read such a name as an IPv4 address. */
static bool looks_numeric(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *label = dot ? dot + 1 : host;
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return true;
    return label[0] && label[strspn(label, "0123456789")] == '\0';
}

static bool labels_ok(const char *host)
{
    size_t run = 0;
    for (const char *p = host;; p++) {
        if (*p == '.' || *p == '\0') {
            if (run == 0 || run > 63 || p[-1] == '-')
                return false;
            run = 0;
            if (*p == '\0')
                return true;
            continue;
        }
        bool alnum =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!alnum && *p != '_' && (*p != '-' || run == 0))
            return false;
        run++;
    }
}

static const char not_public[] = "The URL points to an address that is not allowed.";

static const char *literal_wrong(const struct egress *e, int family, const char *text)
{
    unsigned char addr[16];
    if (inet_pton(family, text, addr) != 1)
        return "The URL's host is not an address: write IPv4 as four decimal numbers.";
    return addr_ok(e, family, addr) ? NULL : not_public;
}

static const char *name_wrong(const struct egress *e, const char *host)
{
    if (!labels_ok(host))
        return "The URL's host is not a name.";
    if (str_ends(host, ".localhost"))
        return literal_wrong(e, AF_INET, "127.0.0.1");
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_ieq(host, known[i].name))
            return literal_wrong(e, strchr(known[i].addr, ':') ? AF_INET6 : AF_INET, known[i].addr);
    return NULL;
}

static const char *host_wrong(const struct egress *e, char *host)
{
    size_t n = strlen(host);
    if (host[0] == '[') {
        host[n - 1] = '\0';
        const char *why = literal_wrong(e, AF_INET6, host + 1);
        host[n - 1] = ']';
        return why;
    }
    for (size_t i = 0; i < n; i++)
        if (host[i] >= 'A' && host[i] <= 'Z')
            host[i] = (char)(host[i] - 'A' + 'a');
    return looks_numeric(host) ? literal_wrong(e, AF_INET, host) : name_wrong(e, host);
}

/* What curl makes of it must be what the scan saw. */
static const char *curl_disagrees(const char *url, const char *host)
{
    const char *why = NULL;
    char *seen = NULL, *port = NULL;
    CURLU *u = curl_url();
    if (!u)
        abort();
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &seen, 0) != CURLUE_OK)
        why = "The URL is not valid.";
    else if (host[0] == '[' ? seen[0] != '[' : !str_ieq(seen, host))
        why = "The URL's host can be read in two ways.";
    else if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
             str_eq(port, "0"))
        why = "The URL's port is not valid.";
    curl_free(seen);
    curl_free(port);
    curl_url_cleanup(u);
    return why;
}

int egress_check_url(const struct egress *e, const char *url, struct err *err)
{
    char host[host_bytes_max + 3];
    const char *why = bytes_wrong(url);
    if (!why)
        why = host_written(url, host);
    if (!why)
        why = host_wrong(e, host);
    if (!why)
        why = curl_disagrees(url, host);
    return why ? refuse(err, why) : 0;
}
