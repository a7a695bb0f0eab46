#ifndef TESTS_SUPPORT_NAMES_H
#define TESTS_SUPPORT_NAMES_H
/*
 * The system's resolver as a test has it: the program's own getaddrinfo takes the place of libc's,
 * for every library.  A name ending in ".test" has the addresses given here; any other is a number
 * or localhost, and libc's business no more: tests ask for none.
 */
#include "common/base/str.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>

enum name_server { NAMES_ANSWER, NAMES_SILENT, NAMES_AGAIN, NAMES_UNKNOWN };

static pthread_mutex_t names_mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_said = PTHREAD_COND_INITIALIZER;
static enum name_server names_now;
static const char *const *names_addresses; /* IPv4, NULL-ended */
static unsigned names_asked;
static int names_again_s; /* after how many seconds the thread would ask again */

static inline void names_set(enum name_server now)
{
    pthread_mutex_lock(&names_mu);
    names_now = now;
    pthread_cond_broadcast(&names_said);
    pthread_mutex_unlock(&names_mu);
}

static inline unsigned names_count(void)
{
    pthread_mutex_lock(&names_mu);
    unsigned n = names_asked;
    pthread_mutex_unlock(&names_mu);
    return n;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    struct answer {
        struct addrinfo info;
        struct sockaddr_in at;
    } *first = NULL, **end = &first;
    static const char *const self[] = { "127.0.0.1", NULL };
    const char *const *at = self;
    in_addr_t number;
    int64_t port = 0;
    size_t len = host ? strlen(host) : 0;
    int rc = service && !str_to_i64(service, 0, 65535, &port) ? EAI_SERVICE : 0;
    if (len > 5 && strcmp(host + len - 5, ".test") == 0) {
        pthread_mutex_lock(&names_mu);
        names_asked++;
        names_again_s = _res.retrans;
        while (names_now == NAMES_SILENT)
            pthread_cond_wait(&names_said, &names_mu);
        rc = names_now == NAMES_AGAIN ? EAI_AGAIN : names_now == NAMES_UNKNOWN ? EAI_NONAME : 0;
        at = names_addresses;
        pthread_mutex_unlock(&names_mu);
    }
    for (; !rc && *at; at++) {
        struct answer *a = calloc(1, sizeof *a);
        assert_non_null(a);
        number = inet_addr(at == self && host && inet_addr(host) != INADDR_NONE ? host : *at);
        a->at = (struct sockaddr_in){ .sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = number };
        a->info = (struct addrinfo){ .ai_family = AF_INET,
                                     .ai_socktype = hints ? hints->ai_socktype : 0,
                                     .ai_addrlen = sizeof a->at,
                                     .ai_addr = (struct sockaddr *)&a->at };
        *end = a;
        end = (struct answer **)(void *)&a->info.ai_next; /* its first member: the whole */
    }
    *list = first ? &first->info : NULL;
    return rc;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
#endif
