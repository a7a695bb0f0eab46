/*
 * What the receiver and curl take: posts BYTES bytes as often as it answers, IN_FLIGHT at a time,
 * for SECONDS, by one multi handle; nothing else.
 *
 *   postloop URL BYTES IN_FLIGHT SECONDS
 */
#include "common/base/clock.h"
#include "common/base/str.h"

#include <curl/curl.h>

enum { in_flight_max = 1024, bytes_max = 1 << 20 };

static size_t drop(char *data, size_t size, size_t n, void *ctx)
{
    (void)data, (void)ctx;
    return size * n;
}

static CURL *post(const char *url, const char *body, int64_t bytes, struct curl_slist *headers)
{
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)bytes);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    return c;
}

/* Those that ended begin again, until the time is over. */
static void turn(CURLM *multi, bool again, int64_t *done, int64_t *failed)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(multi, &left))) {
        long status = 0;
        CURL *c = m->easy_handle;
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
        bool ok = m->data.result == CURLE_OK && status >= 200 && status < 300;
        *done += ok;
        *failed += !ok;
        curl_multi_remove_handle(multi, c);
        if (again)
            curl_multi_add_handle(multi, c);
    }
}

int main(int argc, char **argv)
{
    int64_t bytes, n, seconds, done = 0, failed = 0;
    CURL *easy[in_flight_max];
    int running = 0;
    if (argc != 5 || !str_to_i64(argv[2], 1, bytes_max, &bytes) ||
        !str_to_i64(argv[3], 1, in_flight_max, &n) || !str_to_i64(argv[4], 1, 600, &seconds)) {
        fputs("usage: postloop URL BYTES IN_FLIGHT SECONDS\n", stderr);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    char *body = malloc((size_t)bytes);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!body || !multi)
        return 1;
    memset(body, 'x', (size_t)bytes);
    for (int64_t i = 0; i < n; i++) {
        easy[i] = post(argv[1], body, bytes, headers);
        curl_multi_add_handle(multi, easy[i]);
    }
    int64_t end = clock_mono_us() + seconds * 1000000;
    while (clock_mono_us() < end) {
        curl_multi_perform(multi, &running);
        turn(multi, true, &done, &failed);
        curl_multi_poll(multi, NULL, 0, 10, NULL);
    }
    for (int64_t i = 0; i < n; i++) {
        curl_multi_remove_handle(multi, easy[i]);
        curl_easy_cleanup(easy[i]);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    free(body);
    printf("{\"done\":%lld,\"failed\":%lld,\"rate\":%.0f}\n", (long long)done, (long long)failed,
           (double)done / (double)seconds);
    return failed > 0;
}
