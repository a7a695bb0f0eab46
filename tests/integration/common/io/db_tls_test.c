/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL, on this machine, with a role that may turn its TLS on
 * and off, and rights to write in its data directory. */
#define _GNU_SOURCE /* raw_http.h */
#include "tests/support/db_crowd.h"
#include "tests/support/raw_http.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

STMT(f_encrypted, "select ssl from pg_stat_ssl where pid = pg_backend_pid()", DB_FAST);
STMT(f_long, "select repeat($2, $1::int)", DB_FAST);
STMT(data_directory, "select current_setting('data_directory')", 0);

static const char *cert_path, *key_path;

static struct db_conf conf_with_tls(void)
{
    static char conninfo[1200];
    struct db_conf conf = conf_of("db_tls_test");
    snprintf(conninfo, sizeof(conninfo), "%s&sslmode=require", conf.conninfo);
    conf.conninfo = conninfo;
    return conf;
}

static const char *text_of(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    const char *text = arena_strndup(arena, data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void make_certificate(const char **ret_cert, const char **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(cert_bio, cert), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL), 1);
    *ret_cert = text_of(cert_bio);
    *ret_key = text_of(key_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* A file in the server's data directory, which nobody else may read. */
static void put_file(const char *directory, const char *path, const char *text)
{
    struct stat owner;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || stat(directory, &owner) || fchown(fd, owner.st_uid, owner.st_gid))
        fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static const char *directory_of_server(void)
{
    struct db_conf conf = conf_of("db_test_admin");
    struct db_session *s;
    struct db_rows *rows;
    struct err err;
    assert_int_equal(db_session_open(&conf, &s, &err), 0);
    assert_int_equal(db_session_exec(s, arena, &data_directory, NULL, 0, &rows, &err), 0);
    db_session_close(s);
    return db_str(rows, 0, 0);
}

static bool tls_is_on(void)
{
    struct db_conf conf = conf_with_tls();
    struct db_session *s;
    struct err err;
    bool on = db_session_open(&conf, &s, &err) == 0;
    if (on)
        db_session_close(s);
    return on;
}

static int tls_setup(void **state)
{
    const char *cert, *key;
    if (group_setup(state) < 0)
        return -1;
    const char *directory = directory_of_server();
    cert_path = arena_printf(arena, "%s/cms365_test.crt", directory);
    key_path = arena_printf(arena, "%s/cms365_test.key", directory);
    make_certificate(&cert, &key);
    put_file(directory, cert_path, cert);
    put_file(directory, key_path, key);
    /* Each alone: ALTER SYSTEM runs in no transaction. */
    script("alter system set ssl_cert_file = 'cms365_test.crt'");
    script("alter system set ssl_key_file = 'cms365_test.key'");
    script("alter system set ssl = on");
    script("select pg_reload_conf()");
    WAIT_FOR(tls_is_on()); /* it reads its settings again some time after it was told to */
    return 0;
}

static int tls_teardown(void **state)
{
    script("alter system reset ssl");
    script("alter system reset ssl_cert_file");
    script("alter system reset ssl_key_file");
    script("select pg_reload_conf()");
    WAIT_FOR(!tls_is_on());
    (void)unlink(cert_path);
    (void)unlink(key_path);
    return group_teardown(state);
}

static void encrypted(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    CHECK(db_query(c->db, a, &f_encrypted, NULL, 0, &r, &err) == 0 && db_get_bool(r, 0, 0));
    read_often(c, i, a);
}

static void fast_reads_are_encrypted(void **state)
{
    (void)state;
    struct db_conf conf = conf_with_tls();
    struct db *db = db_new(&conf);
    run_crowd(db, 100, encrypted, NULL);
    db_free(db);
}

/* Questions and answers of many records, larger than any buffer. */
static void long_ones(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    char piece[2000];
    size_t n = 100 + i * 100, len;
    memset(piece, 'a' + (int)i, sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    const struct db_val v[] = { db_i64((int64_t)n), db_text(piece) };
    CHECK(db_query(c->db, a, &f_long, v, 2, &r, &err) == 0);
    const char *got = db_cell(r, 0, 0, &len);
    CHECK(len == n * (sizeof(piece) - 1));
    CHECK(strspn(got, (char[]){ piece[0], '\0' }) == len);
}

static void long_answers_are_whole(void **state)
{
    (void)state;
    struct db_conf conf = conf_with_tls();
    struct db *db = db_new(&conf);
    run_crowd(db, 20, long_ones, NULL);
    db_free(db);
}

static void the_end_of_an_encrypted_connection(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    CHECK(db_query(c->db, a, &f_encrypted, NULL, 0, &r, &err) == 0);
    CHECK(db_query(c->db, a, &end_others, (struct db_val[]){ db_text("db_tls_test") }, 1, &r,
                   &err) == 0);
    read_often(c, i, a);
}

static void fast_reads_survive_the_end_of_an_encrypted_connection(void **state)
{
    (void)state;
    struct db_conf conf = conf_with_tls();
    struct db *db = db_new(&conf);
    struct db_stats st;
    run_crowd(db, 1, the_end_of_an_encrypted_connection, NULL);
    db_stats(db, &st);
    assert_int_equal(st.reconnects, 3); /* two pipelined, one borrowed */
    db_free(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_reads_are_encrypted),
        cmocka_unit_test(long_answers_are_whole),
        cmocka_unit_test(fast_reads_survive_the_end_of_an_encrypted_connection),
    };
    return cmocka_run_group_tests(tests, tls_setup, tls_teardown);
}
