/* Representations and codings on the wire. */
#define _GNU_SOURCE /* strcasestr */
#include "common/kit/route.h"

#include "tests/unit/common/kit/route_fixture.h"

/* A page of posts, longer than what is worth coding. */
static int get_posts(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)err;
    buf_puts(&res->body, "{\"data\":[");
    for (int i = 1; i <= 40; i++)
        buf_printf(&res->body, "%s{\"id\":%d,\"title\":\"A & <b> %d\",\"author\":{\"id\":7}}",
                   i > 1 ? "," : "", i, i);
    buf_puts(&res->body, "],\"meta\":{\"total\":40},\"links\":{\"self\":\"http://x/?a=1&b=2\"}}");
    res->etag = "\"l.h0\"";
    return 0;
}

static int get_post(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    buf_printf(&res->body, "{\"data\":{\"id\":%s,\"title\":\"=1\"}}", req->params[0]);
    res->etag = "\"3.abc\"";
    return 0;
}

static int put_post(struct req *req, struct res *res, struct err *err)
{
    int rc = req_precondition(req, 3, err);
    return rc ? rc : get_post(req, res, err);
}

static int get_page(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)err;
    res->content_type = "text/html; charset=utf-8";
    for (int i = 0; i < 500; i++)
        buf_puts(&res->body, "<p>secret</p>");
    return 0;
}

static const struct route routes[] = {
    { GET, "/api/v2/posts", get_posts, .entity = &entity_post,
     .flags = ROUTE_PUBLIC | ROUTE_LIST | ROUTE_FORMS | ROUTE_ETAG },
    { GET, "/api/v2/posts/{id}", get_post, .entity = &entity_post,
     .flags = ROUTE_PUBLIC | ROUTE_FORMS | ROUTE_ETAG },
    { PUT, "/api/v2/posts/{id}", put_post, .entity = &entity_post,
     .flags = ROUTE_FORMS | ROUTE_ETAG },
    { GET, "/t/page", get_page, .flags = ROUTE_PUBLIC, .produces = "*" },
    { .path = NULL },
};
const struct route *const tables[] = { routes, NULL };

/* proves: R-13, R-08 (a tag a form) */
static void answers_come_in_the_form_that_is_preferred(void **state)
{
#define ACCEPT(t) "Accept: " t "\r\n"
    static const struct exchange list[] = {
        { "GET /api/v2/posts/7", NULL, NULL, 200,
         HAS("Content-Type: application/json\r\n", "ETag: \"3.abc\"\r\n", "{\"data\":{\"id\":7") },
        { "GET /api/v2/posts/7", ACCEPT("application/xml"), NULL, 200,
         HAS("Content-Type: application/xml; charset=utf-8\r\n", "ETag: \"3.abc-xml\"\r\n",
         "<response ", "<data><post><id>7</id><title>=1</title></post></data></response>") },
        { "GET /api/v2/posts/7", ACCEPT("text/xml"), NULL, 200,
         HAS("Content-Type: text/xml; charset=utf-8\r\n", "ETag: \"3.abc-txml\"") },
        { "GET /api/v2/posts/7", ACCEPT("application/ld+json"), NULL, 200,
         HAS("Content-Type: application/ld+json\r\n", "ETag: \"3.abc-ld\"",
         "{\"@context\":\"http://cms.test/contexts/v2.jsonld\",\"data\":{\"@id\":"
              "\"http://cms.test/api/v2/posts/7\",\"@type\":[\"Article\",\"Post\"],\"id\":7,") },
        { "GET /api/v2/posts", ACCEPT("text/csv"), NULL, 200,
         HAS("Content-Type: text/csv; charset=utf-8; header=present\r\n", "ETag: \"l.h0-csv\"",
         "id,title,", "1,A & <b> 1,") },
        { "GET /api/v2/posts/7", ACCEPT("text/csv"), NULL, 406,
         HAS("\"available\":[\"application/json\",\"application/ld+json\",\"application/xml\","
              "\"text/xml\"]") },
        { "GET /api/v2/posts", ACCEPT("image/png"), NULL, 406, HAS("\"text/csv\"]") },
        { "GET /api/v2/posts/7", ACCEPT("application/json;version=2"), NULL, 200, HAS(NULL) },
        { "GET /api/v2/posts/7", ACCEPT("application/xml;version=3"), NULL, 406,
         HAS("<available><i>application/json</i>") },
        { "GET /api/v2/posts/7", ACCEPT("application/xml") "If-None-Match: \"3.abc-xml\"\r\n", NULL,
         304, HAS("ETag: \"3.abc-xml\"", "!Content-Length: 0", "!\nContent-Type:", "Vary: ") },
        { "GET /api/v2/posts/7", ACCEPT("application/xml") "If-None-Match: \"3.abc\"\r\n", NULL,
         200, HAS(NULL) },
        { "GET /api/v2/posts/7", "If-None-Match: \"3.abc-xml\"\r\n", NULL, 200, HAS(NULL) },
        { "PUT /api/v2/posts/7",
         WRITER JSON ACCEPT("application/xml") "If-Match: \"3.abc-xml\"\r\n", "{}", 200,
         HAS("<post>", "ETag: \"3.abc-xml\"") },
        { "PUT /api/v2/posts/7", WRITER JSON ACCEPT("text/html"), "{}", 406, HAS("available") },
        { "GET /nowhere", ACCEPT("application/problem+xml"), NULL, 404,
         HAS("<problem "
              "xmlns=\"urn:ietf:rfc:7807\"><type>http://cms.test/problems/not_found</type>", "<status>404</status>") },
    };
    static struct reply r;
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    assert_int_equal(ask(httpd_port(w.http),
                         "GET /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                         "Accept: application/json, application/xml;q=0.9\r\n\r\n",
                         &r),
                     404);
    assert_non_null(strstr(r.text, "problem+json"));
}

/* proves: R-24 */
static void answers_are_coded_when_asked_and_worth_it(void **state)
{
#define CODED(c) "Accept-Encoding: " c "\r\n"
    static const struct exchange list[] = {
        { "GET /api/v2/posts", NULL, NULL, 200, HAS("!Content-Encoding", "ETag: \"l.h0\"") },
        { "GET /api/v2/posts", CODED("gzip"), NULL, 200,
         HAS("Content-Encoding: gzip\r\n", "ETag: \"l.h0-gzip\"", "\r\n\r\n\x1f\x8b", "!title") },
        { "GET /api/v2/posts", CODED("gzip, zstd"), NULL, 200,
         HAS("Content-Encoding: zstd\r\n", "ETag: \"l.h0-zstd\"", "\r\n\r\n\x28\xb5\x2f\xfd") },
        { "GET /api/v2/posts", CODED("gzip, zstd;q=0.5"), NULL, 200, HAS("Encoding: gzip") },
        { "GET /api/v2/posts", CODED("br"), NULL, 200, HAS("!Content-Encoding") },
        { "GET /api/v2/posts", CODED("gzip;q=0"), NULL, 200, HAS("!Content-Encoding") },
        { "GET /api/v2/posts", CODED("gzip") ACCEPT("text/csv"), NULL, 200,
         HAS("Content-Encoding: gzip", "ETag: \"l.h0-csv-gzip\"", "text/csv") },
        { "GET /api/v2/posts", CODED("gzip") "If-None-Match: \"l.h0-gzip\"\r\n", NULL, 304,
         HAS("ETag: \"l.h0-gzip\"", "!Content-Length: 0") },
        { "GET /api/v2/posts", CODED("gzip") "If-None-Match: \"l.h0\"\r\n", NULL, 200, HAS(NULL) },
        { "GET /api/v2/posts/7", CODED("gzip"), NULL, 200, HAS("!Content-Encoding", "\"3.abc\"") },
        { "GET /api/v2/posts/7", CODED("gzip, identity;q=0"), NULL, 200,
         HAS("Content-Encoding: gzip", "\"3.abc-gzip\"") },
        { "GET /api/v2/posts/7", CODED("br, identity;q=0"), NULL, 406, HAS("zstd or gzip") },
        { "GET /api/v2/posts/7", CODED("*;q=0"), NULL, 406, HAS(NULL) },
        { "GET /t/page", CODED("gzip"), NULL, 200, HAS("!Content-Encoding") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

/* proves: R-21 (HEAD) */
static void head_has_the_header_of_get(void **state)
{
    static const char *const wishes[] = { "",
                                          ACCEPT("application/xml"),
                                          ACCEPT("text/csv"),
                                          ACCEPT("application/ld+json"),
                                          CODED("gzip"),
                                          CODED("zstd") ACCEPT("application/xml"),
                                          ACCEPT("image/png") };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
        static struct reply r[2];
        for (int head = 0; head < 2; head++) {
            char text[512];
            snprintf(text, sizeof text,
                     "%s /api/v2/posts HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                     "X-Request-Id: same\r\n%s\r\n",
                     head ? "HEAD" : "GET", wishes[i]);
            ask(httpd_port(w.http), text, &r[head]);
            char *date = strstr(r[head].text, "Date: "), *end = strstr(r[head].text, "\r\n\r\n");
            assert_true(date && end);
            assert_true(head ? !end[4] : end[4]);
            end[4] = '\0';
            memset(date + 6, '-', 29);
        }
        assert_string_equal(r[0].text, r[1].text);
    }
}

int main(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(answers_come_in_the_form_that_is_preferred),
        cmocka_unit_test(answers_are_coded_when_asked_and_worth_it),
        cmocka_unit_test(head_has_the_header_of_get),
    };
    return cmocka_run_group_tests(list, setup, teardown);
}
