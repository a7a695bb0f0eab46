/* Feeds files to a fuzz target without libFuzzer: replay FILE… ; -n COUNT also tries COUNT changed copies of each. */
#include "common/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { file_bytes_max = 4 * 1024 * 1024, changes_max = 8 };

static uint32_t seed = 365;

static uint32_t next(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* A copy of its own, of exactly that size, so that the sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_changed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + changes_max);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    for (uint32_t k = next(changes_max) + 1; k && size; k--) {
        uint32_t at = next((uint32_t)size), what = next(4);
        if (what == 0) {
            copy[at] = (uint8_t)next(256);
        } else if (what == 1) {
            copy[at] = (uint8_t) "\"\\{}[],:&=%-'0\x7f\xff"[next(16)];
        } else if (what == 2 && size > 1) {
            memmove(copy + at, copy + at + 1, size - at - 1);
            size--;
        } else {
            memmove(copy + at + 1, copy + at, size - at);
            size++;
        }
    }
    run(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t data[file_bytes_max];
    long changed = 0;
    int files = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-n") && i + 1 < argc) {
            changed = strtol(argv[++i], NULL, 10);
            continue;
        }
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(data, 1, sizeof(data), f);
        fclose(f);
        run(data, n);
        for (long k = 0; k < changed; k++)
            run_changed(data, n);
        files++;
    }
    printf("%s: %d inputs\n", argv[0], files);
    return files ? 0 : 1; /* an empty corpus proves nothing */
}
