#ifndef ANALYTICS_BLOCK_H
#define ANALYTICS_BLOCK_H
/*
 * Single requests lie in blocks (request_blocks): up to block_rows_max are one row of the table, a
 * column of theirs an array.  The number of request k of block b is b * block_numbers + k.
 *
 *   struct block *b = block_new(a, &copy);
 *   block_add(b, &(struct block_row){ … });   -- finished blocks go into the copy
 *   block_end(b);                             -- and the last one
 */
#include "common/base/arena.h"
#include "services/analytics/record.h"

struct db_copy;
struct block;
enum {
    block_rows_max = 1000,
    block_numbers = 1024,
    block_row_bytes_max = 640,   /* of a request in the copy: 120 of numbers, three texts, an id */
    block_bytes_max = 64 * 1024, /* of a block's own: heads of columns, the filter */
    block_ids_probes = 5,
};
#define block_span_us (INT64_C(3600) * 1000 * 1000) /* from a block's first request to its last */

struct block_row {
    const struct record *r;
    int64_t at; /* Unix us */
    int32_t route, consumer;
};
struct block *block_new(struct arena *a, struct db_copy *to);
void block_add(struct block *b, const struct block_row *row);
void block_end(struct block *b); /* nothing was added since: nothing */

/* The form of a request id that is none too odd: which column it is in. */
enum id_form { ID_TEXT, ID_UUID, ID_HEX, ID_FORMS_MAX_ };
enum id_form block_id_form(const char *id, unsigned char ret[16]); /* ID_TEXT: not set */

/* Where the filter of a block has its bits for a request id: each modulo its number of bits. */
void block_id_probes(const char *id, int64_t ret[block_ids_probes]);
#endif
