/* One total for the lists of a batch.
 *
 * Lists of an entity that are asked for before any of them was sent to the database need its total
 * at the same moment: the first has it in its own statement, the others take it from there.  What
 * it finds is how things were after each of them was asked for, so it is as good as a total of
 * their own; but a page that was read after it may have a row that it did not count. */
#include "common/kit/crud_int.h"

enum { totals_shared_max = 64 }; /* of a loop: who waits for an older one counts for itself */

struct shared {
    const struct db_stmt *page; /* the statement of the first, which no other entity, class or
                                   filter has */
    uint64_t batch;
    int64_t n; /* -1: not known yet */
};
static _Thread_local struct shared ring[totals_shared_max];
static _Thread_local size_t newest;

bool crud_share_total(struct db *db, const struct db_stmt *page, struct crud_shared *ret)
{
    *ret = (struct crud_shared){ .page = page, .batch = db_fast_batch(db) };
    if (!ret->batch)
        return false;
    for (size_t i = 0; i < totals_shared_max; i++) {
        size_t at = (newest - i) % totals_shared_max;
        if (ring[at].batch != ret->batch)
            break;
        ret->at = at;
        if (ring[at].page == page)
            return true;
    }
    newest++;
    ret->at = newest % totals_shared_max;
    ring[ret->at] = (struct shared){ page, ret->batch, -1 };
    return false;
}

static struct shared *find(const struct crud_shared *s)
{
    struct shared *found = &ring[s->at];
    return s->batch && found->batch == s->batch && found->page == s->page ? found : NULL;
}

void crud_tell_total(const struct crud_shared *s, int64_t n)
{
    struct shared *found = find(s);
    if (found)
        found->n = n;
}

int64_t crud_shared_total(const struct crud_shared *s)
{
    const struct shared *found = find(s);
    return found ? found->n : -1;
}
