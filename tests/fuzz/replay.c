/*
 * Runs a fuzz target over files where there is no libFuzzer: each file (or each of a directory) as
 * it is and, with -n N, N mutants of each from a seed that is printed (-s repeats it).
 */
#include "tests/fuzz/replay.h"

#include "common/base/base.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { input_bytes_max = 1 << 20 };

static unsigned long mutants;
static uint64_t seed;
static size_t n_inputs;
static const char *running; /* for the message when it crashes */

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

/* A copy of the exact size, so that the address sanitizer sees an overrun. */
static void run_one(const unsigned char *bytes, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    n_inputs++;
}

static size_t mutate(unsigned char *b, size_t n, size_t cap)
{
    static const unsigned char interesting[] = { 0,   1,   '"', '\\', '{',  '[',  '-',  '9',
                                                 '=', '%', ';', 0x7F, 0x80, 0xC0, 0xED, 0xFF };
    size_t at = n ? below(n) : 0, len;

    switch (next_random() % 6) {
    case 0: /* flip a bit */
        if (n)
            b[at] ^= (unsigned char)(1u << below(8));
        return n;
    case 1:
        if (n)
            b[at] = interesting[below(sizeof(interesting))];
        return n;
    case 2: /* insert */
        if (n >= cap)
            return n;
        memmove(b + at + 1, b + at, n - at);
        b[at] = interesting[below(sizeof(interesting))];
        return n + 1;
    case 3: /* remove */
        len = n ? 1 + below(n - at < 8 ? n - at : 8) : 0;
        memmove(b + at, b + at + len, n - at - len);
        return n - len;
    case 4: /* repeat a piece */
        len = n ? 1 + below(n - at < 64 ? n - at : 64) : 0;
        if (n + len > cap)
            return n;
        memmove(b + at + len, b + at, n - at);
        return n + len;
    default: /* cut */
        return at;
    }
}

static int run_file(const char *path)
{
    static unsigned char bytes[input_bytes_max + 1], work[2 * input_bytes_max];
    FILE *f = fopen(path, "rb");
    size_t n;

    if (!f) {
        perror(path);
        return 1;
    }
    n = fread(bytes, 1, sizeof(bytes), f);
    (void)fclose(f);
    if (n > input_bytes_max) {
        fprintf(stderr, "%s: too large\n", path);
        return 1;
    }
    running = path;
    run_one(bytes, n);
    for (unsigned long i = 0; i < mutants; i++) {
        size_t m = n;

        memcpy(work, bytes, n);
        for (size_t k = 1 + below(8); k > 0; k--)
            m = mutate(work, m, sizeof(work));
        run_one(work, m);
    }
    return 0;
}

static int run_path(const char *path)
{
    struct stat st;
    struct dirent *e;
    DIR *dir;
    int bad = 0;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return run_file(path);
    dir = opendir(path);
    if (!dir) {
        perror(path);
        return 1;
    }
    while ((e = readdir(dir))) {
        char file[4096];

        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        bad |= run_file(file);
    }
    (void)closedir(dir);
    return bad;
}

static void on_crash(int sig)
{
    static const char text[] = "\nfuzz input at fault, or a mutant of it: ";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

    ignored += write(STDERR_FILENO, running, strlen(running));
    ignored += write(STDERR_FILENO, "\n", 1);
    (void)ignored;
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

int main(int argc, char **argv)
{
    int opt, bad = 0;

    seed = (uint64_t)time(NULL) * 2654435761u + 1;
    while ((opt = getopt(argc, argv, "n:s:")) != -1) {
        if (opt == 'n')
            mutants = strtoul(optarg, NULL, 10);
        else if (opt == 's')
            seed = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: %s [-n MUTANTS] [-s SEED] FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    if (seed == 0)
        seed = 1;
    if (mutants)
        printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
    running = "";
    (void)signal(SIGABRT, on_crash);
    (void)signal(SIGSEGV, on_crash);
    for (int i = optind; i < argc; i++)
        bad |= run_path(argv[i]);
    printf("%s: %zu inputs\n", argv[0], n_inputs);
    return bad;
}
