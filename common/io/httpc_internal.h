#ifndef IO_HTTPC_INTERNAL_H
#define IO_HTTPC_INTERNAL_H
/*
 * httpc's own: a job travels send -> (resolve) -> curl -> done, all but the first on the loop's
 * thread.  httpc.c owns the thread and the jobs, httpc_curl.c the transfers, httpc_dns.c the names.
 */
#include "common/base/loop.h"
#include "common/io/httpc.h"

#include <ares.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    host_max = 256,
    addrs_max = 8,
    dns_buckets = 1024, /* a power of two */
    dns_entries_max = 8192,
    dns_ttl_max_s = 300,
    dns_failed_s = 1,
    reply_headers_max = 64,
    reply_headers_bytes_max = 16 * 1024,
    reply_headers_drain_max = 256 * 1024, /* longer, and the transfer ends: curl keeps them too */
    drain_bytes_max = 64 * 1024,          /* read past the reply's cap, to keep the connection */
    easy_idle_max = 256
};

struct job {
    struct httpc *c;
    struct arena *arena; /* url, headers, reply */
    const char *method, *url;
    const char *client_cert, *client_key, *ca; /* PEM, or NULL */
    char host[host_max];
    unsigned port;
    bool literal;
    struct curl_slist *headers, *resolve;
    const void *body;
    size_t body_n, reply_max;
    unsigned timeout_ms, connect_timeout_ms;
    void (*done)(void *ctx, const struct httpc_res *res);
    void *ctx;
    int64_t start_us;
    int64_t dns_us;   /* name known, since start_us; 0: none asked */
    int64_t begun_us; /* handed to curl, since start_us */
    CURL *easy;
    struct timer deadline; /* of the name look-up; later curl has its own */
    char *reply;
    size_t reply_n, seen_n;
    bool cut, refused, headers_endless;
    struct httpc_header reply_headers[reply_headers_max];
    size_t nreply_headers, reply_header_bytes;
    char curl_error[CURL_ERROR_SIZE];
    struct job *prev, *next; /* all jobs of the thread */
    struct job *wait_next;   /* of a look-up, or of the inbox */
    struct dns_entry *waiting_on;
};

struct dns_entry {
    struct httpc *c;
    char host[host_max];
    struct sockaddr_storage addr[addrs_max];
    size_t n;
    const char *failed; /* reason, or NULL */
    bool pending;
    int64_t until_us;
    struct job *waiting;
    struct dns_entry *next;
};

struct sock { /* a descriptor of curl's or c-ares' */
    struct watch watch;
    struct httpc *c;
    struct sock *next;
};

struct httpc {
    struct egress *egress;
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    struct job *inbox, **inbox_tail; /* under the lock */
    bool stopping;                   /* under the lock */
    _Atomic size_t in_flight;
    char *user_agent;

    /* The thread's own. */
    CURLM *multi;
    struct timer curl_timer;
    struct job *jobs;
    CURL *idle[easy_idle_max];
    size_t nidle;
    ares_channel ares;
    struct timer ares_timer;
    struct sock *ares_socks;
    size_t lookups, dns_entries;
    struct dns_entry *dns[dns_buckets];
};

/* Ends the job: calls done, frees it. */
void job_finish(struct job *j, int result, const char *reason);

int transfer_init(struct httpc *c, const struct httpc_conf *conf, struct err *err) MUST_CHECK;
void transfer_done(struct httpc *c);
void transfer_begin(struct job *j); /* the name is known */
void transfer_drop(struct job *j);

int dns_init(struct httpc *c, const char *servers, struct err *err) MUST_CHECK;
void dns_done(struct httpc *c);
/* Calls dns_ready(j, entry), now or later. */
void dns_resolve(struct job *j);
void dns_forget(struct job *j); /* no longer waits */
void dns_ready(struct job *j, const struct dns_entry *e);
#endif
