#include "services/analytics/block.h"

#include "common/base/clock.h"
#include "common/base/siphash.h"
#include "common/base/str.h"
#include "common/io/db_copy.h"

#include <assert.h>

enum { ids_bits = 10 /* a request: one in a hundred other ids seems to be there */ };

/* The columns of the table in the order of requests_store: numbers, then texts. */
enum number {
    N_AT,
    N_ROUTE,
    N_STATUS,
    N_TOTAL_US,
    N_QUEUE_US,
    N_DB_US,
    N_BYTES_IN,
    N_BYTES_OUT,
    N_CONSUMER,
    N_NETWORK,
    NUMBERS_MAX_
};
static const enum db_copy_ints types[NUMBERS_MAX_] = {
    [N_AT] = COPY_TIMES,          [N_ROUTE] = COPY_INTEGERS,    [N_STATUS] = COPY_SMALLINTS,
    [N_TOTAL_US] = COPY_INTEGERS, [N_QUEUE_US] = COPY_INTEGERS, [N_DB_US] = COPY_INTEGERS,
    [N_BYTES_IN] = COPY_BIGINTS,  [N_BYTES_OUT] = COPY_BIGINTS, [N_CONSUMER] = COPY_INTEGERS,
    [N_NETWORK] = COPY_BIGINTS,
};
enum text { T_AGENT, T_COUNTRY, T_PROBLEM, TEXTS_MAX_ };
static const enum request_record_field texts[TEXTS_MAX_] = {
    [T_AGENT] = RR_agent, [T_COUNTRY] = RR_country, [T_PROBLEM] = RR_problem
};
enum { columns = 2 /* since, until */ + NUMBERS_MAX_ + TEXTS_MAX_ + ID_FORMS_MAX_ + 1 /* ids */ };

struct block {
    struct db_copy *to;
    size_t n;
    int64_t since, until;
    int64_t number[NUMBERS_MAX_][block_rows_max];
    const char *text[TEXTS_MAX_][block_rows_max]; /* NULL: none */
    size_t ntext[TEXTS_MAX_];                     /* not NULL */
    const char *id[block_rows_max];               /* NULL: none */
    unsigned char uuid[block_rows_max][16];
    enum id_form form[block_rows_max];
    size_t forms[ID_FORMS_MAX_]; /* how many have an id of this form */
    const char *network;         /* the last one's, as it was read */
    unsigned char ids[(ids_bits * block_rows_max + 7) / 8];
};

struct block *block_new(struct arena *a, struct db_copy *to)
{
    struct block *b = arena_raw(a, sizeof *b);
    b->to = to;
    b->n = 0;
    return b;
}

static int64_t int_of(int64_t v)
{
    return v < INT32_MAX ? v : INT32_MAX;
}

static int64_t network_of(const char *hex)
{
    unsigned char raw[8] = { 0 };
    uint64_t v = 0;
    (void)!hex_decode(hex, 16, raw); /* it was looked at when it was read */
    for (size_t i = 0; i < sizeof raw; i++)
        v = v << 8 | raw[i];
    return (int64_t)v;
}

void block_id_probes(const char *id, int64_t ret[block_ids_probes])
{
    static const unsigned char fixed[16] = "request ids";
    /* Two halves stand for as many hashes as one likes (Kirsch, Mitzenmacher: Less Hashing, Same
     * Performance, 2006). */
    uint64_t h = siphash(fixed, id, strlen(id)), step = h >> 32 | 1;
    for (size_t i = 0; i < block_ids_probes; i++)
        ret[i] = (int64_t)(((h & UINT32_MAX) + i * step) & INT32_MAX);
}

enum id_form block_id_form(const char *id, unsigned char ret[16])
{
    if (strpbrk(id, "ABCDEF"))
        return ID_TEXT;
    if (uuid_parse(id, ret))
        return ID_UUID;
    return strlen(id) == 32 && hex_decode(id, 32, ret) ? ID_HEX : ID_TEXT;
}

static size_t put_ids(struct block *b)
{
    size_t bytes = (ids_bits * b->n + 7) / 8;
    int64_t probes[block_ids_probes];
    memset(b->ids, 0, bytes);
    for (size_t i = 0; i < b->n; i++) {
        if (!b->id[i])
            continue;
        block_id_probes(b->id[i], probes);
        for (size_t k = 0; k < block_ids_probes; k++) {
            size_t bit = (size_t)probes[k] % (8 * bytes);
            b->ids[bit / 8] |= (unsigned char)(1u << bit % 8); /* as get_bit() counts them */
        }
    }
    return bytes;
}

/* What all have in common is said once: an element costs the server some 60 ns.  Not of the times:
 * they are how many there are. */
static size_t elements(const struct block *b, enum number column)
{
    const int64_t *v = b->number[column];
    if (column == N_AT)
        return b->n;
    for (size_t i = 1; i < b->n; i++)
        if (v[i] != v[0])
            return b->n;
    return 1;
}

static size_t text_elements(const struct block *b, enum text column)
{
    const char *const *v = b->text[column];
    for (size_t i = 1; i < b->n; i++)
        if (v[i] != v[0] && (!v[i] || !v[0] || !str_eq(v[i], v[0])))
            return b->n;
    return 1;
}

/* Each id in the column of its form; what none of the block has is null. */
static void copy_ids(struct block *b, enum id_form form)
{
    union {
        const char *text[block_rows_max];
        const unsigned char *uuid[block_rows_max];
    } v;
    if (!b->forms[form]) {
        db_copy_null(b->to);
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        bool has = b->id[i] && b->form[i] == form;
        if (form == ID_TEXT)
            v.text[i] = has ? b->id[i] : NULL;
        else
            v.uuid[i] = has ? b->uuid[i] : NULL;
    }
    if (form == ID_TEXT)
        db_copy_texts(b->to, v.text, b->n);
    else
        db_copy_uuids(b->to, v.uuid, b->n);
}

void block_end(struct block *b)
{
    struct db_copy *c = b->to;
    if (!b->n)
        return;
    db_copy_row(c, columns);
    db_copy_time(c, b->since);
    db_copy_time(c, b->until);
    for (enum number i = 0; i < NUMBERS_MAX_; i++)
        db_copy_ints(c, types[i], b->number[i], elements(b, i));
    for (enum text i = 0; i < TEXTS_MAX_; i++) {
        if (i == T_AGENT || b->ntext[i])
            db_copy_texts(c, b->text[i], text_elements(b, i));
        else
            db_copy_null(c);
    }
    for (enum id_form i = 0; i < ID_FORMS_MAX_; i++)
        copy_ids(b, i);
    size_t bytes = put_ids(b);
    db_copy_bytes(c, b->ids, bytes);
    b->n = 0;
}

void block_add(struct block *b, const struct block_row *row)
{
    const struct record *r = row->r;
    if (b->n) {
        int64_t since = row->at < b->since ? row->at : b->since,
                until = row->at > b->until ? row->at : b->until;
        if (b->n == block_rows_max || until - since > block_span_us)
            block_end(b);
        else
            b->since = since, b->until = until;
    }
    if (!b->n) {
        b->since = b->until = row->at;
        b->network = NULL;
        memset(b->ntext, 0, sizeof b->ntext);
        memset(b->forms, 0, sizeof b->forms);
    }
    const int64_t numbers[NUMBERS_MAX_] = {
        [N_AT] = row->at,
        [N_ROUTE] = row->route,
        [N_STATUS] = r->number[RR_status],
        [N_TOTAL_US] = int_of(r->number[RR_total_us]),
        [N_QUEUE_US] = int_of(r->number[RR_queue_us]),
        [N_DB_US] = int_of(r->number[RR_db_us]),
        [N_BYTES_IN] = r->number[RR_bytes_in],
        [N_BYTES_OUT] = r->number[RR_bytes_out],
        [N_CONSUMER] = row->consumer,
        [N_NETWORK] = r->text[RR_network] == b->network ? b->number[N_NETWORK][b->n - 1]
                                                        : network_of(r->text[RR_network]),
    };
    b->network = r->text[RR_network];
    for (size_t i = 0; i < NUMBERS_MAX_; i++)
        b->number[i][b->n] = numbers[i];
    for (size_t i = 0; i < TEXTS_MAX_; i++) {
        const char *s = r->text[texts[i]];
        bool has = *s || i == T_AGENT /* every request has one */;
        b->text[i][b->n] = has ? s : NULL;
        b->ntext[i] += has;
    }
    const char *id = r->text[RR_id];
    b->id[b->n] = *id ? id : NULL;
    if (*id) {
        b->form[b->n] = block_id_form(id, b->uuid[b->n]);
        b->forms[b->form[b->n]]++;
    }
    b->n++;
}
