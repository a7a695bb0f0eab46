#ifndef IO_DB_COPY_H
#define IO_DB_COPY_H
/*
 * Many rows of one table: COPY … FROM STDIN (FORMAT binary) (PostgreSQL, sql-copy.html "Binary
 * Format").  Costs the server half of what an INSERT from arrays does.  What is wrong with one row
 * fails the statement, and with it the transaction, as with INSERT.
 *
 *   struct db_copy c;
 *   db_copy_init(&c, a, rows_max * row_bytes_max);
 *   db_copy_row(&c, 2), db_copy_i64(&c, 7), db_copy_text(&c, "x");   -- a field each, in order
 *   rc = db_copy(tx, &c, &sql_things_store, err);
 */
#include "common/base/buf.h"
#include "common/io/db.h"

struct db_copy {
    struct buf b;
    int64_t rows;
};
/* `max_bytes`: of all rows; 10 bytes of the format's own, and of each row 2 and 4 a field. */
void db_copy_init(struct db_copy *c, struct arena *a, size_t max_bytes);
void db_copy_row(struct db_copy *c, unsigned columns);
void db_copy_null(struct db_copy *c);
void db_copy_bool(struct db_copy *c, bool v);
void db_copy_i16(struct db_copy *c, int16_t v);        /* smallint */
void db_copy_i32(struct db_copy *c, int32_t v);        /* integer */
void db_copy_i64(struct db_copy *c, int64_t v);        /* bigint */
void db_copy_time(struct db_copy *c, int64_t unix_us); /* timestamptz */
void db_copy_text(struct db_copy *c, const char *s);   /* UTF-8 */
/* Sends what there is, and empties it.  A type that is not the column's, more bytes than were
 * said, or a row that the server did not take: an error, and the transaction is lost. */
int db_copy(struct db_tx *tx, struct db_copy *c, const struct db_stmt *s,
            struct err *err) MUST_CHECK;
#endif
