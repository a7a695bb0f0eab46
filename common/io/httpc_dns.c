/*
 * Names by c-ares on the loop: one look-up a name however many wait for it, kept for its TTL.
 * curl would take a thread a look-up.
 */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc_internal.h"

#include <sys/epoll.h>

/* Waits twice as long before each try: a packet that is lost costs half a second, a silent name
 * server seven. */
enum { ares_timeout_ms = 500, ares_tries = 4, tick_us = 50 * 1000 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct dns_entry **bucket(struct httpc *c, const char *host)
{
    return &c->dns[crc32_of(host, strlen(host)) & (dns_buckets - 1)];
}

static void sweep(struct httpc *c, int64_t now)
{
    for (size_t i = 0; i < dns_buckets; i++)
        for (struct dns_entry **p = &c->dns[i]; *p;) {
            struct dns_entry *e = *p;
            if (e->pending || e->until_us > now) {
                p = &e->next;
                continue;
            }
            *p = e->next;
            c->dns_entries--;
            free(e);
        }
}

static struct dns_entry *entry_of(struct httpc *c, const char *host, int64_t now)
{
    struct dns_entry *e = *bucket(c, host);
    while (e && !str_eq(e->host, host))
        e = e->next;
    if (e)
        return e;
    if (c->dns_entries >= dns_entries_max)
        sweep(c, now);
    e = calloc(1, sizeof(*e));
    must(e);
    e->c = c;
    snprintf(e->host, sizeof(e->host), "%s", host);
    struct dns_entry **head = bucket(c, host);
    e->next = *head;
    *head = e;
    c->dns_entries++;
    return e;
}

/* Only what the guard lets through is kept; a name with nothing left is refused. */
static int64_t take_addresses(struct dns_entry *e, const struct ares_addrinfo *found)
{
    int64_t ttl = dns_ttl_max_s;
    bool any = false;
    e->n = 0;
    for (const struct ares_addrinfo_node *a = found->nodes; a; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(e->addr[0]))
            continue;
        any = true;
        if (a->ai_ttl >= 0 && a->ai_ttl < ttl)
            ttl = a->ai_ttl;
        if (e->n < addrs_max && egress_allows(e->c->egress, a->ai_addr))
            memcpy(&e->addr[e->n++], a->ai_addr, a->ai_addrlen);
    }
    e->failed = e->n ? NULL : any ? "" : "The host name has no address.";
    return ttl > 0 ? ttl : 1;
}

static void found(void *ctx, int status, int timeouts, struct ares_addrinfo *res)
{
    struct dns_entry *e = ctx;
    int64_t ttl = dns_failed_s;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        ttl = take_addresses(e, res);
    else
        e->failed = status == ARES_ENOTFOUND || status == ARES_ENODATA
                        ? "The host name does not exist."
                        : "The host name could not be looked up.";
    if (res)
        ares_freeaddrinfo(res);
    e->pending = false;
    e->c->lookups--;
    e->until_us = clock_mono_us() + ttl * 1000000;
    struct job *j = e->waiting;
    e->waiting = NULL;
    while (j) {
        struct job *next = j->wait_next;
        j->waiting_on = NULL;
        dns_ready(j, e);
        j = next;
    }
}

void dns_resolve(struct job *j)
{
    struct httpc *c = j->c;
    int64_t now = clock_mono_us();
    struct dns_entry *e = entry_of(c, j->host, now);
    if (!e->pending && e->until_us > now) {
        dns_ready(j, e);
        return;
    }
    j->wait_next = e->waiting;
    e->waiting = j;
    j->waiting_on = e;
    if (e->pending)
        return;
    e->pending = true;
    c->lookups++;
    const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
                                               .ai_socktype = SOCK_STREAM,
                                               .ai_flags = ARES_AI_NOSORT };
    ares_getaddrinfo(c->ares, e->host, NULL, &hints, found, e);
    if (c->lookups)
        timer_set(c->loop, &c->ares_timer, tick_us);
}

void dns_forget(struct job *j)
{
    if (!j->waiting_on)
        return;
    for (struct job **p = &j->waiting_on->waiting; *p; p = &(*p)->wait_next)
        if (*p == j) {
            *p = j->wait_next;
            break;
        }
    j->waiting_on = NULL;
}

/* --- c-ares on the loop --- */

static void on_socket(struct watch *w, uint32_t events)
{
    struct sock *s = container_of(w, struct sock, watch);
    struct httpc *c = s->c;
    ares_socket_t fd = w->fd;
    ares_process_fd(c->ares, events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

static void on_tick(struct timer *t)
{
    struct httpc *c = container_of(t, struct httpc, ares_timer);
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (c->lookups)
        timer_set(c->loop, t, tick_us);
}

static void socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct httpc *c = ctx;
    struct sock **p = &c->ares_socks;
    while (*p && (*p)->watch.fd != fd)
        p = &(*p)->next;
    struct sock *s = *p;
    uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
    if (!s && !events)
        return;
    if (!s) {
        s = calloc(1, sizeof(*s));
        must(s);
        s->c = c;
        s->watch = (struct watch){ .fd = fd, .fn = on_socket };
        *p = s;
    }
    watch_set(c->loop, &s->watch, events);
    if (!events) {
        *p = s->next;
        free(s);
    }
}

int dns_init(struct httpc *c, const char *servers, struct err *err)
{
    struct ares_options o = { .flags = ARES_FLAG_NOSEARCH,
                              .timeout = ares_timeout_ms,
                              .tries = ares_tries,
                              .sock_state_cb = socket_state,
                              .sock_state_cb_data = c };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    c->ares_timer.fn = on_tick;
    if (ares_init_options(&c->ares, &o, mask) != ARES_SUCCESS)
        return err_set(err, E_config, "The resolver could not be set up.");
    if (servers && *servers && ares_set_servers_ports_csv(c->ares, servers) != ARES_SUCCESS)
        return err_set(err, E_config, "CMS365_DNS_SERVERS is not a list of addresses.");
    return 0;
}

void dns_done(struct httpc *c)
{
    if (c->ares)
        ares_destroy(c->ares); /* calls `found` for what is pending; nobody waits any more */
    for (size_t i = 0; i < dns_buckets; i++)
        while (c->dns[i]) {
            struct dns_entry *e = c->dns[i];
            c->dns[i] = e->next;
            free(e);
        }
}
