/* Where pages far behind begin.
 *
 * An offset is found by reading the index from its start.  What was found, the sort values of the
 * row, is kept with the snapshot of the statement that found it.  In a snapshot with the same text
 * the same rows are visible, so the row is still at that offset, and the page is entered there. */
#include "common/kit/crud_int.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/svc.h"

#include <pthread.h>

enum { anchors_kept_max = 256, snapshot_bytes_max = 120, keys_bytes_max = 256 };

struct kept {
    unsigned char key[sha256_bytes];
    char snapshot[snapshot_bytes_max];
    int64_t second;
    struct {
        bool null;
        size_t at; /* in text */
    } keys[query_sort_max + 1];
    char text[keys_bytes_max];
};
struct crud_anchors {
    pthread_mutex_t lock;
    struct kept rows[anchors_kept_max]; /* by the first byte of the key; a later one replaces */
};

static void anchors_done(void *ptr)
{
    struct crud_anchors *an = ptr;
    (void)pthread_mutex_destroy(&an->lock);
}

struct crud_anchors *crud_anchors_new(struct arena *a)
{
    struct crud_anchors *an = arena_alloc(a, sizeof(*an));
    (void)pthread_mutex_init(&an->lock, NULL);
    arena_defer(a, anchors_done, an);
    return an;
}

/* False: the list is asked for in more words than are worth keeping. */
static bool key_of(struct arena *a, const struct crud_anchor *at, int64_t offset,
                   unsigned char key[sha256_bytes])
{
    struct buf b;
    buf_init(&b, a, 256, 4096);
    query_identify(&b, &at->scope, at->q);
    buf_printf(&b, "%lld", (long long)offset);
    sha256(b.data, b.len, key);
    return !b.overflow;
}

bool crud_anchor_find(struct req *req, const struct crud *c, const struct crud_anchor *at,
                      struct query_place *ret, const char **ret_snapshot)
{
    unsigned char key[sha256_bytes];
    if (req->svc->sandboxed || !key_of(req->arena, at, at->q->offset, key))
        return false;
    (void)pthread_mutex_lock(&c->anchors->lock);
    const struct kept *k = &c->anchors->rows[key[0] % anchors_kept_max];
    bool hit = !memcmp(k->key, key, sha256_bytes) && k->second == at->second;
    if (hit) {
        *ret = (struct query_place){ .set = true, .inclusive = true };
        *ret_snapshot = arena_strdup(req->arena, k->snapshot);
        for (size_t i = 0; i < at->q->nsort; i++)
            if (!k->keys[i].null)
                ret->keys[i] = arena_strdup(req->arena, k->text + k->keys[i].at);
    }
    (void)pthread_mutex_unlock(&c->anchors->lock);
    return hit;
}

void crud_anchor_keep(struct req *req, const struct crud *c, const struct crud_anchor *at,
                      int64_t offset, const struct query_place *place, const char *snapshot)
{
    struct kept k = { .second = at->second };
    size_t n = 0;
    if (req->svc->sandboxed || strlen(snapshot) >= snapshot_bytes_max ||
        !key_of(req->arena, at, offset, k.key))
        return;
    memcpy(k.snapshot, snapshot, strlen(snapshot) + 1);
    for (size_t i = 0; i < at->q->nsort; i++) {
        k.keys[i].null = !place->keys[i];
        k.keys[i].at = n;
        size_t len = place->keys[i] ? strlen(place->keys[i]) + 1 : 0;
        if (n + len > keys_bytes_max)
            return;
        if (len)
            memcpy(k.text + n, place->keys[i], len);
        n += len;
    }
    (void)pthread_mutex_lock(&c->anchors->lock);
    c->anchors->rows[k.key[0] % anchors_kept_max] = k;
    (void)pthread_mutex_unlock(&c->anchors->lock);
}
