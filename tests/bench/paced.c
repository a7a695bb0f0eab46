/*
 * Writes at a steady rate:  paced URL KEY RATE SECONDS
 *
 * A few threads, each with one connection of its own, create companies on a fixed schedule (a late
 * request does not move the ones after it).  Prints one JSON line: sent, failed, and the writers'
 * own lateness.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { threads = 16, us_per_s = 1000000 };

struct writer {
    const char *url, *key;
    int64_t start_us, step_us, count;
    int number;
    int64_t sent, failed, late;
};

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * us_per_s + t.tv_nsec / 1000;
}

static size_t drop(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * n;
}

static void sleep_until(int64_t at_us)
{
    struct timespec t = { .tv_sec = at_us / us_per_s, .tv_nsec = (at_us % us_per_s) * 1000 };

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *write_all(void *ctx)
{
    struct writer *w = ctx;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char auth[256], body[256];

    (void)snprintf(auth, sizeof(auth), "Authorization: Bearer %s", w->key);
    headers = curl_slist_append(headers, auth);
    curl_easy_setopt(curl, CURLOPT_URL, w->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    for (int64_t i = 0; i < w->count; i++) {
        int64_t due = w->start_us + i * w->step_us;
        long status = 0;

        sleep_until(due);
        w->late += now_us() - due > w->step_us;
        /* Never a name of an earlier run: to find another slug costs more than to write. */
        (void)snprintf(body, sizeof(body),
                       "{\"name\":\"paced %llx %d-%lld\",\"industry\":\"bench\"}",
                       (long long)w->start_us, w->number, (long long)i);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        if (curl_easy_perform(curl) == CURLE_OK)
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        w->sent++;
        w->failed += status != 201;
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return NULL;
}

int main(int argc, char **argv)
{
    struct writer writers[threads];
    pthread_t ids[threads];
    int64_t rate, seconds, start, sent = 0, failed = 0, late = 0;

    if (argc != 5) {
        fputs("usage: paced URL KEY RATE SECONDS\n", stderr);
        return 2;
    }
    rate = strtoll(argv[3], NULL, 10);
    seconds = strtoll(argv[4], NULL, 10);
    if (rate < threads || rate > 100000 || seconds < 1 || seconds > 600) {
        fputs("paced: RATE 16..100000 a second, SECONDS 1..600\n", stderr);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    start = now_us() + us_per_s / 10;
    for (int i = 0; i < threads; i++) {
        writers[i] = (struct writer){ .url = argv[1], .key = argv[2], .number = i };
        writers[i].step_us = (int64_t)threads * us_per_s / rate;
        writers[i].start_us = start + i * us_per_s / rate;
        writers[i].count = seconds * us_per_s / writers[i].step_us;
        if (pthread_create(&ids[i], NULL, write_all, &writers[i]) != 0)
            return 1;
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        sent += writers[i].sent;
        failed += writers[i].failed;
        late += writers[i].late;
    }
    printf("{\"sent\":%lld,\"failed\":%lld,\"late\":%lld}\n", (long long)sent, (long long)failed,
           (long long)late);
    return failed > 0;
}
