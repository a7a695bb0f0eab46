#ifndef BASE_RESOLVE_H
#define BASE_RESOLVE_H
/*
 * Addresses of the servers that a program keeps connections to (PostgreSQL, Redis, Kafka), by the
 * system's resolver.  getaddrinfo(3) may take half a minute when the name server is silent, and
 * what waits for it can be a stop or a reconnect; here nobody waits longer than resolve_wait_ms,
 * and a name that was known before keeps its last addresses while the name server is away.  Where
 * requests go that others name (webhooks), httpc resolves by itself.
 *
 * Blocks the thread.  Thread-safe.
 */
#include "common/base/base.h"

#include <netdb.h>
#include <sys/socket.h>

enum {
    resolve_wait_ms = 2000,
    resolve_again_ms = 100, /* a name that was not known before is asked for again meanwhile */
    resolve_hosts_max = 32, /* names that are remembered; a new one takes the oldest one's place */
    resolve_addresses_max = 8,
};

struct addresses {
    size_t n;
    struct sockaddr_storage at[resolve_addresses_max]; /* AF_INET and AF_INET6; their port is 0 */
};
/* 0, or an EAI_ code of getaddrinfo(3): EAI_AGAIN if there is no answer yet. */
int resolve(const char *host, struct addresses *ret) MUST_CHECK;
/* As text, "192.0.2.1" or "2001:db8::1". */
void address_text(const struct sockaddr_storage *at, char out[NI_MAXHOST]);
#endif
