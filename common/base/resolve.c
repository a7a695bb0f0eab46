#define _GNU_SOURCE /* EAI_NODATA, res_init */
#include "common/base/resolve.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <time.h>

struct host {
    char name[NI_MAXHOST]; /* "": free */
    struct addresses last; /* .n 0: never known, or known to be no name */
    int64_t used_us, asked_us;
    uint64_t answers; /* how many lookups have ended */
    int result;       /* of the last */
    bool asking;      /* a thread is at it; it alone holds on to this place */
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct host hosts[resolve_hosts_max];

static void init(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&answered, &attr);
    pthread_condattr_destroy(&attr);
}

static void copy(struct addresses *to, const struct addrinfo *from)
{
    *to = (struct addresses){ 0 };
    for (; from && to->n < resolve_addresses_max; from = from->ai_next)
        if (from->ai_family == AF_INET || from->ai_family == AF_INET6)
            memcpy(&to->at[to->n++], from->ai_addr, from->ai_addrlen);
}

/* A packet that is lost costs a second, not five; and the questions for both families are not sent
 * at once from one port, of which connection tracking in the kernel loses one now and then. */
static void ask_again_soon(void)
{
    if (res_init() == 0) { /* of this thread alone */
        _res.retrans = 1;
        _res.retry = 5;
        _res.options |= RES_SNGLKUPREOP;
    }
}

static bool may_ask_again(const struct host *h)
{
    pthread_mutex_lock(&mu);
    bool yes = !h->last.n && clock_mono_us() < h->asked_us + resolve_wait_ms * 1000;
    pthread_mutex_unlock(&mu);
    return yes;
}

/* A thread of its own, which nobody waits for at the end of the program. */
static void *ask(void *arg)
{
    struct host *h = arg;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    ask_again_soon();
    int result; /* the name stays while asking */
    /* A name server that starts anew refuses at once. */
    while ((result = getaddrinfo(h->name, NULL, &hints, &list)) == EAI_AGAIN && may_ask_again(h))
        nanosleep(&(struct timespec){ .tv_nsec = resolve_again_ms * 1000000 }, NULL);
    pthread_mutex_lock(&mu);
    if (result == 0)
        copy(&h->last, list);
    else if (result == EAI_NONAME || result == EAI_NODATA)
        h->last.n = 0;
    h->result = result == 0 && !h->last.n ? EAI_NONAME : result;
    h->asking = false;
    h->answers++;
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&mu);
    if (result == 0)
        freeaddrinfo(list);
    return NULL;
}

static struct host *place_of(const char *name)
{
    struct host *old = NULL;
    for (size_t i = 0; i < resolve_hosts_max; i++) {
        if (str_eq(hosts[i].name, name))
            return &hosts[i];
        if (!hosts[i].asking && (!old || hosts[i].used_us < old->used_us))
            old = &hosts[i];
    }
    if (old) {
        *old = (struct host){ 0 };
        memcpy(old->name, name, strlen(name) + 1);
    }
    return old;
}

static bool begin(struct host *h)
{
    h->asked_us = clock_mono_us();
    pthread_t t;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    h->asking = pthread_create(&t, &attr, ask, h) == 0;
    pthread_attr_destroy(&attr);
    return h->asking;
}

/* Who comes while the name server is silent waits only as long as whoever asked it, if there is an
 * old answer. */
static void wait_for_answer(const struct host *h, uint64_t before)
{
    int64_t until_us = (h->last.n ? h->asked_us : clock_mono_us()) + resolve_wait_ms * 1000;
    const struct timespec until = { .tv_sec = until_us / 1000000,
                                    .tv_nsec = until_us % 1000000 * 1000 };
    while (h->answers == before)
        if (pthread_cond_timedwait(&answered, &mu, &until))
            return;
}

static bool literal(const char *host, struct addresses *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->at[0];
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->at[0];
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        return false;
    ret->n = 1;
    return true;
}

int resolve(const char *host, struct addresses *ret)
{
    int result = EAI_AGAIN;
    *ret = (struct addresses){ 0 };
    if (!*host || strlen(host) >= sizeof hosts[0].name)
        return EAI_NONAME;
    if (literal(host, ret))
        return 0;
    pthread_once(&once, init);
    pthread_mutex_lock(&mu);
    struct host *h = place_of(host);
    if (h) {
        uint64_t before = h->answers;
        h->used_us = clock_mono_us();
        if (h->asking || begin(h))
            wait_for_answer(h, before);
        if (!str_eq(h->name, host)) /* it lost its place meanwhile: thirty others came */
            h = NULL;
        if (h && h->answers != before)
            result = h->result;
        if (h && h->last.n) {
            *ret = h->last;
            result = 0;
        }
    }
    pthread_mutex_unlock(&mu);
    return result;
}

void address_text(const struct sockaddr_storage *at, char out[NI_MAXHOST])
{
    socklen_t n =
        at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo((const struct sockaddr *)at, n, out, NI_MAXHOST, NULL, 0, NI_NUMERICHOST))
        *out = '\0';
}
