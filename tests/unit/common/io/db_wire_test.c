#include "common/io/db_internal.h"
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What a server would send, message by message. */
struct script {
    char data[4096];
    size_t n;
};

static void put_bytes(struct script *s, const void *data, size_t n)
{
    assert_true(s->n + n <= sizeof(s->data));
    memcpy(s->data + s->n, data, n);
    s->n += n;
}

static void put_number(struct script *s, uint32_t v, size_t bytes)
{
    for (size_t i = bytes; i-- > 0;)
        put_bytes(s, &(char){ (char)(v >> (8 * i)) }, 1);
}

static void put_message(struct script *s, char type, const char *body, size_t n)
{
    put_bytes(s, &type, 1);
    put_number(s, (uint32_t)n + 4, 4);
    put_bytes(s, body, n);
}

/* A row of texts, up to a NULL; "-" is null. */
static void put_row(struct script *s, const char *const *cells)
{
    struct script row = { .n = 0 };
    uint32_t n = 0;
    while (cells[n])
        n++;
    put_number(&row, n, 2);
    for (; *cells; cells++) {
        bool null = strcmp(*cells, "-") == 0;
        put_number(&row, null ? UINT32_MAX : (uint32_t)strlen(*cells), 4);
        put_bytes(&row, *cells, null ? 0 : strlen(*cells));
    }
    put_message(s, 'D', row.data, row.n);
}
#define ROW(s, ...)            put_row(s, (const char *const[]){ __VA_ARGS__, NULL })
#define MESSAGE(s, type, body) put_message(s, type, body, sizeof(body) - 1)

static struct db_wire pair(int *ret_server)
{
    struct db_wire w;
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    wire_init(&w, fd[0], NULL);
    *ret_server = fd[1];
    return w;
}

static void end(struct db_wire *w, int server)
{
    close(w->fd);
    close(server);
    wire_free(w);
}

static void send_all(int fd, const char *data, size_t n)
{
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), n);
}

/* --- answers --------------------------------------------------------------------------- */

/* Two rows, none, a refusal with what is skipped, the sync; and what may come at any time. */
static void whole_story(struct script *s)
{
    MESSAGE(s, '3', "");
    MESSAGE(s, '1', "");
    MESSAGE(s, '2', "");
    ROW(s, "1", "one", "-");
    MESSAGE(s, 'N', "SNOTICE\0Mby the way\0\0");
    ROW(s, "2", "", "x");
    MESSAGE(s, 'C', "SELECT 2\0");
    MESSAGE(s, '2', "");
    MESSAGE(s, 'C', "SELECT 0\0");
    MESSAGE(s, 'S', "application_name\0x\0");
    MESSAGE(s, '2', "");
    ROW(s, "half");
    MESSAGE(s, 'E', "SERROR\0VERROR\0C22012\0Mdivision by zero\0Rint4div\0\0");
    MESSAGE(s, 'A', "\0\0\0\1channel\0\0");
    MESSAGE(s, 'Z', "I");
    MESSAGE(s, '2', "");
    ROW(s, "after");
    MESSAGE(s, 'C', "SELECT 1\0");
    MESSAGE(s, 'Z', "I");
}

/* What follows the rows that have arrived; they go to *rows.  WIRE_BROKEN too if they are none. */
static enum wire_kind next_end(struct db_wire *w, struct arena *a, struct wire_message *m,
                               struct db_rows **rows)
{
    enum wire_kind kind;
    while ((kind = wire_next(w, m)) == WIRE_ROW)
        if (!wire_add_row(a, m, rows))
            return WIRE_BROKEN;
    return kind;
}

static void check_two_rows(const struct db_rows *r)
{
    size_t n;
    assert_non_null(r);
    assert_int_equal(db_nrows(r), 2);
    assert_int_equal(db_ncols(r), 3);
    assert_int_equal(db_get_i64(r, 0, 0), 1);
    assert_string_equal(db_cell(r, 0, 1, &n), "one");
    assert_int_equal(n, 3);
    assert_true(db_is_null(r, 0, 2));
    assert_null(db_str(r, 0, 2));
    assert_string_equal(db_cell(r, 0, 2, &n), "");
    assert_int_equal(n, 0);
    assert_int_equal(db_get_i64(r, 1, 0), 2);
    assert_false(db_is_null(r, 1, 1));
    assert_string_equal(db_str(r, 1, 1), "");
    assert_string_equal(db_str(r, 1, 2), "x");
    assert_true(db_rows_bytes(r) >= strlen("12onex"));
    assert_int_equal(db_affected(r), 0);
}

static void check_one_row(const struct db_rows *r, const char *cell)
{
    assert_non_null(r);
    assert_int_equal(db_nrows(r), 1);
    assert_string_equal(db_str(r, 0, 0), cell);
}

static void check_step(size_t step, enum wire_kind kind, const struct wire_message *m,
                       const struct db_rows *rows)
{
    static const enum wire_kind kinds[] = { WIRE_DONE,   WIRE_DONE, WIRE_REFUSED,
                                            WIRE_SYNCED, WIRE_DONE, WIRE_SYNCED };
    assert_true(step < ARRAY_LEN(kinds));
    assert_int_equal(kind, kinds[step]);
    if (step == 0)
        check_two_rows(rows);
    if (step == 1)
        assert_null(rows);
    if (step == 2) {
        assert_string_equal(m->refusal.state, "22012");
        assert_string_equal(m->refusal.text, "division by zero");
        assert_string_equal(m->refusal.at, "");
    }
    if (step == 4)
        check_one_row(rows, "after");
}

/* Reads and checks all that has arrived; the rows of an answer may come in many parts. */
static void check_steps(struct db_wire *w, struct arena *a, size_t *step, struct db_rows **rows)
{
    struct wire_message m;
    enum wire_kind kind;
    int more;
    do {
        more = wire_read(w);
        assert_true(more >= 0);
        while ((kind = next_end(w, a, &m, rows)) != WIRE_MORE) {
            check_step((*step)++, kind, &m, *rows);
            *rows = NULL;
        }
    } while (more);
}

/* Wherever the bytes are cut, the answers are the same. */
static void answers_arrive_in_any_pieces(void **state)
{
    (void)state;
    struct script s = { .n = 0 };
    whole_story(&s);
    for (size_t piece = 1; piece <= s.n; piece++) {
        int server;
        struct db_wire w = pair(&server);
        struct arena *a = arena_new();
        struct db_rows *rows = NULL;
        size_t step = 0;
        for (size_t at = 0; at < s.n; at += piece) {
            send_all(server, s.data + at, s.n - at < piece ? s.n - at : piece);
            check_steps(&w, a, &step, &rows);
        }
        assert_int_equal(step, 6);
        arena_free(a);
        end(&w, server);
    }
}

static void constraints_and_columns_are_named(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    struct wire_message m;
    struct script s = { .n = 0 };
    struct err err;
    MESSAGE(&s, 'E', "C23505\0Mtaken\0cslug\0nposts_slug_key\0\0");
    MESSAGE(&s, 'E', "C23502\0Mmissing\0ctitle\0\0");
    send_all(server, s.data, s.n);
    assert_int_equal(wire_read(&w), 0);
    assert_int_equal(wire_next(&w, &m), WIRE_REFUSED);
    assert_int_equal(db_refused(&m.refusal, "write", &err), -E_conflict);
    assert_string_equal(err.pointer, "posts_slug_key");
    assert_int_equal(wire_next(&w, &m), WIRE_REFUSED);
    assert_int_equal(db_refused(&m.refusal, "write", &err), -E_validation);
    assert_string_equal(err.pointer, "title");
    end(&w, server);
}

/* --- what is no answer ----------------------------------------------------------------- */

static const struct {
    const char *data;
    size_t n;
} broken[] = {
#define BYTES(text) { text, sizeof(text) - 1 }
    BYTES("D\0\0\0\3"),                                /* shorter than its own length */
    BYTES("D\377\377\377\377"),                        /* 4 GB */
    BYTES("D\100\0\0\1"),                              /* a byte over 1 GB */
    BYTES("G\0\0\0\7\0\0\0"),                          /* a COPY */
    BYTES("T\0\0\0\6\0\0"),                            /* a description that nobody asked for */
    BYTES("s\0\0\0\4"),                                /* a portal with more rows */
    BYTES("\0\0\0\0\4"),                               /* no letter */
    BYTES("E\0\0\0\4"),                                /* an error without an end */
    BYTES("E\0\0\0\7C22"),                             /* a field without one */
    BYTES("D\0\0\0\4C\0\0\0\4"),                       /* a row without a count */
    BYTES("D\0\0\0\6\0\2C\0\0\0\4"),                   /* two cells, and none there */
    BYTES("D\0\0\0\13\0\1\0\0\0\5xC\0\0\0\4"),         /* a cell beyond its row */
    BYTES("D\0\0\0\13\0\1\377\377\377\376xC\0\0\0\4"), /* a length below null's */
    BYTES("D\0\0\0\13\0\1\177\377\377\377xC\0\0\0\4"), /* 2 GB in a byte */
    BYTES("D\0\0\0\14\0\1\0\0\0\1xyC\0\0\0\4"),        /* a byte too much */
    BYTES("D\0\0\0\6\377\377C\0\0\0\4"),               /* 65,535 cells */
    BYTES("D\0\0\0\13\0\1\0\0\0\1x"
          "D\0\0\0\20\0\2\0\0\0\1x\0\0\0\1yC\0\0\0\4"), /* rows of different widths */
    BYTES("D\0\0\0\20\0\2\0\0\0\1x\0\0\0\1y"
          "D\0\0\0\13\0\1\0\0\0\1xC\0\0\0\4"),
#undef BYTES
};

static bool is_broken(struct db_wire *w)
{
    struct wire_message m;
    struct arena *a = arena_new();
    struct db_rows *rows = NULL;
    enum wire_kind kind;
    while ((kind = next_end(w, a, &m, &rows)) != WIRE_MORE && kind != WIRE_BROKEN)
        rows = NULL;
    arena_free(a);
    return kind == WIRE_BROKEN;
}

static void what_is_no_answer_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        int server;
        struct db_wire w = pair(&server);
        send_all(server, broken[i].data, broken[i].n);
        assert_int_equal(wire_read(&w), 0);
        if (!is_broken(&w))
            fail_msg("message %zu was taken", i);
        end(&w, server);
    }
}

static void the_end_of_the_connection_is_told_after_its_answers(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    struct wire_message m;
    struct script s = { .n = 0 };
    ROW(&s, "last");
    MESSAGE(&s, 'C', "SELECT 1\0");
    send_all(server, s.data, s.n);
    shutdown(server, SHUT_WR);
    assert_int_equal(wire_read(&w), 0);
    assert_int_equal(wire_read(&w), -1);
    struct arena *a = arena_new();
    struct db_rows *rows = NULL;
    assert_int_equal(next_end(&w, a, &m, &rows), WIRE_DONE);
    check_one_row(rows, "last");
    assert_int_equal(wire_next(&w, &m), WIRE_MORE);
    arena_free(a);
    end(&w, server);
}

/* --- large ones ------------------------------------------------------------------------ */

enum { large_bytes = 3 * wire_keep_bytes };

/* Sent and read by turns, as a socket does not hold it all. */
static void large_answers_make_room_and_give_it_back(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    struct wire_message m;
    struct script head = { .n = 0 };
    char *cell = malloc(large_bytes);
    memset(cell, 'x', large_bytes);
    put_bytes(&head, "D", 1);
    put_number(&head, 4 + 2 + 4 + large_bytes, 4);
    put_number(&head, 1, 2);
    put_number(&head, large_bytes, 4);
    send_all(server, head.data, head.n);
    for (size_t at = 0; at < large_bytes;) {
        ssize_t n = send(server, cell + at, large_bytes - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        int more;
        while ((more = wire_read(&w)) > 0)
            ;
        assert_int_equal(more, 0);
        assert_int_equal(wire_next(&w, &m), at < large_bytes ? WIRE_MORE : WIRE_ROW);
    }
    struct arena *a = arena_new();
    struct db_rows *r = NULL;
    size_t n;
    assert_true(wire_add_row(a, &m, &r));
    assert_memory_equal(db_cell(r, 0, 0, &n), cell, large_bytes);
    assert_int_equal(n, large_bytes);
    arena_free(a);
    free(cell);
    assert_true(w.in.cap > large_bytes);
    assert_int_equal(wire_next(&w, &m), WIRE_MORE);
    assert_int_equal(w.in.cap, 0);
    end(&w, server);
}

static void many_rows_keep_their_order(void **state)
{
    (void)state;
    enum { many = 1000 };
    int server;
    struct db_wire w = pair(&server);
    struct wire_message m;
    struct arena *a = arena_new();
    struct db_rows *rows = NULL;
    char number[16];
    for (int i = 0; i < many; i++) {
        struct script s = { .n = 0 };
        snprintf(number, sizeof(number), "%d", i);
        ROW(&s, number, number);
        send_all(server, s.data, s.n);
        assert_int_equal(wire_read(&w), 0);
        assert_int_equal(next_end(&w, a, &m, &rows), WIRE_MORE);
    }
    assert_int_equal(db_nrows(rows), many);
    for (int i = 0; i < many; i++)
        assert_int_equal(db_get_i64(rows, (size_t)i, 1), i);
    arena_free(a);
    end(&w, server);
}

/* --- questions ------------------------------------------------------------------------- */

static size_t receive_all(int fd, char *out, size_t max)
{
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, out + n, max - n, 0)) > 0)
        n += (size_t)got;
    return n;
}

/* As printed in PostgreSQL's "Message Formats". */
static void statements_are_sent_as_the_protocol_says(void **state)
{
    (void)state;
    static const char wanted[] =
        "B\0\0\0\36\0read\0\0\0\0\3\0\0\0\00242\377\377\377\377\0\0\0\0\0\0"
        "E\0\0\0\11\0\0\0\0\0"
        "P\0\0\0\21\0select $1\0\0\0"
        "B\0\0\0\24\0\0\0\1\0\1\0\1\0\0\0\2\0\7\0\0"
        "E\0\0\0\11\0\0\0\0\0"
        "C\0\0\0\14Stext_7\0"
        "P\0\0\0\26text_7\0select 1\0\0\0"
        "S\0\0\0\4";
    int server;
    struct db_wire w = pair(&server);
    char got[256];
    const struct db_params texts = {
        .n = 3, .v = (const char *const[]){ "42", NULL, "" }
    };
    const struct db_params binary = {
        .n = 1, .v = (const char *const[]){ "\0\7" }, .len = (int[]){ 2 }, .format = (int[]){ 1 }
    };
    wire_put_statement(&w, "read", "not sent", &texts);
    wire_put_statement(&w, NULL, "select $1", &binary);
    wire_put_prepare(&w, "text_7", "select 1");
    wire_put_sync(&w);
    assert_int_equal(wire_flush(&w), 0);
    size_t n = receive_all(server, got, sizeof(got));
    assert_int_equal(n, sizeof(wanted) - 1);
    assert_memory_equal(got, wanted, n);
    end(&w, server);
}

/* More than the socket takes waits, in order, and more may be put behind it. */
static void what_the_socket_does_not_take_waits(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    char *text = malloc(large_bytes + 1), *got = malloc(3 * large_bytes);
    size_t n = 0, puts = 0;
    memset(text, 'y', large_bytes);
    text[large_bytes] = '\0';
    const struct db_params p = { .n = 1, .v = (const char *const[]){ text } };
    wire_put_statement(&w, "a", "", &p);
    int left = wire_flush(&w);
    assert_int_equal(left, 1);
    while (left) {
        if (!puts++)
            wire_put_statement(&w, "b", "", &p);
        n += receive_all(server, got + n, 3 * large_bytes - n);
        left = wire_flush(&w);
        assert_true(left >= 0);
    }
    n += receive_all(server, got + n, 3 * large_bytes - n);
    assert_int_equal(w.out.cap, 0);
    size_t half = n / 2;
    assert_int_equal(n, 2 * half);
    got[6] = got[half + 6]; /* the names */
    assert_memory_equal(got, got + half, half);
    free(text);
    free(got);
    end(&w, server);
}

static void nobody_there_is_told(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    close(server);
    wire_put_sync(&w);
    assert_int_equal(wire_flush(&w), -1);
    assert_int_equal(wire_read(&w), -1);
    close(w.fd);
    wire_free(&w);
}

/* --- TLS ------------------------------------------------------------------------------- */

static SSL_CTX *server_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static SSL *side(SSL_CTX *ctx, int fd, bool server)
{
    SSL *tls = SSL_new(ctx);
    assert_int_equal(SSL_set_fd(tls, fd), 1);
    if (server)
        SSL_set_accept_state(tls);
    else
        SSL_set_connect_state(tls);
    return tls;
}

static void answers_in_tls_records_are_the_same(void **state)
{
    (void)state;
    int server;
    struct db_wire w = pair(&server);
    SSL_CTX *sc = server_context(), *cc = SSL_CTX_new(TLS_client_method());
    SSL *there = side(sc, server, true), *here = side(cc, w.fd, false);
    for (int i = 0; i < 4; i++) { /* there and back, by turns */
        SSL_do_handshake(here);
        SSL_do_handshake(there);
    }
    assert_true(SSL_is_init_finished(here) && SSL_is_init_finished(there));
    wire_init(&w, w.fd, here);

    char got[64];
    wire_put_sync(&w);
    assert_int_equal(wire_flush(&w), 0);
    assert_int_equal(SSL_read(there, got, sizeof(got)), 5);
    assert_memory_equal(got, "S\0\0\0\4", 5);

    struct script s = { .n = 0 };
    struct arena *a = arena_new();
    struct db_rows *rows = NULL;
    size_t step = 0;
    whole_story(&s);
    for (size_t at = 0; at < s.n; at += 7) { /* many records, with one event */
        int n = s.n - at < 7 ? (int)(s.n - at) : 7;
        assert_int_equal(SSL_write(there, s.data + at, n), n);
    }
    check_steps(&w, a, &step, &rows);
    assert_int_equal(step, 6);
    arena_free(a);

    SSL_shutdown(there);
    assert_int_equal(wire_read(&w), -1);
    SSL_free(here);
    SSL_free(there);
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
    end(&w, server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_arrive_in_any_pieces),
        cmocka_unit_test(constraints_and_columns_are_named),
        cmocka_unit_test(what_is_no_answer_is_told),
        cmocka_unit_test(the_end_of_the_connection_is_told_after_its_answers),
        cmocka_unit_test(large_answers_make_room_and_give_it_back),
        cmocka_unit_test(many_rows_keep_their_order),
        cmocka_unit_test(statements_are_sent_as_the_protocol_says),
        cmocka_unit_test(what_the_socket_does_not_take_waits),
        cmocka_unit_test(nobody_there_is_told),
        cmocka_unit_test(answers_in_tls_records_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
