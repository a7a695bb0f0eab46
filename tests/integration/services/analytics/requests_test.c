/*
 * Single requests: stored in blocks, found in few of them.  What the lists answer is compared with
 * the same conditions on everything unpacked.
 * proves: N-01, R-06, R-07, X-07, X-08
 */
#include "services/analytics/block.h"
#include "tests/integration/services/analytics/analytics_fixture.h"

extern const struct entity_def entity_api_request;

enum { messages = 40, sent_together = 5, rows = 300, people = 6, tries = 400, page = 7 };
static const struct asking admin = { .user = 1, .admin = true, .entity = &entity_api_request };
static int64_t begin_s;
static unsigned seed = 365;

static unsigned below(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static const char *id_of(unsigned i)
{
    /* Of all three forms that a block keeps apart. */
    unsigned a = i * 2654435761u, lo = i & 0xffff, hi = i >> 16 & 0xfff;
    switch (i % 3) {
    case 0:
        return arena_printf(fx.a, "%08x%08x%08x%08x", a, i, ~i, 7u);
    case 1:
        return arena_printf(fx.a, "%08x-%04x-7%03x-8abc-%04x00abcdef", a, lo, hi, lo);
    default:
        return arena_printf(fx.a, "%08X%08X%08XABCDEFAB", a, i, ~i);
    }
}

static struct made any_record(int64_t at_us, unsigned nth)
{
    static const char *const agents[] = { "curl", "python-requests", "none" };
    static const char *const routes[] = { "/api/v2/posts", "/api/v2/pages", "/api/v2/posts/{id}" };
    static const int failures[] = { 404, 500, 503 };
    unsigned person = below(people), odd = below(50);
    struct made m = { .at_s = begin_s,
                      .at_us = at_us,
                      .total_us = 1 + below(5000),
                      .status = odd < 3 ? failures[odd] : 200,
                      .problem = odd < 3 ? "not_found" : NULL,
                      .country = below(200) ? NULL : "DE",
                      .agent = agents[below(3)],
                      .route = routes[below(3)],
                      .method = below(4) ? "GET" : "POST",
                      .network = below(2) ? "ffffffffffffff01" : "00000000000000ab",
                      .id = below(10) ? id_of(nth) : NULL };
    if (person == 1)
        m.client = 71, m.user = 11;
    else if (person == 2)
        m.session = 1, m.user = 12;
    else if (person)
        m.key = 100 + person, m.user = 10 + person / 2;
    return m;
}

/* Messages that overlap in time, as those of event loops and replicas do; some requests at the very
 * same moment; small ones, and some that come late. */
static void fill(void)
{
    struct msg m[sent_together];
    unsigned nth = 0;
    sql("TRUNCATE request_blocks, fresh, facets, sums, losses, taken", NULL, 0);
    begin_s = clock_us() / 1000000 - 3 * 3600;
    for (int i = 0; i < messages; i++) {
        struct buf b;
        int k = i % sent_together;
        unsigned n = i % 7 == 3 ? 2 : rows;
        begin_message(&b, fx.a);
        for (unsigned j = 0; j < n; j++) {
            int64_t late = i % 11 == 5 ? -60 * 1000000 : 0;
            int64_t us = (int64_t)i * 50000 + below(100) * 1000 + late;
            struct made one = any_record(us, nth++);
            put_record(&b, &one);
        }
        m[k] = end_message(&b, fx.a, k % 2, i);
        if (k == sent_together - 1)
            store(m, sent_together);
    }
}

/* --- as if all were unpacked ---------------------------------------------------------------------
 */

struct test {
    const char *name, *value, *condition;
};

static const char *moment(void)
{
    char text[rfc3339_len + 1];
    rfc3339_format(begin_s * 1000000 + below(messages * 50) * 1000, text);
    return arena_strdup(fx.a, text);
}

static struct test any_test(void)
{
    static const char *const numbers[] = { "status", "total_us", "bytes_out" };
    static const char *const ops[][2] = {
        { "eq",  "="  },
        { "gt",  ">"  },
        { "gte", ">=" },
        { "lt",  "<"  },
        { "lte", "<=" },
        { "ne",  "<>" }
    };
    static const char *const words[][3] = {
        { "filter[agent]",          "none",             "agent = 'none'"               },
        { "filter[country]",        "DE",               "country = 'DE'"               },
        { "filter[country][null]",  "false",            "country IS NOT NULL"          },
        { "filter[problem][null]",  "true",             "problem IS NULL"              },
        { "filter[problem][in]",    "not_found,other",  "problem = 'not_found'"        },
        { "filter[status][in]",     "500,404",          "status IN (500, 404)"         },
        { "filter[key]",            "103",              "key_id = 103"                 },
        { "filter[key][in]",        "103,104",          "key_id IN (103, 104)"         },
        { "filter[client]",         "71",               "client_id = 71"               },
        { "filter[user]",           "12",               "user_id = 12"                 },
        { "filter[user][null]",     "true",             "user_id IS NULL"              },
        { "filter[consumer]",       "session",          "consumer = 'session'"         },
        { "filter[route]",          "/api/v2/pages",    "route = '/api/v2/pages'"      },
        { "filter[route][like]",    "*posts*",          "route LIKE '%posts%'"         },
        { "filter[method]",         "POST",             "method = 'POST'"              },
        { "filter[program]",        "auth",             "program = 'auth'"             },
        { "filter[network]",        "00000000000000ab", "network = '00000000000000ab'" },
        { "filter[not][status]",    "200",              "NOT status = 200"             },
        { "filter[or][0][status]",  "503",              "status = 503"                 },
        { "filter[and][0][status]", "503",              "status = 503"                 },
    };
    unsigned which = below(10), o = below(6);
    if (which < 2) {
        const char *at = moment();
        return (struct test){ arena_printf(fx.a, "filter[at][%s]", ops[o][0]), at,
                              arena_printf(fx.a, "at %s '%s'", ops[o][1], at) };
    }
    if (which == 2) {
        const char *a = moment(), *b = moment();
        return (struct test){ "filter[at][between]", arena_printf(fx.a, "%s,%s", a, b),
                              arena_printf(fx.a, "at BETWEEN '%s' AND '%s'", a, b) };
    }
    if (which == 3) {
        const char *id = id_of(below(messages * rows));
        return (struct test){ "filter[request_id]", id,
                              arena_printf(fx.a, "request_id = '%s'", id) };
    }
    if (which < 6) {
        const char *f = numbers[below(3)];
        unsigned v = str_eq(f, "status") ? 200 + below(310) : below(6000);
        return (struct test){ arena_printf(fx.a, "filter[%s][%s]", f, ops[o][0]),
                              arena_printf(fx.a, "%u", v),
                              arena_printf(fx.a, "%s %s %u", f, ops[o][1], v) };
    }
    const char *const *w = words[below(ARRAY_LEN(words))];
    return (struct test){ w[0], w[1], w[2] };
}

static const char *ids_in(const json_t *list)
{
    struct buf b;
    size_t i;
    json_t *row;
    buf_init(&b, fx.a, 256, 64 * 1024);
    json_array_foreach(list, i, row)
        buf_printf(&b, "%s%lld", i ? "," : "", (long long)field(row, "id"));
    return b.data;
}

static const char *ids_by(const char *where, bool down, unsigned limit, unsigned offset)
{
    const char *way = down ? "DESC" : "";
    return db_str(
        sql(arena_printf(fx.a,
                         "SELECT coalesce(string_agg(id::text, ',' ORDER BY nth), '') FROM"
                         " (SELECT id, row_number() OVER (ORDER BY at %s, id %s) AS nth"
                         " FROM requests_shown WHERE %s ORDER BY nth LIMIT %u OFFSET %u) k",
                         way, way, where, limit, offset),
            NULL, 0),
        0, 0);
}

static void a_list_is_what_it_would_be_if_all_were_unpacked(void **state)
{
    size_t found = 0, empty = 0;
    (void)state;
    fill();
    for (int i = 0; i < tries; i++) {
        struct test t[2] = { any_test(), any_test() };
        struct asking by = admin;
        bool down = below(3), two = below(2) && !str_eq(t[0].name, t[1].name);
        unsigned limit = 1 + below(100), offset = below(3) ? 0 : below(2500);
        const char *where =
            two ? arena_printf(fx.a, "%s AND %s", t[0].condition, t[1].condition) : t[0].condition;
        if (!below(3)) { /* whoever is no administrator sees what stands for them */
            by.admin = false;
            by.user = 10 + below(4);
            where = arena_printf(fx.a, "%s AND user_id = %lld", where, (long long)by.user);
        }
        const char *args[][2] = {
            { "limit", arena_printf(fx.a, "%u", limit) },
            { "offset", arena_printf(fx.a, "%u", offset) },
            { "sort", down ? "-at" : "at" },
            { t[0].name, t[0].value },
            { two ? t[1].name : NULL, t[1].value },
            { NULL, NULL }
        };
        const char *got = ids_in(ask(list_requests, &by, (const char *const(*)[2])args));
        const char *due = ids_by(where, down, limit, offset);
        if (!str_eq(got, due))
            fail_msg("%s, %s, limit %u, offset %u:\n%s\nis not\n%s", where, down ? "down" : "up",
                     limit, offset, got, due);
        *(*got ? &found : &empty) += 1;
    }
    assert_true(found > tries / 3 && empty > 0);
}

/* From one end to the other and back: every request once, in order. */
static void cursors_go_over_every_request_once(void **state)
{
    static const char *const conditions[][3] = {
        { NULL,             NULL,  "true"         },
        { "filter[status]", "404", "status = 404" },
        { "filter[user]",   "12",  "user_id = 12" }
    };
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(conditions); i++) {
        const char *const *c = conditions[i / 2], *cursor = "", *way = "next_cursor";
        bool down = i % 2;
        unsigned limit = c[0] ? page : 90, pages = 0;
        const char *whole = ids_by(c[2], down, 1000000, 0), *last = "";
        size_t at = 0;
        for (; cursor; pages++) {
            const char *args[][2] = {
                { "limit", arena_printf(fx.a, "%u", limit) },
                { "cursor", cursor },
                { "sort", down ? "-at" : "at" },
                { c[0], c[1] },
                { NULL, NULL }
            };
            struct err err = { 0 };
            json_t *tree = NULL;
            check(ask_rc(list_requests, &admin, (const char *const(*)[2])args, &tree, &err), &err);
            const char *ids = ids_in(json_object_get(tree, "data"));
            if (str_eq(way, "next_cursor")) {
                assert_true(strncmp(whole + at, ids, strlen(ids)) == 0);
                at += strlen(ids) + (whole[at + strlen(ids)] == ',');
            } else {
                at -= strlen(ids) + (at - strlen(ids) > 0 && at < strlen(whole));
                assert_true(strncmp(whole + at, ids, strlen(ids)) == 0);
            }
            const json_t *meta = json_object_get(tree, "meta");
            cursor = json_string_value(json_object_get(meta, way));
            if (!cursor && str_eq(way, "next_cursor")) { /* the end: back */
                assert_int_equal(at, strlen(whole));
                at -= strlen(ids);
                last = ids;
                way = "prev_cursor";
                cursor = json_string_value(json_object_get(meta, way));
            }
        }
        assert_true(*last && at == 0 && pages > 3);
    }
}

/* --- few blocks ----------------------------------------------------------------------------------
 */

/* The view counts what it unpacks. */
static void count_unpacking(void)
{
    sql("CREATE SEQUENCE unpacked", NULL, 0);
    sql("CREATE FUNCTION unpacking(at timestamptz[]) RETURNS timestamptz[] LANGUAGE plpgsql"
        " VOLATILE AS $$ BEGIN PERFORM nextval('unpacked'); RETURN at; END $$",
        NULL, 0);
    sql("DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW requests AS ' ||"
        " replace(pg_get_viewdef('requests'), 'UNNEST(b.at,', 'UNNEST(unpacking(b.at),'); END $$",
        NULL, 0);
}

static int64_t unpacked_by(int (*fn)(struct req *, struct res *, struct err *),
                           const struct asking *by, const char *const args[][2], size_t *ret_n)
{
    sql("ALTER SEQUENCE unpacked RESTART", NULL, 0);
    const json_t *got = ask(fn, by, args);
    *ret_n = json_is_array(got) ? json_array_size(got) : got != NULL;
    return number("SELECT nextval('unpacked')") - 1;
}

static void a_page_unpacks_few_blocks(void **state)
{
    enum { blocks = 60 };
    struct msg m;
    struct buf b;
    size_t n;
    (void)state;
    sql("TRUNCATE request_blocks, taken", NULL, 0);
    begin_s = clock_us() / 1000000 - 7200;
    for (int i = 0; i < blocks; i++) {
        begin_message(&b, fx.a);
        for (int j = 0; j < 200; j++)
            put_record(&b, &(struct made){ .at_s = begin_s + i,
                                           .at_us = j * 5000 - 20000, /* a little into the last */
                                           .key = i % 20 == 7 && j == 50 ? 900 : 901,
                                           .user = i % 20 == 7 && j == 50 ? 90 : 91,
                                           .status = i == 11 && j == 50 ? 500 : 200,
                                           .problem = i == 11 && j == 50 ? "internal" : NULL,
                                           .id = id_of((unsigned)(i * 200 + j)) });
        m = end_message(&b, fx.a, 0, i);
        store(&m, 1);
    }
    count_unpacking();
    const char *middle = text_of(begin_s + blocks / 2);
    const char *some = id_of(blocks / 2 * 200 + 3);
    const struct {
        const char *name, *value;
        size_t rows;
        int64_t most;
    } asked[] = {
        { NULL,                   NULL,            20, 3 }, /* the newest */
        { "filter[at][lte]",      middle,          20, 3 },
        { "filter[request_id]",   some,            1,  1 },
        { "filter[request_id]",   id_of(1u << 30), 0,  0 },
        { "filter[key]",          "900",           3,  5 }, /* two, and then all three */
        { "filter[user]",         "90",            3,  5 },
        { "filter[user]",         "92",            0,  0 },
        { "filter[status][gte]",  "500",           1,  1 },
        { "filter[problem]",      "internal",      1,  1 },
        { "filter[route]",        "/api/v2/none",  0,  0 },
        { "filter[total_us][gt]", "1000",          0,  0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        const char *const args[][2] = {
            { "limit",       "20"           },
            { asked[i].name, asked[i].value },
            { NULL,          NULL           }
        };
        int64_t unpacked = unpacked_by(list_requests, &admin, args, &n);
        if (n != asked[i].rows || unpacked > asked[i].most)
            fail_msg("%s=%s: %zu requests out of %lld blocks", asked[i].name, asked[i].value, n,
                     (long long)unpacked);
    }
    struct asking hers = admin;
    hers.admin = false, hers.user = 90;
    assert_in_range(unpacked_by(list_requests, &hers, NULL, &n), 3, 5);
    assert_int_equal(n, 3);
    struct asking one = admin;
    one.id = db_str(sql("SELECT min(id)::text FROM requests", NULL, 0), 0, 0);
    assert_int_equal(unpacked_by(get_request, &one, NULL, &n), 1);
}

/* A month of little traffic: more blocks than are listed by number. */
static void what_is_rare_among_small_blocks_is_found(void **state)
{
    enum { small = 25000 };
    const char *odd = id_of(7);
    size_t n = 0;
    (void)state;
    sql("TRUNCATE request_blocks, taken", NULL, 0);
    store_many(&(struct made){ .at_s = clock_us() / 1000000 - 8 * 86400, .id = odd, .key = 5 }, 1,
               0, 0);
    sql(arena_printf(
            fx.a,
            "INSERT INTO request_blocks (since, until, at, route, status, total_us, queue_us, "
            "db_us,"
            " bytes_in, bytes_out, consumer, network, agent, request_id) SELECT t, t, ARRAY[t], "
            "route,"
            " status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent,"
            " ARRAY['x'] FROM request_blocks, generate_series(1, %d) i,"
            " LATERAL (SELECT until + i * interval '20 seconds') k(t)",
            small),
        NULL, 0);
    const char *const asked[][2] = {
        { "filter[request_id][like]", odd  },
        { "filter[request_id][like]", "y*" },
        { "filter[request_id][like]", "x"  }
    };
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        const json_t *got =
            ask(list_requests, &admin,
                (const char *const[][2]){
                    { "limit",     "3"         },
                    { asked[i][0], asked[i][1] },
                    { NULL,        NULL        }
        });
        n = n * 10 + json_array_size(got);
    }
    assert_int_equal(n, 103);
}

/* The filter says yes to all that are there, and to one in a hundred of those that are not. */
static void request_ids_are_filtered(void **state)
{
    int64_t probes[block_ids_probes], yes = 0;
    (void)state;
    fill();
    for (size_t i = 0; i < 3; i++) {
        static const char *const columns[] = { "request_hex", "request_uuid", "request_id" };
        const char *form = i == 0   ? "^[0-9a-f]{32}$"
                           : i == 1 ? "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
                                    : "^[0-9A-F]{32}$";
        int64_t n = number(
            arena_printf(fx.a, "SELECT count(*) FROM requests WHERE request_id ~ '%s'", form));
        assert_true(n > messages);
        assert_int_equal(
            number(arena_printf(fx.a, "SELECT count(x) FROM request_blocks, unnest(%s) x",
                                columns[i])),
            n);
    }
    struct db_rows *all =
        sql("SELECT request_id FROM requests WHERE request_id IS NOT NULL", NULL, 0);
    const char *maybe = "SELECT count(*) FROM request_blocks b WHERE get_bit(ids, $1::bigint % (8 *"
                        " octet_length(ids))) = 1 AND get_bit(ids, $2::bigint % (8 * "
                        "octet_length(ids))) = 1 AND get_bit(ids, $3::bigint % (8 * "
                        "octet_length(ids))) = 1 AND get_bit(ids, $4::bigint % (8 * "
                        "octet_length(ids))) = 1 AND get_bit(ids, $5::bigint % (8 * "
                        "octet_length(ids))) = 1 AND ($6::text IS NULL OR EXISTS (SELECT FROM"
                        " requests r WHERE r.block = b.number AND r.request_id = $6::text))";
    for (unsigned i = 0; i < 400; i++) {
        const char *id =
            i % 2 ? db_str(all, below((unsigned)db_nrows(all)), 0) : id_of(1u << 24 | i);
        struct db_val v[block_ids_probes + 1];
        block_id_probes(id, probes);
        for (size_t k = 0; k < block_ids_probes; k++)
            v[k] = db_i64(probes[k]);
        v[block_ids_probes] = i % 2 ? db_text(id) : db_null();
        int64_t found = db_get_i64(sql(maybe, v, ARRAY_LEN(v)), 0, 0);
        if (i % 2)
            assert_int_equal(found, 1);
        else
            yes += found;
    }
    int64_t looks = 200 * number("SELECT count(*) FROM request_blocks");
    assert_true(yes < looks / 20);
    assert_int_equal(number("SELECT count(*) FROM pg_attribute WHERE attname = 'ids' AND attstorage"
                            " <> 'p' AND attrelid IN (SELECT inhrelid FROM pg_inherits WHERE"
                            " inhparent = 'request_blocks'::regclass)"),
                     0);
}

/* Blocks from before ids had columns of their own have them as text, whatever their form. */
static void a_request_id_is_found_in_new_blocks_and_old(void **state)
{
    (void)state;
    fill();
    sql("UPDATE request_blocks b SET request_uuid = NULL, request_hex = NULL, request_id = "
        "ARRAY(SELECT"
        " r.request_id FROM requests r WHERE r.block = b.number ORDER BY r.id) WHERE number % 2 = "
        "0",
        NULL, 0);
    struct db_rows *all =
        sql("SELECT request_id FROM requests WHERE request_id IS NOT NULL", NULL, 0);
    for (unsigned i = 0; i < 60; i++) {
        const char *const args[][2] = {
            { "filter[request_id]", db_str(all, below((unsigned)db_nrows(all)), 0) },
            { NULL, NULL }
        };
        assert_int_equal(json_array_size(ask(list_requests, &admin, args)), 1);
    }
}

/* --- blocks --------------------------------------------------------------------------------------
 */

static void a_block_is_no_longer_than_it_may_be(void **state)
{
    struct msg m[4];
    struct buf b;
    (void)state;
    sql("TRUNCATE request_blocks, taken", NULL, 0);
    begin_s = clock_us() / 1000000 - 3 * 86400;
    for (int i = 0; i < 4; i++) { /* 1,200 at once, and 40 that are an hour from each other */
        begin_message(&b, fx.a);
        for (int j = 0; j < (i < 3 ? 400 : 40); j++)
            put_record(&b, &(struct made){ .at_s = begin_s + (i < 3 ? 0 : j * 3601), .user = 5 });
        m[i] = end_message(&b, fx.a, i, 0);
    }
    store(m, 4);
    assert_int_equal(number("SELECT count(*) FROM requests"), 1240);
    assert_int_equal(number("SELECT max(cardinality(at)) FROM request_blocks"), block_rows_max);
    assert_int_equal(number("SELECT count(*) FROM request_blocks"), 2 + 39);
    assert_int_equal(number("SELECT count(*) FROM request_blocks WHERE since <> (SELECT min(x) FROM"
                            " unnest(at) x) OR until <> (SELECT max(x) FROM unnest(at) x) OR"
                            " until - since > interval '1 hour'"),
                     0);
    assert_int_equal(number("SELECT count(DISTINCT id) FROM requests"), 1240);
}

/* An array of one stands for all of a block; one row in ten differs in one thing. */
static void what_all_of_a_block_have_is_said_once(void **state)
{
    static const char *const columns[] = { "route",   "status",   "total_us",  "queue_us",
                                           "db_us",   "bytes_in", "bytes_out", "consumer",
                                           "network", "agent",    "country",   "problem" };
    struct made all = { .user = 5,
                        .total_us = 70,
                        .id = "0195f3c2-6f00-7abc-8def-0123456789ab",
                        .country = "AT",
                        .problem = "conflict",
                        .status = 409 };
    struct msg m;
    struct buf b;
    (void)state;
    begin_s = clock_us() / 1000000 - 3 * 86400;
    for (int differs = 0; differs < 6; differs++) {
        sql("TRUNCATE request_blocks, taken", NULL, 0);
        begin_message(&b, fx.a);
        for (int i = 0; i < 40; i++) {
            struct made one = all;
            bool other = i % 10 == 3;
            one.at_s = begin_s + i;
            one.total_us += differs == 1 && other;
            one.country = differs == 2 && other ? "" : "AT";
            one.user += differs == 3 && other;
            one.agent = differs == 4 && other ? "firefox" : "curl";
            one.network = differs == 5 && other ? "00000000000000ab" : "00000000000000aa";
            put_record(&b, &one);
        }
        m = end_message(&b, fx.a, 0, 0);
        store(&m, 1);
        int64_t long_ones = 0;
        for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
            int64_t n = number(
                arena_printf(fx.a, "SELECT cardinality(%s) FROM request_blocks", columns[i]));
            assert_true(n == 1 || n == 40);
            long_ones += n == 40;
        }
        assert_int_equal(long_ones, differs ? 1 : 0);
        assert_int_equal(number("SELECT cardinality(at) FROM request_blocks"), 40);
        assert_int_equal(number("SELECT count(*) FROM requests_shown WHERE status = 409 AND"
                                " problem = 'conflict' AND queue_us = 1 AND db_us = 2 AND"
                                " request_id = '0195f3c2-6f00-7abc-8def-0123456789ab' AND"
                                " consumer IN ('session', 'anonymous')"),
                         40);
        const char *const odd[] = {
            "false",       "total_us = 71",     "country IS NULL",
            "user_id = 6", "agent = 'firefox'", "network = '00000000000000ab'"
        };
        assert_int_equal(number(arena_printf(fx.a, "SELECT count(*) FROM requests_shown WHERE %s",
                                             odd[differs])),
                         differs ? 4 : 0);
    }
}

static void a_request_is_shown_as_it_was_sent(void **state)
{
    const struct made one = { .at_s = 1790000000,
                              .at_us = 123456,
                              .total_us = INT64_C(1) << 40, /* more than the column holds */
                              .key = 77,
                              .user = 33,
                              .status = 429,
                              .id = "0195f3c2-6f00-7abc-8def-0123456789ab",
                              .method = "DELETE",
                              .route = "/api/v2/posts/{id}",
                              .network = "fedcba9876543210",
                              .agent = "other",
                              .country = "AT",
                              .problem = "rate_limited" };
    static const char shown[] =
        "{\"at\":\"2026-09-21T14:13:20.123456Z\",\"program\":\"api\",\"method\":\"DELETE\","
        "\"route\":"
        "\"/api/v2/posts/{id}\",\"status\":429,\"total_us\":2147483647,\"queue_us\":1,\"db_us\":2,"
        "\"bytes_in\":0,\"bytes_out\":100,\"consumer\":\"key\",\"key\":{\"id\":77},\"client\":null,"
        "\"user\":{\"id\":33},\"request_id\":\"0195f3c2-6f00-7abc-8def-0123456789ab\",\"network\":"
        "\"fedcba9876543210\",\"agent\":\"other\",\"country\":\"AT\",\"problem\":\"rate_limited\"}";
    struct err err = { 0 };
    json_t *tree = NULL;
    struct asking by = admin;
    (void)state;
    sql("TRUNCATE request_blocks, taken", NULL, 0);
    store_many(&one, 1, 0, 0);
    by.id = db_str(sql("SELECT id::text FROM requests", NULL, 0), 0, 0);
    json_t *got = json_incref((json_t *)(uintptr_t)ask(get_request, &by, NULL));
    json_object_del(got, "id");
    char *text = json_dumps(got, JSON_COMPACT);
    json_t *due = json_loads(shown, 0, NULL);
    if (!json_equal(got, due))
        fail_msg("%s\nis not\n%s", text, shown);
    free(text);
    json_decref(due);
    json_decref(got);
    /* Others do not know that it is there; nor is there one of a number that none has. */
    by.admin = false, by.user = 34;
    assert_int_equal(ask_rc(get_request, &by, NULL, &tree, &err), -E_not_found);
    by.user = 33;
    assert_int_equal(ask_rc(get_request, &by, NULL, &tree, &err), 0);
    static const char *const none[] = { "1", "9007199254740991", "1024.0", "x", "-1" };
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        by.id = none[i];
        assert_int_equal(ask_rc(get_request, &by, NULL, &tree, &err), -E_not_found);
    }
}

/* --- an older log --------------------------------------------------------------------------------
 */

static void an_older_log_moves_over(void **state)
{
    const struct migration *all = analytics_def()->migrations;
    struct migration before[32] = { 0 };
    struct db_session *s;
    struct err err = { 0 };
    struct db_conf conf = fx.priv.db_conf;
    const char *schema = arena_printf(fx.a, "%s_old", fx.schema);
    int applied;
    (void)state;
    for (size_t i = 0; all[i].version && all[i].version < 7; i++)
        before[i] = all[i];
    sql(arena_printf(fx.a, "CREATE SCHEMA %s", schema), NULL, 0);
    check(db_session_open(&conf, &s, &err), &err);
    check(db_session_script(s, arena_printf(fx.a, "SET search_path = %s", schema), &err), &err);
    check(migrate_run(s, before, &applied, &err), &err);
    check(
        db_session_script(
            s,
            "INSERT INTO routes (program, method, template) VALUES ('api', 'GET', '/r');"
            "INSERT INTO consumers (kind, number, user_id) VALUES ('key', 7, 3), ('client', 8, 4),"
            " ('session', 0, 5), ('anonymous', 0, 0);"
            "SELECT part_ensure('requests', (now() AT TIME ZONE 'UTC')::date, 1);"
            "INSERT INTO requests (at, route, status, total_us, queue_us, db_us, bytes_in,"
            " bytes_out, key_id, client_id, user_id, session, request_id, network, agent, country,"
            " problem) SELECT now() - x * interval '2 seconds', 1, 200 + x % 300, x, 1, 2, 3, 4,"
            " CASE WHEN x % 4 = 0 THEN 7 END, CASE WHEN x % 4 = 1 THEN 8 END,"
            " CASE WHEN x % 4 < 3 THEN 3 + x % 4 END, x % 4 = 2, CASE WHEN x % 3 > 0 THEN 'id' || x"
            " END, x, 'curl', NULL, CASE WHEN x % 300 > 200 THEN 'not_found' END"
            " FROM generate_series(1, 5000) x;"
            "CREATE TABLE kept AS SELECT at, program, method, route, status, total_us, queue_us,"
            " db_us, bytes_in, bytes_out, key_id, client_id, user_id, consumer, request_id,"
            " network, agent, country, problem FROM requests_shown",
            &err),
        &err);
    check(migrate_run(s, all, &applied, &err), &err);
    assert_true(applied > 0);
    struct db_rows *r;
    const struct db_stmt differ = {
        .sql = "WITH now AS (SELECT at, program, method, route, status, total_us, queue_us, db_us,"
               " bytes_in, bytes_out, key_id, client_id, user_id, consumer, request_id, network,"
               " agent, country, problem FROM requests_shown)"
               " SELECT (SELECT count(*) FROM now),"
               " (SELECT count(*) FROM (TABLE now EXCEPT ALL TABLE kept) x),"
               " (SELECT max(cardinality(at)) FROM request_blocks)",
        .flags = DB_ONCE
    };
    check(db_session_exec(s, fx.a, &differ, NULL, 0, &r, &err), &err);
    assert_int_equal(db_get_i64(r, 0, 0), 5000);
    assert_int_equal(db_get_i64(r, 0, 1), 0);
    assert_in_range(db_get_i64(r, 0, 2), 500, block_rows_max);
    check(db_session_script(s, arena_printf(fx.a, "DROP SCHEMA %s CASCADE", schema), &err), &err);
    db_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_what_it_would_be_if_all_were_unpacked),
        cmocka_unit_test(cursors_go_over_every_request_once),
        cmocka_unit_test(request_ids_are_filtered),
        cmocka_unit_test(a_request_id_is_found_in_new_blocks_and_old),
        cmocka_unit_test(what_is_rare_among_small_blocks_is_found),
        cmocka_unit_test(a_block_is_no_longer_than_it_may_be),
        cmocka_unit_test(what_all_of_a_block_have_is_said_once),
        cmocka_unit_test(a_request_is_shown_as_it_was_sent),
        cmocka_unit_test(an_older_log_moves_over),
        cmocka_unit_test(a_page_unpacks_few_blocks),
    };
    set_up("requests");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return failed;
}
