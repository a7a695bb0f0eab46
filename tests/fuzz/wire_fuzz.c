/* Any bytes where PostgreSQL's answers are expected: what is taken as rows has cells that end where
 * they say, and wherever the bytes are cut (the first one says where), the answers are the same. */
#include "common/base/siphash.h"
#include "common/io/db_internal.h"
#include "tests/fuzz/replay.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

static void add(uint64_t *sum, const void *data, size_t n)
{
    static const unsigned char key[16];
    *sum = *sum * 31 + siphash(key, data, n);
}

static void add_rows(uint64_t *sum, const struct db_rows *r)
{
    size_t len;
    for (size_t row = 0; row < db_nrows(r); row++) {
        for (size_t col = 0; col < db_ncols(r); col++) {
            const char *text = db_cell(r, row, col, &len);
            assert(text[len] == '\0');
            assert(!db_is_null(r, row, col) || (len == 0 && !db_str(r, row, col)));
            add(sum, text, len);
        }
    }
}

struct reader {
    struct db_wire w;
    struct arena *a;
    struct db_rows *rows;
    uint64_t sum;
};

/* Adds the answers up.  False: broken. */
static bool take_all(struct reader *r)
{
    struct wire_message m;
    enum wire_kind kind;
    while ((kind = wire_next(&r->w, &m)) != WIRE_MORE) {
        if (kind == WIRE_BROKEN || (kind == WIRE_ROW && !wire_add_row(r->a, &m, &r->rows)))
            return false;
        if (kind == WIRE_ROW)
            continue;
        add(&r->sum, &kind, sizeof(kind));
        if (kind == WIRE_REFUSED) {
            add(&r->sum, m.refusal.state, strlen(m.refusal.state));
            add(&r->sum, m.refusal.text, strlen(m.refusal.text));
            add(&r->sum, m.refusal.at, strlen(m.refusal.at));
        }
        if (r->rows)
            add_rows(&r->sum, r->rows);
        r->rows = NULL;
    }
    return true;
}

static bool arrive(struct reader *r, int server, const uint8_t *data, size_t n)
{
    ssize_t sent = send(server, data, n, MSG_NOSIGNAL);
    assert(sent == (ssize_t)n);
    int more = wire_read(&r->w);
    assert(more == 0);
    return take_all(r);
}

static uint64_t sum_of(const uint8_t *data, size_t n, size_t cut)
{
    struct reader r = { .a = arena_new() };
    int fd[2], rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
    assert(rc == 0);
    wire_init(&r.w, fd[0], NULL);
    bool ok = (cut == 0 || arrive(&r, fd[1], data, cut)) &&
              (cut == n || arrive(&r, fd[1], data + cut, n - cut));
    wire_free(&r.w);
    arena_free(r.a);
    close(fd[0]);
    close(fd[1]);
    return ok ? r.sum : r.sum + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > wire_read_bytes)
        return 0;
    size_t n = size - 1, cut = n ? data[0] % n : 0;
    assert(sum_of(data + 1, n, cut) == sum_of(data + 1, n, n));
    return 0;
}
