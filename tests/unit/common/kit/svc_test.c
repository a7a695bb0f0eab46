#define _GNU_SOURCE /* strcasestr */
#include "common/kit/svc.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/route.h"
#include "proto/names.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

/* --- a small program -----------------------------------------------------------------------------
 */

struct toy_conf {
    struct svc_conf common;
    int64_t retries;
};
static const struct conf_def toy_conf[] = {
    { .name = "CMS365_WEBHOOK_RETRY_MAX",
     .type = CONF_INT,
     .fallback = "5",
     .min = 0,
     .max = 9,
     .offset = offsetof(struct toy_conf, retries),
     .doc = "Retries." },
    { .name = NULL },
};

static int get_toy(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    const struct toy_conf *c = (const struct toy_conf *)(const void *)req->svc->conf;
    buf_printf(&res->body, "{\"data\":{\"retries\":%lld}}", (long long)c->retries);
    return 0;
}

static int say_words(struct svc *svc, char **args, struct err *err)
{
    (void)svc;
    if (str_eq(args[0], "bad"))
        return err_set(err, E_conflict, "will not say that");
    printf("{\"words\":\"%s %s\"}\n", args[0], args[1]);
    return 0;
}

static void job(struct svc *svc)
{
    while (!svc_pause(svc, 60000)) /* wakes at once when stopping, or the test times out */
        ;
}

static const struct field_def answer_fields[] = {
    { .name = "retries", .type = F_INT, .max = 9, .flags = FF_REQUIRED, .doc = "Retries." },
    { .name = NULL },
};
static const struct shape answer = { .name = "ToyAnswer",
                                     .doc = "An answer.",
                                     .fields = answer_fields };
static const struct param_def toy_query[] = {
    { .name = "page", .type = "integer", .min = 1, .max = 9, .doc = "Page." },
    { .name = "filter[]", .type = "string", .doc = "Filter." },
    { .name = NULL },
};
static const int toy_errors[] = { 409, 0 };
static const struct route toy_routes[] = {
    { GET, "/api/v2/toys/{id}", .fn = get_toy, .scope = "posts:read", .out = &answer,
     .query = toy_query, .flags = ROUTE_PUBLIC | ROUTE_ETAG, .op_id = "get_toy",
     .doc = "Show a toy. It has details." },
    { POST, "/api/v2/toys", .fn = get_toy, .scope = "posts:write", .in = &answer, .out = &answer,
     .flags = ROUTE_IDEMPOTENT, .status = 201, .errors = toy_errors, .doc = "Make a toy." },
    { GET, "/internal/toys", .fn = get_toy, .flags = ROUTE_INTERNAL, .doc = "Not for the world." },
    { .path = NULL },
};
static const struct route *const toy_tables[] = { toy_routes, NULL };
static const struct svc_verb toy_verbs[] = {
    { .name = "--say", .args = "A B", .doc = "Say both.", .nargs = 2, .fn = say_words },
    { .name = NULL },
};
static const struct job_def toy_jobs[] = {
    { .name = "idle", .doc = "Waits.", .fn = job },
    { .name = NULL },
};
static const struct svc_def toy = { .name = "toy",
                                    .doc = "a toy",
                                    .conf = toy_conf,
                                    .conf_size = sizeof(struct toy_conf),
                                    .routes = toy_tables,
                                    .jobs = toy_jobs,
                                    .verbs = toy_verbs };

/* --- running it ----------------------------------------------------------------------------------
 */

static unsigned port, ops_port; /* what a run listens on */

struct run {
    pid_t pid;
    int out; /* its stdout and stderr */
};

static struct run start(char *const *args, int nargs, const char *extra)
{
    int fds[2];
    struct run r;
    fflush(stdout);
    assert_int_equal(pipe(fds), 0);
    r.pid = fork();
    assert_true(r.pid >= 0);
    if (r.pid == 0) {
        char listen[40], ops[40];
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close(fds[0]);
        clearenv();
        snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
        snprintf(ops, sizeof ops, "127.0.0.1:%u", ops_port);
        setenv("CMS365_LISTEN", listen, 1);
        setenv("CMS365_OPS_LISTEN", ops, 1);
        setenv("CMS365_REDIS_URL", "redis://127.0.0.1:1/0", 1);
        setenv("CMS365_KAFKA_BROKERS", "127.0.0.1:1", 1);
        setenv("CMS365_SECRET_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1);
        setenv("CMS365_INTERNAL_TOKEN", "hush", 1);
        setenv("CMS365_DRAIN_GRACE_MS", "50", 1);
        if (extra) {
            char name[128];
            size_t n = strcspn(extra, "=");
            snprintf(name, sizeof name, "%.*s", (int)n, extra);
            setenv(name, extra + n + 1, 1);
        }
        exit(svc_main(&toy, nargs, (char **)(uintptr_t)args));
    }
    close(fds[1]);
    r.out = fds[0];
    return r;
}

/* Its exit status, and what it printed. */
static int finish(struct run r, char *text, size_t size)
{
    size_t n = 0;
    int status = 0;
    for (ssize_t k; n < size - 1 && (k = read(r.out, text + n, size - 1 - n)) > 0;)
        n += (size_t)k;
    text[n] = '\0';
    close(r.out);
    assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char text[128 * 1024];

static int run(const char *verb, const char *extra)
{
    static char name[] = "toy";
    char own[64] = "";
    char *args[4] = { name, own, NULL, NULL };
    snprintf(own, sizeof own, "%s", verb ? verb : "");
    return finish(start(args, verb ? 2 : 1, extra), text, sizeof text);
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static void verbs_answer(void **state)
{
    static char name[] = "toy", say[] = "--say", a[] = "x", b[] = "y", bad[] = "bad";
    (void)state;
    assert_int_equal(run("--version", NULL), 0);
    assert_string_equal(text, "toy " CMS365_VERSION "\n");
    assert_int_equal(run("--help", NULL), 0);
    assert_non_null(strstr(text, "--say A B"));
    assert_non_null(strstr(text, "CMS365_WEBHOOK_RETRY_MAX"));
    assert_non_null(strstr(text, "CMS365_PUBLIC_URL"));
    assert_int_equal(run("--check-config", NULL), 0);
    assert_int_equal(finish(start((char *[]){ name, say, a, b }, 4, NULL), text, sizeof text), 0);
    assert_string_equal(text, "{\"words\":\"x y\"}\n");
    assert_int_equal(finish(start((char *[]){ name, say, bad, b }, 4, NULL), text, sizeof text), 1);
    assert_string_equal(text, "toy: will not say that\n");
    assert_int_equal(finish(start((char *[]){ name, say, a }, 3, NULL), text, sizeof text), 2);
    assert_int_equal(run("--nonsense", NULL), 2);
    assert_int_equal(run("--migrate", NULL), 0); /* no schema: nothing to do */
}

static void bad_settings_stop_the_start(void **state)
{
    static const struct {
        const char *setting, *says;
    } cases[] = {
        { "CMS365_NO_SUCH_THING=1",             "CMS365_NO_SUCH_THING"     },
        { "CMS365_LOOPS=many",                  "CMS365_LOOPS"             },
        { "CMS365_ENV=prod",                    "CMS365_ENV"               },
        { "CMS365_PUBLIC_URL=ftp://x",          "CMS365_PUBLIC_URL"        },
        { "CMS365_PUBLIC_URL=http://x/",        "CMS365_PUBLIC_URL"        },
        { "CMS365_SECRET_KEYS=",                "CMS365_SECRET_KEYS"       },
        { "CMS365_SECRET_KEYS=k1:short",        ""                         },
        { "CMS365_INTERNAL_TOKEN=",             "CMS365_INTERNAL_TOKEN"    },
        { "CMS365_REDIS_URL=",                  "CMS365_REDIS_URL"         },
        { "CMS365_LISTEN=nowhere",              "nowhere"                  },
        { "CMS365_TRUSTED_PROXIES=10.0.0.0/99", "10.0.0.0/99"              },
        { "CMS365_LOG_LEVEL=loud",              "CMS365_LOG_LEVEL"         },
        { "CMS365_WEBHOOK_RETRY_MAX=10",        "CMS365_WEBHOOK_RETRY_MAX" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rc = run(NULL, cases[i].setting);
        const char *last = strstr(text, "toy: ");
        if (rc != 1 || !last || !strstr(last, cases[i].says))
            fail_msg("%s: exit %d, %s", cases[i].setting, rc, text);
        assert_ptr_equal(strchr(last, '\n'), last + strlen(last) - 1); /* one sentence */
    }
}

static const json_t *at(const json_t *v, const char *const *path)
{
    for (; v && *path; path++)
        v = json_is_array(v) ? json_array_get(v, (size_t)strtoul(*path, NULL, 10))
                             : json_object_get(v, *path);
    return v;
}
#define AT(v, ...) at(v, (const char *const[]){ __VA_ARGS__, NULL })

static void contract_is_printed_from_the_rows(void **state)
{
    (void)state;
    assert_int_equal(run("--contract", "CMS365_NO_SUCH_THING=1"), 0); /* whatever the environment */
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    assert_string_equal(json_string_value(AT(doc, "program")), "toy");
    const json_t *get = AT(doc, "paths", "/api/v2/toys/{id}", "get");
    assert_string_equal(json_string_value(AT(get, "operationId")), "get_toy");
    assert_string_equal(json_string_value(AT(get, "summary")), "Show a toy.");
    assert_string_equal(json_string_value(AT(get, "x-scope")), "posts:read");
    assert_string_equal(json_string_value(AT(get, "parameters", "0", "name")), "id");
    assert_string_equal(json_string_value(AT(get, "parameters", "2", "style")), "deepObject");
    assert_int_equal(json_object_size(AT(get, "security", "0")), 0); /* anonymous may */
    assert_non_null(AT(get, "responses", "304"));
    assert_string_equal(json_string_value(AT(get, "responses", "404", "content",
                                             "application/problem+json", "schema", "$ref")),
                        "#/components/schemas/Problem");
    const json_t *post = AT(doc, "paths", "/api/v2/toys", "post");
    assert_string_equal(json_string_value(AT(post, "operationId")), "POST_api_v2_toys");
    assert_string_equal(
        json_string_value(AT(post, "requestBody", "content", "application/json", "schema", "$ref")),
        "#/components/schemas/ToyAnswer");
    static const char *const want[] = { "201", "400", "401", "403", "406", "409", "413",
                                        "414", "415", "422", "429", "431", "503" };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_non_null(AT(post, "responses", want[i]));
    assert_int_equal(json_object_size(AT(post, "responses")), ARRAY_LEN(want));
    assert_non_null(AT(doc, "schemas", "ToyAnswer", "properties", "retries"));
    assert_non_null(AT(doc, "paths", "/problems/{code}", "get"));
    assert_null(AT(doc, "paths", "/internal/toys"));
    size_t mine = 0;
    const json_t *list = AT(doc, "settings");
    for (size_t i = 0; i < json_array_size(list); i++)
        mine += str_eq(json_string_value(json_object_get(json_array_get(list, i), "name")),
                       "CMS365_WEBHOOK_RETRY_MAX");
    assert_int_equal(mine, 1);
    json_decref(doc);
}

static int get(unsigned to, const char *path, const char *headers, struct reply *r)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%s\r\n",
             path, headers);
    return ask(to, request, r);
}

static bool listening(unsigned to)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)to),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    close(fd);
    return ok;
}

/* proves: X-09 (its first half: alive without dependencies, not ready, ends cleanly) */
static void serves_without_its_dependencies(void **state)
{
    static char name[] = "toy";
    static struct reply r;
    (void)state;
    struct run run = start((char *[]){ name }, 1, NULL);
    for (unsigned i = 0; i < 500 && !listening(port); i++)
        usleep(10 * 1000);
    assert_int_equal(get(ops_port, "/healthz", "", &r), 200);
    assert_int_equal(get(ops_port, "/readyz", "", &r), 503);
    assert_non_null(strstr(r.body, "\"missing\":[\"keys\"]"));
    assert_int_equal(get(ops_port, "/metrics", "", &r), 200);
    assert_non_null(strstr(r.text, "cms365_http_requests_total{route=\"/readyz\""));
    assert_int_equal(get(port, "/api/v2/toys/1", "", &r), 200);
    assert_string_equal(r.body, "{\"data\":{\"retries\":5}}");
    assert_int_equal(get(port, "/healthz", "", &r), 404); /* not for the world */
    assert_int_equal(get(port, "/internal/toys", "", &r), 404);
    assert_int_equal(get(ops_port, "/internal/toys", "", &r), 401);
    assert_int_equal(get(ops_port, "/internal/toys", "Authorization: Bearer hush\r\n", &r), 200);
    static char health[] = "--health";
    assert_int_equal(finish(start((char *[]){ name, health }, 2, NULL), text, sizeof text), 0);
    assert_non_null(strstr(text, "\"health\":\"ok\""));
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(run, text, sizeof text), 0);
    assert_non_null(strstr(text, "\"event\":\"svc.stopped\""));
    assert_int_equal(finish(start((char *[]){ name, health }, 2, NULL), text, sizeof text), 1);
    assert_non_null(strstr(text, "does not answer"));
}

static size_t lines_of(const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* proves: N-01: a read that went well has a line only on request, what was refused always has */
static void reads_that_went_well_are_not_logged_unless_asked_for(void **state)
{
    static char name[] = "toy";
    static struct reply r;
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct run run = start((char *[]){ name }, 1, all ? "CMS365_LOG_READS=true" : NULL);
        for (unsigned i = 0; i < 500 && !listening(port); i++)
            usleep(10 * 1000);
        assert_int_equal(get(port, "/api/v2/toys/1", "", &r), 200);
        assert_int_equal(get(port, "/api/v2/toys/1?page=0", "", &r), 400);
        kill(run.pid, SIGTERM);
        assert_int_equal(finish(run, text, sizeof text), 0);
        assert_int_equal(lines_of("\"event\":\"http.request\""), all ? 2 : 1);
        assert_int_equal(lines_of("\"status\":400"), 1);
    }
}

/* One that the kernel had free just now. */
static unsigned free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) || getsockname(fd, (struct sockaddr *)&sa, &n))
        abort();
    close(fd);
    return ntohs(sa.sin_port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_answer),
        cmocka_unit_test(bad_settings_stop_the_start),
        cmocka_unit_test(contract_is_printed_from_the_rows),
        cmocka_unit_test(serves_without_its_dependencies),
        cmocka_unit_test(reads_that_went_well_are_not_logged_unless_asked_for),
    };
    port = free_port();
    ops_port = free_port();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
