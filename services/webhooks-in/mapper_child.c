/*
 * The process that runs jq programs.  It reads three texts (program, input, what is around it),
 * answers with one (the results as an array, or a sentence), and begins anew.  Before the first it
 * gives up all that a program could misuse.
 */
#include "services/webhooks-in/mapper.h"

#include "common/base/str.h"
#include "services/webhooks-in/map.h"

#include <errno.h>
#include <jq.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { programs_max = 16, part_bytes_max = 16 * 1024 * 1024, sentence_max = 300 };

/* --- giving up -----------------------------------------------------------------------------------
 */

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)__NR_##name, 0, 1),                              \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "the mapper's system call filter does not know this machine"
#endif

static bool filter_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(read),
        ALLOW(write),
        ALLOW(brk),
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(mprotect),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(clock_gettime),
        ALLOW(gettimeofday),
        ALLOW(getrandom),
        ALLOW(rt_sigprocmask),
        ALLOW(rt_sigreturn),
        ALLOW(exit),
        ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
    };
    const struct sock_fprog prog = { .len = ARRAY_LEN(code), .filter = code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0;
}

static bool confine(void)
{
    const struct rlimit memory = { mapper_memory_bytes, mapper_memory_bytes };
    const struct rlimit files = { 3, 3 }, none = { 0, 0 };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return false;
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
#if !defined(CMS365_ARENA_MALLOC) /* AddressSanitizer reserves terabytes */
    if (setrlimit(RLIMIT_AS, &memory))
        return false;
#else
    (void)memory;
#endif
    return !setrlimit(RLIMIT_NOFILE, &files) && !setrlimit(RLIMIT_CORE, &none) &&
           !setrlimit(RLIMIT_FSIZE, &none) && filter_calls();
}

/* --- programs ------------------------------------------------------------------------------------
 */

struct program {
    char *text;
    jq_state *jq;
    uint64_t used;
};
struct run {
    char sentence[sentence_max];
    jv around;
    bool around_given;
};

static void on_error(void *ctx, jv msg)
{
    struct run *r = ctx;
    jv text = jv_get_kind(msg) == JV_KIND_STRING ? msg : jv_dump_string(msg, 0);
    if (!*r->sentence) {
        snprintf(r->sentence, sizeof(r->sentence), "%s", jv_string_value(text));
        r->sentence[strcspn(r->sentence, "\n")] = '\0';
    }
    jv_free(text);
}

static void on_debug(void *ctx, jv msg)
{
    (void)ctx;
    jv_free(msg);
}

/* `input`: what is around the body, once. */
static jv on_input(jq_state *jq, void *ctx)
{
    struct run *r = ctx;
    (void)jq;
    if (r->around_given)
        return jv_invalid();
    r->around_given = true;
    return jv_copy(r->around);
}

static jq_state *compile(const char *text, struct run *r)
{
    jq_state *jq = jq_init();
    if (!jq)
        return NULL;
    jq_set_error_cb(jq, on_error, r);
    jq_set_debug_cb(jq, on_debug, NULL);
    jq_set_input_cb(jq, on_input, r);
    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
    jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string("/nowhere"));
    jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string("/nowhere"));
    if (!jq_compile(jq, text))
        jq_teardown(&jq);
    return jq;
}

/* The compiled program; the one that was not used for longest goes. */
static jq_state *program_get(struct program *all, const char *text, struct run *r)
{
    static uint64_t now;
    struct program *oldest = &all[0];
    for (size_t i = 0; i < programs_max; i++) {
        if (all[i].jq && str_eq(all[i].text, text)) {
            all[i].used = ++now;
            return all[i].jq;
        }
        if (all[i].used < oldest->used)
            oldest = &all[i];
    }
    jq_state *jq = compile(text, r);
    if (!jq)
        return NULL;
    if (oldest->jq)
        jq_teardown(&oldest->jq);
    free(oldest->text);
    *oldest = (struct program){ .text = strdup(text), .jq = jq, .used = ++now };
    if (!oldest->text)
        abort();
    return jq;
}

static void say(struct run *r, const char *text)
{
    if (!*r->sentence)
        snprintf(r->sentence, sizeof(r->sentence), "%s", text);
}

/* Appends "[a,b,…]"; false: the run failed, and r->sentence says why. */
static bool results(jq_state *jq, struct run *r, struct buf *out)
{
    size_t n = 0;
    buf_putc(out, '[');
    for (;;) {
        jv v = jq_next(jq);
        if (!jv_is_valid(v)) {
            jv msg = jv_invalid_get_msg(v);
            bool failed = jv_get_kind(msg) != JV_KIND_NULL;
            if (failed)
                on_error(r, msg);
            else
                jv_free(msg);
            if (failed)
                return false;
            break;
        }
        if (++n > map_results_max) {
            jv_free(v);
            say(r, "there are more results than a message may have");
            return false;
        }
        jv text = jv_dump_string(v, 0);
        if (n > 1)
            buf_putc(out, ',');
        buf_put(out, jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text)));
        jv_free(text);
        if (out->overflow) {
            say(r, "the results are too large");
            return false;
        }
    }
    buf_putc(out, ']');
    return !jq_halted(jq) || (say(r, "the program halted"), false);
}

/* --- the conversation ----------------------------------------------------------------------------
 */

static bool all_in(void *data, size_t n)
{
    char *at = data;
    while (n) {
        ssize_t k = read(0, at, n);
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static bool all_out(const void *data, size_t n)
{
    const char *at = data;
    while (n) {
        ssize_t k = write(1, at, n);
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static bool one(struct program *programs, struct arena *a)
{
    static struct run r; /* the programs' callbacks point to it */
    uint32_t sizes[3];
    char *parts[3];
    struct buf out;
    if (!all_in(sizes, sizeof(sizes)))
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (sizes[i] > part_bytes_max)
            return false;
        parts[i] = arena_alloc(a, (size_t)sizes[i] + 1);
        if (!all_in(parts[i], sizes[i]))
            return false;
    }
    r = (struct run){ .around = jv_parse_sized(parts[2], (int)sizes[2]) };
    buf_init(&out, a, 4096, mapper_output_bytes_max);
    bool ok = false;
    jq_state *jq = program_get(programs, parts[0], &r);
    if (jq) {
        jq_start(jq, jv_parse_sized(parts[1], (int)sizes[1]), 0);
        ok = results(jq, &r, &out);
        jq_start(jq, jv_null(), 0); /* lets go of the values */
    }
    jv_free(r.around);
    say(&r, "the program failed");
    const char *text = ok ? out.data : r.sentence;
    const uint32_t head[2] = { !ok, (uint32_t)(ok ? out.len : strlen(text)) };
    return all_out(head, sizeof(head)) && all_out(text, head[1]);
}

int mapper_main(void)
{
    static struct program programs[programs_max];
    if (!confine())
        return 1;
    struct arena *a = arena_new();
    while (one(programs, a))
        arena_reset(a);
    arena_free(a);
    return 0;
}
