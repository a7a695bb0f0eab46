#ifndef IO_HTTPD_INTERNAL_H
#define IO_HTTPD_INTERNAL_H
/*
 * What httpd's files share: httpd.c (sockets, loop threads, start and stop), httpd_accept.c (which
 * loop gets a connection), httpd_req.c (one request from its first line to its release),
 * httpd_kept.c (headers of answers without a body, kept for the next), httpd_linger.c (closing
 * politely under an upload).
 */
#include "common/base/fiber.h"
#include "common/io/httpd.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>

enum {
    /* libmicrohttpd's memory of one connection.  It clears all of it, and half of it once more,
     * for each request: that is felt in a short one. */
    httpd_pool_bytes = 24 * 1024,
    httpd_answer_bytes = 7 * 1024, /* of it, kept for the answer's header */
    httpd_field_bytes = 64,        /* of it, for a field of the request beside its text */
    httpd_line_bytes = 512,        /* of it, for the status line and what is added to an answer */
    httpd_kept_max = 16,           /* headers of answers without a body, a loop */
    httpd_kept_bytes = 512,
    httpd_spare_arenas_max = 256,
    httpd_trim_ms = 1000, /* how often what was not needed meanwhile is given back, by halves */
    httpd_body_first_bytes = 16 * 1024,
    httpd_discard_bytes_max = 64 * 1024,       /* read and dropped to keep a refused connection */
    httpd_overrun_bytes_max = 1 * 1024 * 1024, /* the same, of a chunked body past body_max */
    httpd_linger_bytes_max = 16 * 1024 * 1024,
    httpd_linger_ms = 2000,
    httpd_lingers_max = 32,
    httpd_stream_block_bytes = 16 * 1024,
    /* Suspending takes a connection out of epoll and puts it back, and makes libmicrohttpd read it
     * once more for nothing: three system calls.  Looking at one that waits in its place costs a
     * twentieth of that each time libmicrohttpd runs.  So it is suspended after so many looks: what
     * waits long costs twice at most, and most does not. */
    httpd_looks_max = 20,
    httpd_backlog = 1024,
    httpd_accepts_in_a_row_max = 16,
    httpd_full_ms = 10,     /* until a loop looks again whether there is room for a connection */
    httpd_no_room_ms = 100, /* the same, of the process's table of descriptors */
    httpd_yield_requests_min = 2,     /* answered in one go before others are let run */
    httpd_yield_us_max = 2000,        /* they took longer: */
    httpd_yield_pause_us = 50 * 1000, /* not again for so long */
    httpd_look_ms = 5, /* between two looks if nothing else makes libmicrohttpd run */
};

struct httpd_kept {
    struct MHD_Response *response; /* NULL: none */
    size_t body_n, nheaders;
    char text[httpd_kept_bytes];
};
struct httpd_field {
    const char *name, *value;
    size_t name_n, value_n;
};
struct httpd_loop {
    struct httpd *h;
    struct loop *loop;
    struct MHD_Daemon *mhd;
    pthread_t thread;
    bool threaded; /* the thread exists */
    int listen_fd;
    struct watch watch; /* MHD's own epoll */
    struct watch door;  /* listen_fd */
    struct timer reopen;
    struct timer timeout;  /* MHD's next connection timeout */
    struct timer patience; /* of stopping */
    struct deferred run;
    bool in_run, again, stopping, gave_up;
    bool welcomed;         /* MHD has begun with the connection that is being added */
    bool moved;            /* in this run, anything was done but looking */
    size_t waiting;        /* requests parked in their places */
    int64_t yield_from_us; /* monotonic: not before, let_others */
    struct arena *spare[httpd_spare_arenas_max];
    size_t nspare, spare_least, nlinger;
    struct timer trim;
    struct httpd_field fields[httpd_headers_max]; /* of the header being read */
    struct httpd_kept kept[httpd_kept_max];
    struct httpd_conn *live; /* requests between first line and release */
    /* Written by the loop, read by httpd_stats. */
    uint64_t requests, suspended, refused;
    size_t connections, in_flight;
    /* Written by all loops: connections that are this one's, and of them those it was not told of
     * yet. */
    size_t assigned, expected;
};

struct httpd {
    struct httpd_conf conf;
    char *listen;
    unsigned port;
    bool draining;
    size_t nloops, conns_a_loop;
    struct httpd_loop loops[];
};

enum req_state {
    REQ_HEAD,    /* first line seen */
    REQ_BODY,    /* head accepted (or refused with a body short enough to drop) */
    REQ_PARKED,  /* fiber waits; in its place in MHD, or suspended */
    REQ_READY,   /* answer is there, MHD not told */
    REQ_SENDING, /* queued */
};
struct httpd_conn {
    struct http_req req;
    struct http_res res;
    struct httpd_loop *l;
    struct MHD_Connection *mhd;
    char *target;
    struct http_header *headers;
    uint16_t *name_n; /* lengths of their names */
    uint64_t widths;  /* which lengths there are, 63 for all longer ones */
    size_t nheaders;
    enum req_state state;
    bool seen;      /* head or refuse was called: done is owed */
    bool refused;   /* res is final; whatever body comes is dropped */
    bool serving;   /* a fiber has it */
    bool mhd_done;  /* MHD has completed the request */
    bool abandoned; /* stopping lost patience with the fiber */
    bool linger;    /* answered under an unread body */
    bool held;      /* suspended while parked */
    unsigned looks; /* at it, while parked in its place */
    bool idle;      /* its stream has nothing to send: suspended in MHD */
    bool over;      /* its stream ends with what has been sent */
    char *body;     /* malloc'd: realloc moves large ones by page table */
    size_t body_cap, overrun;
    size_t head_bytes;      /* of the request, in libmicrohttpd's memory */
    uint64_t body_expected; /* Content-Length; 0 with chunked */
    struct httpd_conn *next, **link;
};

/* What is known of a TCP connection for its life. */
struct httpd_peer {
    char text[INET6_ADDRSTRLEN];
    int fd;
};

void *httpd_on_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result httpd_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_n, void **slot);
void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **slot,
                        enum MHD_RequestTerminationCode why);
void httpd_on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
                         enum MHD_ConnectionNotificationCode what);

/* MHD has something to do: runs it before the loop sleeps, or now. */
void httpd_kick(struct httpd_loop *l);
void httpd_run(struct httpd_loop *l);
void httpd_open_door(struct httpd_loop *l);  /* accepts from now on */
void httpd_close_door(struct httpd_loop *l); /* takes what the kernel has accepted, and no more */
void httpd_left(struct httpd_loop *l);       /* a connection of this loop is no more */
/* NULL if libmicrohttpd will not. */
struct MHD_Response *httpd_response(struct httpd_conn *c, const struct http_res *res);
/* The loop's own: for an answer that is queued now, at the end of its request.  NULL: none of those
 * that are kept. */
struct MHD_Response *httpd_kept(struct httpd_conn *c, const struct http_res *res);
void httpd_kept_free(struct httpd_loop *l);
/* Answers a parked request 503 though its fiber goes on. */
void httpd_abandon(struct httpd_conn *c);
/* Ends a stream, for a listener that stops. */
void httpd_end_stream(struct httpd_conn *c);
/* A request was released; stopping may be over. */
void httpd_released(struct httpd_loop *l);
/* Takes a duplicate of the socket and reads what the client still sends, so that closing does not
 * reset the connection under the answer (RFC 9112 §9.6). */
void httpd_linger(struct httpd_loop *l, int fd);

static inline void httpd_count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED); /* one writer */
}
static inline void httpd_level(size_t *gauge, bool up)
{
    __atomic_store_n(gauge, up ? *gauge + 1 : *gauge - 1, __ATOMIC_RELAXED);
}
#endif
