/* Former states of posts, pages and events on a real database.  proves: R-18 */
#include "tests/integration/services/api/api_samples.h"

/* A request to …/{id}/revisions, …/{rev} or …/{rev}/restore; rev NULL: the list. */
static struct answer revisions(const char *method, const char *plural, const char *id,
                               const char *rev, const char *query, const struct principal *who)
{
    struct answer an = { 0 };
    const struct crud *c = NULL;
    for (struct crud *const *p = fx.api->cruds; *p; p++)
        if (str_eq(crud_entity(*p)->plural, plural))
            c = *p;
    assert_non_null(c);
    const struct route *r = crud_revision_routes(fx.a, c);
    while (!str_eq(method_name(r->method), method) || !strstr(r->path, "{rev}") != !rev)
        r++;
    assert_non_null(r->path);
    struct req req = { .svc = &fx.svc,
                       .arena = fx.a,
                       .route = r,
                       .method = r->method,
                       .path = r->path,
                       .who = *who,
                       .request_id = "req-2",
                       .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    req.params[0] = id;
    req.params[1] = rev;
    fx_args(&req, query);
    an.res.arena = fx.a;
    buf_init(&an.res.body, fx.a, 1024, 16 * 1024 * 1024);
    an.rc = r->fn(&req, &an.res, &an.err);
    an.status = an.rc < 0 ? (int)err_http(an.err.code) : an.res.status ? an.res.status : 200;
    an.text = an.res.body.data ? an.res.body.data : "";
    if (an.rc >= 0 && *an.text) {
        an.json = json_in(fx.a, json_loads(an.text, 0, NULL));
        if (!an.json)
            fail_msg("not JSON: %s", an.text);
        an.data = json_object_get(an.json, "data");
    }
    return an;
}

static int64_t total_of(const char *plural, const char *id)
{
    struct answer a = revisions("GET", plural, id, NULL, NULL, &p_admin);
    EXPECT(a, 200);
    return json_integer_value(json_object_get(json_object_get(a.json, "meta"), "total"));
}

static const char *text_in(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int set_up(void **state)
{
    admin_setup(state);
    make_people();
    return 0;
}

/* Every sample: what is read back from the revision is, member by member, what GET said before. */
static void a_change_keeps_the_whole_former_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct answer made =
            ASK("POST", samples[i].plural, NULL, NULL, samples[i].body, NULL, &p_admin);
        EXPECT(made, 201);
        const char *plural = samples[i].plural, *id = fx_id(&made);
        if (!str_eq(plural, "posts") && !str_eq(plural, "pages") && !str_eq(plural, "events"))
            continue;
        assert_int_equal(total_of(plural, id), 0); /* what is new was nothing before */
        EXPECT(ASK("PATCH", plural, id, NULL, samples[i].patch, NULL, &p_admin), 200);
        struct answer list = revisions("GET", plural, id, NULL, NULL, &p_admin);
        EXPECT(list, 200);
        const json_t *rev = json_array_get(list.data, 0);
        assert_int_equal(json_array_size(list.data), 1);
        assert_int_equal(json_integer_value(json_object_get(rev, "rev")), 1);
        assert_string_equal(text_in(rev, "action"), "updated");
        assert_string_equal(text_in(rev, "request_id"), "req-1");
        assert_non_null(strstr(text_in(rev, "actor"), "user:"));
        struct answer one = revisions("GET", plural, id, "1", NULL, &p_admin);
        EXPECT(one, 200);
        if (!json_equal(json_object_get(one.data, "state"), made.data))
            fail_msg("%s\nis not\n%s", one.text, made.text);
    }
}

static void only_what_changes_something_is_kept(void **state)
{
    (void)state;
    struct answer a =
        ASK("POST", "posts", NULL, NULL, "{\"title\":\"T\",\"status\":\"draft\"}", NULL, &p_admin);
    const char *id = fx_id(&a);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"T\"}", NULL, &p_admin), 200);
    assert_int_equal(total_of("posts", id), 0);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"U\"}", NULL, &p_admin), 200);
    EXPECT(ASK("DELETE", "posts", id, NULL, NULL, NULL, &p_admin), 204);
    EXPECT(revisions("GET", "posts", id, NULL, NULL, &p_admin), 404); /* as the row itself */
    EXPECT(ASK("RESTORE", "posts", id, NULL, NULL, NULL, &p_admin), 200);
    struct answer list = revisions("GET", "posts", id, NULL, "per_page=2", &p_admin);
    assert_int_equal(json_array_size(list.data), 2);
    assert_string_equal(text_in(json_array_get(list.data, 0), "action"), "restored");
    assert_string_equal(text_in(json_array_get(list.data, 1), "action"), "deleted");
    assert_non_null(strstr(text_in(json_object_get(list.json, "links"), "next"),
                           "/revisions?page=2&per_page=2"));
    assert_non_null(strstr(list.res.link, "rel=\"next\""));
    list = revisions("GET", "posts", id, NULL, "page=2&per_page=2", &p_admin);
    assert_int_equal(json_array_size(list.data), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list.data, 0), "rev")), 1);
    list = revisions("GET", "posts", id, NULL, "page=9", &p_admin);
    assert_int_equal(json_array_size(list.data), 0);
    EXPECT(ASK("DELETE", "posts", id, "purge=true", NULL, NULL, &p_admin), 204);
    assert_int_equal(
        fx_int(arena_printf(
            fx.a, "SELECT count(*) FROM revisions WHERE entity = 'post' AND row_id = %s", id)),
        0);
}

static void states_are_compared_and_restored(void **state)
{
    (void)state;
    struct answer a = ASK("POST", "posts", NULL, NULL,
                          "{\"title\":\"One\",\"status\":\"draft\",\"tags\":[\"a\"],\"meta\":{"
                          "\"k\":1}}",
                          NULL, &p_admin);
    const char *id = fx_id(&a);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"Two\",\"meta\":{\"k\":2,\"l\":3}}", NULL,
               &p_admin),
           200);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"tags\":[]}", NULL, &p_admin), 200);
    struct answer d = revisions("GET", "posts", id, "1", "against=2", &p_admin);
    EXPECT(d, 200);
    const json_t *diff = json_object_get(d.data, "diff");
    assert_int_equal(json_object_size(diff), 2); /* title, meta: nothing else */
    assert_string_equal(text_in(json_object_get(diff, "title"), "from"), "One");
    assert_string_equal(text_in(json_object_get(diff, "title"), "to"), "Two");
    d = revisions("GET", "posts", id, "1", "against=present", &p_admin);
    assert_int_equal(json_object_size(json_object_get(d.data, "diff")), 3);
    assert_int_equal(json_integer_value(json_object_get(d.data, "against")), 3);
    EXPECT(revisions("GET", "posts", id, "1", "against=9", &p_admin), 404);
    EXPECT(revisions("GET", "posts", id, "1", "against=x", &p_admin), 400);
    EXPECT(revisions("GET", "posts", id, "9", NULL, &p_admin), 404);
    EXPECT(revisions("GET", "posts", id, "x", NULL, &p_admin), 404);

    int64_t sent = fx_int("SELECT count(*) FROM outbox WHERE type = 'post.updated'");
    struct answer r = revisions("POST", "posts", id, "1", NULL, &p_admin);
    EXPECT(r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.data, "version")), 4);
    assert_string_equal(text_in(r.data, "title"), "One");
    assert_int_equal(json_object_size(json_object_get(r.data, "meta")), 1); /* not merged */
    assert_int_equal(fx_int("SELECT count(*) FROM outbox WHERE type = 'post.updated'"), sent + 1);
    assert_int_equal(total_of("posts", id), 3); /* restoring can be undone in its turn */
    d = revisions("GET", "posts", id, "1", "against=present", &p_admin);
    assert_int_equal(json_object_size(json_object_get(d.data, "diff")), 0);
}

static void what_cannot_be_any_more_is_not_restored(void **state)
{
    (void)state;
    struct answer m = ASK("POST", "media", NULL, NULL,
                          "{\"filename\":\"a.png\",\"mime_type\":\"image/png\"}", NULL, &p_admin);
    struct answer a =
        ASK("POST", "posts", NULL, NULL,
            arena_printf(fx.a, "{\"title\":\"M\",\"status\":\"draft\",\"featured_media\":%s}",
                         fx_id(&m)),
            NULL, &p_admin);
    const char *id = fx_id(&a);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"featured_media\":null}", NULL, &p_admin), 200);
    EXPECT(ASK("DELETE", "media", fx_id(&m), NULL, NULL, NULL, &p_admin), 204);
    EXPECT(revisions("POST", "posts", id, "1", NULL, &p_admin), 422);
    assert_int_equal(total_of("posts", id), 1);
}

/* Whoever sees the drafts of the row sees its revisions; for all others there are none. */
static void revisions_are_for_those_who_see_drafts(void **state)
{
    (void)state;
    static const char *const statuses[] = { "draft", "published" };
    const struct {
        const struct principal *who;
        int status;
    } cases[] = {
        { &anonymous, 404 },
        { &p_member,  404 },
        { &p_other,   404 },
        { &p_author,  200 },
        { &p_editor,  200 },
        { &p_admin,   200 },
    };
    for (size_t s = 0; s < ARRAY_LEN(statuses); s++) {
        struct answer a =
            ASK("POST", "posts", NULL, NULL,
                arena_printf(fx.a, "{\"title\":\"Secret\",\"status\":\"%s\"}", statuses[s]), NULL,
                &p_author);
        const char *id = fx_id(&a);
        EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"Open\"}", NULL, &p_author), 200);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            EXPECT(revisions("GET", "posts", id, NULL, NULL, cases[i].who), cases[i].status);
            EXPECT(revisions("GET", "posts", id, "1", NULL, cases[i].who), cases[i].status);
            EXPECT(revisions("GET", "posts", id, "1", "against=present", cases[i].who),
                   cases[i].status);
        }
        EXPECT(revisions("POST", "posts", id, "1", NULL, &p_other), 404);
        EXPECT(revisions("POST", "posts", id, "1", NULL, &p_member), 403);
        EXPECT(revisions("POST", "posts", id, "1", NULL, &p_author), 200);
    }
}

static void what_is_past_its_time_goes(void **state)
{
    (void)state;
    struct err err;
    size_t n;
    fx_sql("UPDATE revisions SET at = now() - interval '11 days' WHERE entity = 'post' AND ctid IN "
           "(SELECT ctid FROM revisions WHERE entity = 'post' LIMIT 2)");
    int64_t before = fx_int("SELECT count(*) FROM revisions");
    fx_check(api_purge_revisions(&fx.svc, fx.a, 10, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(fx_int("SELECT count(*) FROM revisions"), before - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_keeps_the_whole_former_state),
        cmocka_unit_test(only_what_changes_something_is_kept),
        cmocka_unit_test(states_are_compared_and_restored),
        cmocka_unit_test(what_cannot_be_any_more_is_not_restored),
        cmocka_unit_test(revisions_are_for_those_who_see_drafts),
        cmocka_unit_test(what_is_past_its_time_goes),
    };
    return cmocka_run_group_tests_name("revisions", tests, set_up, fx_teardown);
}
