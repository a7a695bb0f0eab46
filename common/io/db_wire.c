#include "common/base/log.h"
#include "common/io/db_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

/* A message is a letter, its length (with itself), and its body. */
enum { head_bytes = 5, length_bytes = 4, count_bytes = 2, null_length = -1 };

/* --- bytes ----------------------------------------------------------------------------- */

/* Room for n more.  What is left moves to the front: there the memory is still in the cache. */
static char *room(struct wire_bytes *b, size_t n)
{
    if (b->at > 0) {
        memmove(b->data, b->data + b->at, b->n - b->at);
        b->n -= b->at;
        b->at = 0;
    }
    if (b->n + n > b->cap) {
        size_t cap = b->cap ? b->cap : n;
        while (cap < b->n + n)
            cap *= 2;
        b->data = realloc(b->data, cap);
        if (!b->data)
            abort();
        b->cap = cap;
    }
    return b->data + b->n;
}

/* All was sent or looked at. */
static void forget(struct wire_bytes *b)
{
    b->at = b->n = 0;
    if (b->cap > wire_keep_bytes) {
        free(b->data);
        *b = (struct wire_bytes){ 0 };
    }
}

static void put(struct wire_bytes *b, const void *data, size_t n)
{
    if (n > 0)
        memcpy(room(b, n), data, n);
    b->n += n;
}

static void put_u8(struct wire_bytes *b, char v)
{
    put(b, &v, 1);
}

static void put_u16(struct wire_bytes *b, size_t v)
{
    uint16_t be = htons((uint16_t)v);
    put(b, &be, sizeof(be));
}

static void put_u32(struct wire_bytes *b, size_t v)
{
    uint32_t be = htonl((uint32_t)v);
    put(b, &be, sizeof(be));
}

static void put_text(struct wire_bytes *b, const char *s)
{
    put(b, s, strlen(s) + 1);
}

static uint32_t u32_at(const char *p)
{
    uint32_t be;
    memcpy(&be, p, sizeof(be));
    return ntohl(be);
}

static uint16_t u16_at(const char *p)
{
    uint16_t be;
    memcpy(&be, p, sizeof(be));
    return ntohs(be);
}

void wire_init(struct db_wire *w, int fd, void *tls)
{
    *w = (struct db_wire){ .fd = fd, .tls = tls };
}

void wire_free(struct db_wire *w)
{
    free(w->in.data);
    free(w->out.data);
    *w = (struct db_wire){ .fd = -1 };
}

/* --- sending --------------------------------------------------------------------------- */

static size_t begin_message(struct wire_bytes *b, char type)
{
    put_u8(b, type);
    put_u32(b, 0);
    return b->n - b->at; /* what is before at may go meanwhile */
}

static void end_message(struct wire_bytes *b, size_t begun)
{
    size_t from = b->at + begun - length_bytes;
    uint32_t be = htonl((uint32_t)(b->n - from));
    memcpy(b->data + from, &be, sizeof(be));
}

/* name "": the unnamed statement. */
static void put_parse(struct wire_bytes *b, const char *name, const char *sql)
{
    size_t m = begin_message(b, 'P');
    put_text(b, name);
    put_text(b, sql);
    put_u16(b, 0); /* types of parameters that are given: none */
    end_message(b, m);
}

static void put_bind(struct wire_bytes *b, const char *name, const struct db_params *p)
{
    size_t n = (size_t)p->n, m = begin_message(b, 'B');
    put_text(b, ""); /* the unnamed portal */
    put_text(b, name);
    put_u16(b, p->format ? n : 0);
    for (size_t i = 0; p->format && i < n; i++)
        put_u16(b, (size_t)p->format[i]);
    put_u16(b, n);
    for (size_t i = 0; i < n; i++) {
        if (!p->v[i]) {
            put_u32(b, (uint32_t)null_length);
            continue;
        }
        bool binary = p->format && p->format[i];
        size_t len = binary ? (size_t)p->len[i] : strlen(p->v[i]);
        put_u32(b, len);
        put(b, p->v[i], len);
    }
    put_u16(b, 0); /* formats of the results: all text */
    end_message(b, m);
}

void wire_put_statement(struct db_wire *w, const char *name, const char *sql,
                        const struct db_params *p)
{
    struct wire_bytes *b = &w->out;
    if (!name)
        put_parse(b, "", sql);
    put_bind(b, name ? name : "", p);
    size_t m = begin_message(b, 'E');
    put_text(b, "");
    put_u32(b, 0); /* rows at most: all */
    end_message(b, m);
}

void wire_put_prepare(struct db_wire *w, const char *name, const char *sql)
{
    size_t m = begin_message(&w->out, 'C'); /* no error if there is none */
    put_u8(&w->out, 'S');
    put_text(&w->out, name);
    end_message(&w->out, m);
    put_parse(&w->out, name, sql);
}

void wire_put_sync(struct db_wire *w)
{
    end_message(&w->out, begin_message(&w->out, 'S'));
}

static bool again_later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* As send(2), with 0 for "not now". */
static ssize_t put_out(struct db_wire *w, const char *data, size_t n)
{
    if (!w->tls) {
        ssize_t sent = send(w->fd, data, n, MSG_NOSIGNAL);
        return sent < 0 && again_later() ? 0 : sent;
    }
    ERR_clear_error(); /* what SSL_get_error says depends on what was there before */
    int sent = SSL_write(w->tls, data, n > INT32_MAX ? INT32_MAX : (int)n);
    if (sent > 0)
        return sent;
    int why = SSL_get_error(w->tls, sent);
    return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}

int wire_flush(struct db_wire *w)
{
    struct wire_bytes *b = &w->out;
    while (b->at < b->n) {
        ssize_t sent = put_out(w, b->data + b->at, b->n - b->at);
        if (sent <= 0)
            return sent < 0 ? -1 : 1;
        b->at += (size_t)sent;
    }
    forget(b);
    return 0;
}

/* --- receiving ------------------------------------------------------------------------- */

/* As recv(2), with -1 and EAGAIN for "not now". */
static ssize_t take_in(struct db_wire *w, char *data, size_t n)
{
    if (!w->tls)
        return recv(w->fd, data, n, 0);
    ERR_clear_error();
    int got = SSL_read(w->tls, data, (int)n);
    if (got > 0)
        return got;
    int why = SSL_get_error(w->tls, got);
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

int wire_read(struct db_wire *w)
{
    struct wire_bytes *b = &w->in;
    char *to = room(b, wire_read_bytes);
    ssize_t got = take_in(w, to, wire_read_bytes);
    if (got <= 0)
        return got < 0 && again_later() ? 0 : -1;
    b->n += (size_t)got;
    /* TLS keeps what it has of a record: there is no event for that. */
    return w->tls || got == wire_read_bytes;
}

/* The fields of an error or a notice: a letter and a text each; a zero ends them. */
static bool read_refusal(const char *body, size_t n, struct db_refusal *ret)
{
    const char *end = body + n, *constraint = NULL, *column = NULL;
    *ret = (struct db_refusal){ .state = "", .text = "" };
    while (body < end && *body) {
        char field = *body++;
        const char *nul = memchr(body, '\0', (size_t)(end - body));
        if (!nul)
            return false;
        if (field == 'C')
            ret->state = body;
        else if (field == 'M')
            ret->text = body;
        else if (field == 'n')
            constraint = body;
        else if (field == 'c')
            column = body;
        body = nul + 1;
    }
    ret->at = constraint ? constraint : column ? column : "";
    return body < end;
}

static void log_notice(const char *body, size_t n)
{
    struct db_refusal notice;
    if (read_refusal(body, n, &notice))
        log_debug("db.notice", kv_s("text", notice.text));
}

/* The length of the next message's body, when all of it is there; negative: what kind of nothing it
 * is. */
static int64_t next_length(const struct wire_bytes *b)
{
    size_t have = b->n - b->at;
    if (have < head_bytes)
        return -WIRE_MORE;
    size_t len = u32_at(b->data + b->at + 1);
    if (len < length_bytes || len > wire_message_bytes_max)
        return -WIRE_BROKEN;
    return have < 1 + len ? -WIRE_MORE : (int64_t)(len - length_bytes);
}

enum wire_kind wire_next(struct db_wire *w, struct wire_message *ret)
{
    struct wire_bytes *b = &w->in;
    int64_t n;
    while ((n = next_length(b)) >= 0) {
        char type = b->data[b->at];
        const char *body = b->data + b->at + head_bytes;
        *ret = (struct wire_message){ .row = body, .bytes = (size_t)n };
        b->at += head_bytes + (size_t)n;
        switch (type) {
        case 'D':
            return WIRE_ROW;
        case 'C':
        case 'I': /* an empty text */
            return WIRE_DONE;
        case 'E':
            return read_refusal(body, (size_t)n, &ret->refusal) ? WIRE_REFUSED : WIRE_BROKEN;
        case 'Z':
            return WIRE_SYNCED;
        case 'N':
            log_notice(body, (size_t)n);
            break;
        case '1': /* parsed */
        case '2': /* bound */
        case '3': /* closed */
        case 'A': /* a notification, which nobody listens to */
        case 'S': /* a parameter's value */
            break;
        default:
            return WIRE_BROKEN;
        }
    }
    if (b->at == b->n)
        forget(b);
    return (enum wire_kind) - n;
}

/* --- rows ------------------------------------------------------------------------------ */

/* A cell ends with a NUL where the length of the next one began; the last one where the row ends,
 * which has a byte more.  False: they are not `ncols`, or not as long. */
static bool find_cells(char *p, size_t n, struct db_cell *cells, size_t ncols)
{
    char *end = p + n;
    for (size_t i = 0; i < ncols; i++) {
        if (end - p < length_bytes)
            return false;
        int32_t len = (int32_t)u32_at(p);
        *p = '\0';
        p += length_bytes;
        if (len < null_length || len > end - p)
            return false;
        cells[i] = (struct db_cell){ .text = len < 0 ? "" : p, .len = len };
        p += len < 0 ? 0 : len;
    }
    *end = '\0';
    return p == end;
}

static struct db_rows *rows_begin(struct arena *a, size_t ncols)
{
    struct db_rows *r = arena_alloc(a, sizeof(*r));
    r->ncols = ncols;
    return r;
}

static void rows_push(struct arena *a, struct db_rows *r, const struct db_cell *cells)
{
    if (r->nrows == r->cap) {
        enum { first_rows = 32 };
        size_t cap = r->cap ? 2 * r->cap : first_rows;
        const struct db_cell **rows = arena_raw(a, cap * sizeof(*rows));
        if (r->nrows)
            memcpy(rows, r->rows, r->nrows * sizeof(*rows));
        r->rows = rows;
        r->cap = cap;
    }
    r->rows[r->nrows++] = cells;
}

bool wire_add_row(struct arena *a, const struct wire_message *m, struct db_rows **rows)
{
    if (m->bytes < count_bytes)
        return false;
    size_t n = m->bytes - count_bytes, ncols = u16_at(m->row);
    if (n < ncols * length_bytes)
        return false;
    if (!*rows)
        *rows = rows_begin(a, ncols);
    struct db_rows *r = *rows;
    if (ncols != r->ncols)
        return false;
    struct db_cell *cells = arena_raw(a, ncols * sizeof(*cells) + n + 1);
    char *bytes = (char *)(cells + ncols);
    memcpy(bytes, m->row + count_bytes, n);
    if (!find_cells(bytes, n, cells, ncols))
        return false;
    rows_push(a, r, cells);
    r->bytes += n;
    return true;
}
