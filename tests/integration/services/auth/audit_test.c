/* The audit log on a real database: chained in batches, and what was tampered with is found. */
#include "tests/integration/services/auth/auth_fixture.h"

#include "services/auth/audit.h"

enum { entries = 40 };

static int setup(void **state)
{
    (void)state;
    return fx_setup("auth_audit", "cms365:revoked");
}

static void script(const char *sql)
{
    struct err err;
    ok(db_session_script(session, sql, &err), &err);
}

static void put(const char *type, const char *data)
{
    struct err err;
    const struct auth_cause why = { .actor = "user:7 key:3", .address = "192.0.2.1" };
    const struct audit x = { .type = type, .subject = "key:3", .user_id = 7, .data = data };
    ok(audit_note(&svc, a, &x, &why, &err), &err);
}

static size_t chain(void)
{
    struct err err;
    size_t n, all = 0;
    do {
        ok(audit_chain_some(&svc, a, false, &n, &err), &err);
        all += n;
    } while (n == audit_batch_max);
    return all;
}

static struct audit_report verify(void)
{
    struct audit_report r;
    struct err err;
    ok(audit_verify(&svc, a, &r, &err), &err);
    return r;
}

/* Only the owner of the schema can do this, and only so. */
static void tamper(const char *sql)
{
    script(arena_printf(a,
                        "alter table audit disable trigger all; alter table audit_chain disable "
                        "trigger all; %s; alter table audit enable trigger all; alter table "
                        "audit_chain enable trigger all",
                        sql));
}

static int fresh(void **state)
{
    (void)state;
    tamper("truncate audit, audit_chain restart identity");
    for (int i = 0; i < entries; i++)
        put("key.created", i % 2 ? NULL : "{\"b\":1,\"a\":\"ü \\u0022\"}");
    assert_int_equal(chain(), entries);
    return 0;
}

/* proves: AU-13 */
static void entries_are_chained_and_the_rest_is_reported(void **state)
{
    (void)state;
    struct audit_report r = verify();
    assert_null(r.broken);
    assert_int_equal(r.rows, entries);
    assert_int_equal(r.last_seq, entries);
    assert_int_equal(r.unchained, 0);
    put("key.revoked", NULL);
    r = verify();
    assert_null(r.broken);
    assert_int_equal(r.unchained, 1);
    assert_int_equal(chain(), 1);
    assert_int_equal(chain(), 0);
    char before[65];
    snprintf(before, sizeof(before), "%s", r.hash);
    r = verify();
    assert_int_equal(r.unchained, 0);
    assert_string_not_equal(r.hash, before);
}

/* proves: AU-13: what commits late is chained late, and stays in order */
static void an_id_that_commits_late_is_not_left_out(void **state)
{
    (void)state;
    script("insert into audit (id, type, subject) overriding system value values (1000, 'a', 's')");
    assert_int_equal(chain(), 1);
    script("insert into audit (id, type, subject) overriding system value values (900, 'b', 's')");
    assert_int_equal(chain(), 1);
    assert_null(verify().broken);
}

/* proves: AU-13: each kind of tampering, and where it is found */
static void tampering_is_found_where_it_was_done(void **state)
{
    static const struct {
        const char *what, *sql;
        int64_t seq, audit_id;
    } rows[] = {
        { "type changed",                 "update audit set type = 'x' where id = 7",                                7,  7  },
        { "actor removed",                "update audit set actor = null where id = 7",                              7,  7  },
        { "data changed",                 "update audit set data = '{\"a\":2}' where id = 8",                        8,  8  },
        { "time changed",                 "update audit set created_at = created_at + interval '1 us' where id = 9",
         9,                                                                                                              9  },
        { "text moved between columns",
         "update audit set subject = 'key:', address = '3192.0.2.1' where id = 5",                                   5,  5  },
        { "two swapped",
         "update audit set data = '{}' where id = 3; update audit set data = "
          "(select data from audit where id = 5) where id = 4",                                                      3,  3  },
        { "two ids swapped in the chain",
         "update audit_chain set audit_id = 99 where seq = 11; update audit_chain set audit_id = "
          "11 where seq = 12; update audit_chain set audit_id = 12 where seq = 11",                                  11, 12 },
        { "entry deleted",                "delete from audit where id = 20",                                         20, 20 },
        { "link deleted",                 "delete from audit_chain where seq = 20",                                  21, 21 },
        { "both deleted",                 "delete from audit_chain where seq = 20; delete from audit where id = 20",
         21,                                                                                                             21 },
        { "hash changed",                 "update audit_chain set hash = repeat('0', 64) where seq = 30",            30, 30 },
        { "first link replaced",          "update audit_chain set prev_hash = repeat('1', 64) where seq = 1",
         1,                                                                                                              1  },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fresh(state);
        tamper(arena_printf(a,
                            "alter table audit_chain drop constraint audit_chain_audit_id_fkey; %s",
                            rows[i].sql));
        struct audit_report r = verify();
        if (!r.broken || r.seq != rows[i].seq || r.audit_id != rows[i].audit_id)
            fail_msg("%s: %s at %lld, entry %lld", rows[i].what, r.broken ? r.broken : "nothing",
                     (long long)r.seq, (long long)r.audit_id);
        tamper(
            "truncate audit, audit_chain restart identity; alter table audit_chain add constraint "
            "audit_chain_audit_id_fkey foreign key (audit_id) references audit");
    }
}

/* proves: AU-13: an entry of yesterday cannot be made today */
static void an_entry_inserted_afterwards_is_found(void **state)
{
    fresh(state);
    script("insert into audit (id, type, subject, created_at) overriding system value values "
           "(5000, 'x', 's', now() - interval '1 day')");
    struct audit_report r = verify();
    assert_non_null(r.broken);
    assert_int_equal(r.audit_id, 5000);
    assert_int_equal(chain(), 1);
    r = verify();
    assert_non_null(r.broken);
    assert_int_equal(r.seq, entries + 1);
    assert_int_equal(r.audit_id, 5000);
}

/* proves: AU-13: not even the owner changes it by mistake */
static void rows_are_not_changed_nor_deleted(void **state)
{
    static const char *const refused[] = { "update audit set type = 'x'", "delete from audit",
                                           "truncate audit cascade",
                                           "update audit_chain set hash = hash",
                                           "delete from audit_chain" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err err;
        assert_int_not_equal(db_session_script(session, refused[i], &err), 0);
    }
    assert_null(verify().broken);
}

/* proves: AU-13: there is no effect without its entry, and none without its effect */
static int half_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct auth_cause why = { .actor = "user:7" };
    const struct audit x = { .type = "never", .subject = "key:3", .user_id = 7 };
    int rc = audit_put(tx, a, &x, &why, err);
    (void)ctx;
    return rc ? rc : err_set(err, E_conflict, "stop");
}

static void an_effect_that_is_rolled_back_leaves_no_entry(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(db_tx(svc.db, a, half_tx, NULL, &err), -E_conflict);
    assert_int_equal(number("select count(*) from audit where type = 'never'"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(entries_are_chained_and_the_rest_is_reported, fresh),
        cmocka_unit_test_setup(an_id_that_commits_late_is_not_left_out, fresh),
        cmocka_unit_test(tampering_is_found_where_it_was_done),
        cmocka_unit_test(an_entry_inserted_afterwards_is_found),
        cmocka_unit_test_setup(rows_are_not_changed_nor_deleted, fresh),
        cmocka_unit_test_setup(an_effect_that_is_rolled_back_leaves_no_entry, fresh),
    };
    return cmocka_run_group_tests_name("auth_audit", tests, setup, fx_teardown);
}
