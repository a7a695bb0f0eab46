#ifndef IO_DB_COPY_H
#define IO_DB_COPY_H
/*
 * Many rows of one table: COPY … FROM STDIN (FORMAT binary) (PostgreSQL, sql-copy.html "Binary
 * Format").  Costs the server half of what an INSERT from arrays does.  What is wrong with one row
 * fails the statement, and with it the transaction, as with INSERT.
 *
 *   struct db_copy c;
 *   db_copy_init(&c, a, likely_bytes, max_bytes);
 *   db_copy_row(&c, 2), db_copy_time(&c, us), db_copy_ints(&c, COPY_INTEGERS, v, 3);  -- in order
 *   rc = db_copy(tx, &c, &sql_things_store, err);
 */
#include "common/base/buf.h"
#include "common/io/db.h"

struct db_copy {
    struct buf b;
    int64_t rows;
};
/* Bytes of all rows: those there is room for at once, and those there may be.  Each row has 2, each
 * field 4, an array 20 and each of its elements 4 beside their own. */
void db_copy_init(struct db_copy *c, struct arena *a, size_t likely_bytes, size_t max_bytes);
void db_copy_row(struct db_copy *c, unsigned columns);
void db_copy_null(struct db_copy *c);
void db_copy_time(struct db_copy *c, int64_t unix_us);             /* timestamptz */
void db_copy_bytes(struct db_copy *c, const void *data, size_t n); /* bytea */
/* Arrays of one dimension (src/include/utils/array.h, array_recv).  Numbers must fit. */
enum db_copy_ints { COPY_SMALLINTS, COPY_INTEGERS, COPY_BIGINTS, COPY_TIMES /* Unix us */ };
void db_copy_ints(struct db_copy *c, enum db_copy_ints type, const int64_t *v, size_t n);
void db_copy_texts(struct db_copy *c, const char *const *v, size_t n); /* UTF-8; NULL is null */
/* NULL is null. */
void db_copy_uuids(struct db_copy *c, const unsigned char *const *v, size_t n);
/* Sends what there is, and empties it.  A type that is not the column's, more bytes than were
 * said, or a row that the server did not take: an error, and the transaction is lost. */
int db_copy(struct db_tx *tx, struct db_copy *c, const struct db_stmt *s,
            struct err *err) MUST_CHECK;
#endif
