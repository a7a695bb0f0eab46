/* Whatever commits a change of a row tells the response cache of it, and nothing else does. */
#include "tests/integration/services/api/api_fixture.h"

#include "common/kit/rcache.h"

static int setup(void **state)
{
    struct err err;
    int rc = fx_setup(state);
    fx_check(rcache_new(rcache_bytes_min, &fx.svc.rcache, &err), &err);
    return rc;
}

static int teardown(void **state)
{
    int rc = fx_teardown(state);
    rcache_free(fx.svc.rcache);
    return rc;
}

static uint64_t told(void)
{
    struct rcache_stats s;
    rcache_stats(fx.svc.rcache, &s);
    return s.own;
}

static struct principal admin;

static int64_t make(const char *name)
{
    struct answer an = ASK("POST", "companies",
                           .body = arena_printf(fx.a, "{\"name\":\"%s\"}", name), .who = &admin);
    EXPECT(an, 201);
    return json_integer_value(json_object_get(an.data, "id"));
}

/* proves: R-08 */
static void each_write_that_changes_a_row_is_told_once(void **state)
{
    const char *id, *ids;
    (void)state;
    admin = fx_who(0, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    id = arena_printf(fx.a, "%lld", (long long)make("one"));
    ids = arena_printf(fx.a, "{\"ids\":[%s,%lld],\"patch\":{\"city\":\"B\"}}", id,
                       (long long)make("two"));
    const char *each = arena_printf(fx.a,
                                    "[{\"op\":\"update\",\"id\":%s,\"data\":{\"city\":\"C\"}},"
                                    "{\"op\":\"create\",\"data\":{\"name\":\"three\"}},"
                                    "{\"op\":\"delete\",\"id\":%s}]",
                                    id, id);
    const char *half = arena_printf(fx.a,
                                    "[{\"op\":\"update\",\"id\":%s,\"data\":{\"city\":\"D\"}},"
                                    "{\"op\":\"update\",\"id\":999999,\"data\":{}}]",
                                    id);
    const struct {
        struct ask ask;
        int status;
        uint64_t told;
    } steps[] = {
        { { "GET", "companies", id, .who = &admin },                                         200, 0 },
        { { "POST", "companies", .body = "{\"name\":\"k\"}", .key = "k1", .who = &admin },   201, 1 },
        { { "POST", "companies", .body = "{\"name\":\"k\"}", .key = "k1", .who = &admin },   201, 0 },
        { { "POST", "companies", .body = "{\"name\":7}", .who = &admin },                    422, 0 },
        { { "POST", "companies", .body = "{\"name\":\"k\"}", .who = &anonymous },            403, 0 },
        { { "PATCH", "companies", id, .body = "{\"city\":\"A\"}", .who = &admin },           200, 1 },
        { { "PATCH", "companies", id, .body = "{\"meta\":{\"a\":1}}", .who = &admin },       200, 1 },
        { { "PATCH", "companies", "999999", .body = "{\"city\":\"A\"}", .who = &admin },     404, 0 },
        { { "PUT", "companies", id, .body = "{\"name\":\"one\"}", .who = &admin },           200, 1 },
        { { "PUT", "companies", "slug:four", .body = "{\"name\":\"four\"}", .who = &admin },
         201,                                                                                     1 },
        { { "PUT", "companies", "slug:four", .body = "{\"name\":\"4\"}", .key = "k2",
            .who = &admin },
         200,                                                                                     1 },
        { { "PATCH", "companies", .body = ids, .who = &admin },                              200, 2 },
        { { "PATCH", "companies", .body = each, .query = "dry_run=true", .who = &admin },    200, 0 },
        { { "PATCH", "companies", .body = half, .who = &admin },                             404, 0 }, /* rolled back */
        { { "PATCH", "companies", .body = half, .query = "atomic=false", .who = &admin },    207, 1 },
        { { "PATCH", "companies", .body = each, .key = "k3", .who = &admin },                200, 3 },
        { { "PATCH", "companies", .body = each, .key = "k3", .who = &admin },                200, 0 },
        { { "RESTORE", "companies", id, .who = &admin },                                     200, 1 },
        { { "DELETE", "companies", id, .who = &admin },                                      204, 1 },
        { { "RESTORE", "companies", id, .key = "k4", .who = &admin },                        200, 1 },
        { { "DELETE", "companies", id, .query = "purge=true", .who = &admin },               204, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        uint64_t before = told();
        EXPECT(fx_ask(&steps[i].ask), steps[i].status);
        if (told() - before != steps[i].told)
            fail_msg("step %zu: %llu told", i, (unsigned long long)(told() - before));
    }
}

/* Told before it is answered, and under the row's own number. */
static void the_answer_of_a_write_comes_after_the_word_of_it(void **state)
{
    struct rcache_made m;
    struct rcache_entry *e;
    bool wanted;
    const struct rcache_key key = { "k", 1 };
    (void)state;
    const struct rcache_answer kept = { .body = "x", .body_n = 1 };
    int64_t one = make("here"), other = make("there");
    rcache_fresh_until(fx.svc.rcache, INT64_MAX);
    rcache_begin(fx.svc.rcache, &m);
    rcache_made_of_row(&m, entity_find("company"), VC_ADMIN, one);
    assert_true(rcache_put(fx.svc.rcache, &key, &m, &kept));
    EXPECT(ASK("PATCH", "companies", arena_printf(fx.a, "%lld", (long long)other),
               .body = "{\"city\":\"A\"}", .who = &admin),
           200);
    assert_int_equal(rcache_find(fx.svc.rcache, &key, 1, &e, &wanted), RCACHE_HIT);
    rcache_release(e);
    EXPECT(ASK("PATCH", "companies", arena_printf(fx.a, "%lld", (long long)one),
               .body = "{\"city\":\"A\"}", .who = &admin),
           200);
    assert_int_equal(rcache_find(fx.svc.rcache, &key, 1, &e, &wanted), RCACHE_STALE);
}

/* --- without HTTP --- */

static const struct crud *companies(void)
{
    for (struct crud *const *c = fx.api->cruds; *c; c++)
        if (str_eq(crud_entity(*c)->name, "company"))
            return *c;
    return NULL;
}

struct asked {
    bool fail;
    uint64_t during;
};

static int command_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct asked *a = ctx;
    const struct crud_command cmd = { .op = CRUD_OP_CREATE,
                                      .body = json_in(fx.a, json_pack("{s:s}", "name", "told")),
                                      .who = admin,
                                      .request_id = "r",
                                      .traceparent = NULL };
    int64_t id;
    int rc = crud_command(&fx.svc, tx, fx.a, companies(), &cmd, &id, err);
    a->during = told();
    return rc ? rc : a->fail ? err_set(err, E_conflict, "not after all") : 0;
}

/* proves: R-08 */
static void what_commands_and_jobs_change_is_told_when_it_is_committed(void **state)
{
    struct err err = { 0 };
    struct asked a = { .fail = true };
    uint64_t before = told();
    int64_t id;
    (void)state;
    assert_true(db_tx(fx.svc.db, fx.a, command_tx, &a, &err) < 0);
    assert_int_equal(told(), before);
    a.fail = false;
    fx_check(db_tx(fx.svc.db, fx.a, command_tx, &a, &err), &err);
    assert_int_equal(a.during,
                     before); /* a reader who came then would have found the row as it was */
    assert_int_equal(told(), before + 1);
    assert_int_equal(fx_int("SELECT count(*) FROM companies WHERE name = 'told'"), 1);
    const struct crud_change change = { .body =
                                            json_in(fx.a, json_pack("{s:s}", "name", "by itself")),
                                        .actor = "test" };
    fx_check(crud_apply(&fx.svc, fx.a, companies(), &change, &id, &err), &err);
    assert_int_equal(told(), before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_that_changes_a_row_is_told_once),
        cmocka_unit_test(the_answer_of_a_write_comes_after_the_word_of_it),
        cmocka_unit_test(what_commands_and_jobs_change_is_told_when_it_is_committed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
