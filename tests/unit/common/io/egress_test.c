/* proves: X-05, W-14 */
#include "common/base/str.h"
#include "common/io/httpc.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char *const hostile[] = {
    /* plain private, loopback, link-local, shared, reserved, documentation, multicast */
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.1/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://192.88.99.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://0.0.0.0/",
    "http://168.63.129.16/",
    /* IPv4 in disguise */
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0/",
    "http://0x0a000001/",
    "http://012.0.0.1/",
    "http://127.0.0.1./",
    "http://127.0.0.1.:80/",
    "http://00000177.1/",
    "http://4294967296/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://127.0.0.0x1/",
    "http://127.0.0.09/",
    /* IPv6 */
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[2001::1]/",
    "http://[2001:db8::1]/",
    "http://[fd00::1]/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[fd00:ec2::254]/",
    "http://[100::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::1",
    "http://[]/",
    "http://[::1]x/",
    "http://[v1.x]/",
    /* names of this machine and its cloud */
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://a.localhost/",
    "http://localhost./",
    "http://metadata.google.internal/",
    "http://metadata.google.internal./",
    /* other schemes and no scheme */
    "file:///etc/passwd",
    "gopher://example.org/",
    "ftp://example.org/",
    "dict://example.org/",
    "ldap://example.org",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:/run/x",
    "//example.org/",
    "example.org",
    "",
    " ",
    "http:",
    "http:/example.org",
    "http:example.org",
    "HTTP+unix://x/",
    /* credentials, hosts that two parsers read differently, odd ports */
    "http://user:pass@example.org/",
    "http://user@example.org/",
    "http://@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org\\@127.0.0.1/",
    "http:///path",
    "http://",
    "http://:80/",
    "http://?x",
    "http://#x",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:-1/",
    "http://example.org:80a/",
    "http://example.org:80:80/",
    "http://exa mple.org/",
    "http://example.org/ x",
    "http://example.org/\r\nX: y",
    "http://example.org/\t",
    "\thttp://example.org/",
    "http://example.org/\x01",
    "http://example.org\x7f/",
    "http://%31%30.0.0.1/",
    "http://%6cocalhost/",
    "http://ex%00ample.org/",
    "http://example..org/",
    "http://.example.org/",
    "http://-a.example.org/",
    "http://a-.example.org/",
    "http://exam!ple.org/",
    "http://example.org<x>/",
    /* IDN tricks: full-width and circled digits, ideographic stops, homographs */
    "http://①⓪.0.0.1/",
    "http://127。0。0。1/",
    "http://1２7.0.0.1/",
    "http://ⓛocalhost/",
    "http://еxample.org/",
};

static const char *const fine[] = {
    "http://example.org/",
    "https://example.org",
    "https://example.org:8443/a/b?c=d",
    "http://sub.example.co.uk/#x",
    "http://8.8.8.8/",
    "https://1.1.1.1:443/hook",
    "http://[2606:4700::1111]/",
    "http://[2606:4700::1111]:8080/x",
    "https://xn--bcher-kva.example/",
    "https://a_b.example.org/",
    "http://[64:ff9b::8.8.8.8]/",
    "http://EXAMPLE.org/Path",
    "http://hooks.7.example.org/",
    "https://example.org/%C3%A9",
    "http://example.org?x=@y",
};

static struct egress *guard(const char *allow)
{
    struct egress *e;
    struct err err;
    assert_int_equal(egress_new(allow, &e, &err), 0);
    return e;
}

static void refuses_hostile_urls(void **state)
{
    struct egress *e = guard("");
    (void)state;
    assert_true(ARRAY_LEN(hostile) >= 100);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct err err = { 0 };
        if (egress_check_url(e, hostile[i], &err) != -E_egress_refused)
            fail_msg("let through: %s", hostile[i]);
        assert_string_equal(err.pointer, "/url");
        assert_true(err.msg[0] != '\0');
    }
    egress_free(e);
}

static void refuses_long_urls(void **state)
{
    struct egress *e = guard("");
    struct err err;
    char url[4096] = "http://example.org/";
    (void)state;
    memset(url + 19, 'a', sizeof(url) - 20);
    url[2048] = '\0';
    assert_int_equal(egress_check_url(e, url, &err), 0);
    url[2048] = 'a';
    assert_int_equal(egress_check_url(e, url, &err), -E_egress_refused);
    egress_free(e);
}

static void lets_public_urls_through(void **state)
{
    struct egress *e = guard("");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        struct err err = { 0 };
        if (egress_check_url(e, fine[i], &err) != 0)
            fail_msg("refused: %s: %s", fine[i], err.msg);
    }
    egress_free(e);
}

static void allow_list_opens_its_networks_only(void **state)
{
    struct egress *e = guard("127.0.0.0/8, ::1/128,10.1.0.0/16");
    struct err err;
    (void)state;
    assert_int_equal(egress_check_url(e, "http://127.0.0.1:21600/x", &err), 0);
    assert_int_equal(egress_check_url(e, "http://localhost:21600/x", &err), 0);
    assert_int_equal(egress_check_url(e, "http://[::1]/", &err), 0);
    assert_int_equal(egress_check_url(e, "http://[::ffff:127.0.0.1]/", &err), 0);
    assert_int_equal(egress_check_url(e, "http://10.1.255.1/", &err), 0);
    assert_int_equal(egress_check_url(e, "http://10.2.0.1/", &err), -E_egress_refused);
    assert_int_equal(egress_check_url(e, "http://169.254.169.254/", &err), -E_egress_refused);
    /* Other spellings of an address stay refused even if it is allowed. */
    assert_int_equal(egress_check_url(e, "http://127.1/", &err), -E_egress_refused);
    egress_free(e);
}

static void bad_allow_lists_stop_the_start(void **state)
{
    static const char *const bad[] = { "127.0.0.1/33", "::1/129",     "x",           "127.0.0.1/",
                                       "127.1/8",      "10.0.0.0/-1", "10.0.0.0/8/8" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct egress *e;
        struct err err;
        assert_int_equal(egress_new(bad[i], &e, &err), -E_config);
    }
}

static bool connects(const struct egress *e, const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return egress_allows(e, (const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return egress_allows(e, (const struct sockaddr *)&in6);
}

static void judges_the_address_connected_to(void **state)
{
    struct egress *e = guard("");
    const struct sockaddr local = { .sa_family = AF_UNIX };
    (void)state;
    assert_true(connects(e, "8.8.8.8"));
    assert_true(connects(e, "172.15.0.1"));
    assert_true(connects(e, "172.32.0.1"));
    assert_true(connects(e, "2606:4700::1111"));
    assert_true(connects(e, "::ffff:8.8.8.8"));
    assert_false(connects(e, "127.0.0.1"));
    assert_false(connects(e, "::ffff:192.168.1.1"));
    assert_false(connects(e, "2002:c0a8:101::"));
    assert_false(connects(e, "4000::1"));
    assert_false(egress_allows(e, &local));
    egress_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_hostile_urls),
        cmocka_unit_test(refuses_long_urls),
        cmocka_unit_test(lets_public_urls_through),
        cmocka_unit_test(allow_list_opens_its_networks_only),
        cmocka_unit_test(bad_allow_lists_stop_the_start),
        cmocka_unit_test(judges_the_address_connected_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
