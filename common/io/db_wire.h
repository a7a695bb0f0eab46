#ifndef IO_DB_WIRE_H
#define IO_DB_WIRE_H
/*
 * The messages of PostgreSQL's extended query, read and written in place on a connection that libpq
 * has opened, and closes (its chapter "Frontend/Backend Protocol", version 3.0, of 12 and later).
 * For db_fast.c, which keeps many statements under way on one connection; why not libpq there too
 * is in docs/adr/0023.  What goes wrong in here leaves nothing to be repaired: close the
 * connection.
 *
 * A message is a view of the buffer, and good until the next read.
 */
#include "common/base/arena.h"

#include <sys/types.h>

struct db_params;
struct db_rows;

enum {
    wire_read_bytes = 64 * 1024,      /* room for a read */
    wire_keep_bytes = 1024 * 1024,    /* an empty buffer that is larger is given back */
    wire_message_bytes_max = 1 << 30, /* PostgreSQL's own limit of a row */
};

struct wire_bytes {
    char *data;
    size_t at, n, cap; /* what lies between at and n is still to be sent, or to be looked at */
};

struct db_wire {
    int fd;
    void *tls; /* SSL *, NULL: in the clear */
    struct wire_bytes in, out;
};

/* What the server says of a statement that it refuses; the texts are never NULL. */
struct db_refusal {
    const char *state; /* SQLSTATE */
    const char *text;  /* its sentence */
    const char *at;    /* the constraint, or else the column, or "" */
};

enum wire_kind {
    WIRE_MORE = 1, /* nothing complete has arrived */
    WIRE_ROW,      /* `row` */
    WIRE_DONE,     /* a statement has all its rows */
    WIRE_REFUSED,  /* it failed (`refusal`), and the server skips all up to the sync */
    WIRE_SYNCED,   /* all before a sync is answered */
    WIRE_BROKEN,   /* no message that belongs here */
};

struct wire_message {
    const char *row;
    size_t bytes;
    struct db_refusal refusal;
};

void wire_init(struct db_wire *w, int fd, void *tls); /* zeroed before, or fresh */
void wire_free(struct db_wire *w);                    /* not fd and tls */

/* By the name it was prepared under, or with its text (name NULL).  All results are text. */
void wire_put_statement(struct db_wire *w, const char *name, const char *sql,
                        const struct db_params *p);
/* Prepares it, in the place of what had the name before; the answer is that of the statements that
 * follow. */
void wire_put_prepare(struct db_wire *w, const char *name, const char *sql);
void wire_put_sync(struct db_wire *w);
/* 0: all is sent; 1: the socket takes no more now; negative: broken. */
int wire_flush(struct db_wire *w) MUST_CHECK;
/* What has arrived, or a part of it: 1, if there may be more to read.  Negative: the connection has
 * ended or broken; what came before is there. */
int wire_read(struct db_wire *w) MUST_CHECK;
enum wire_kind wire_next(struct db_wire *w, struct wire_message *ret);

/* Copies the row to the arena, as the next one of *rows, which is in the same arena; NULL: it is
 * the first.  False: it is none, or has other columns. */
bool wire_add_row(struct arena *a, const struct wire_message *m, struct db_rows **rows) MUST_CHECK;
#endif
