/* The parent's side: a few processes, one run each at a time. */
#define _GNU_SOURCE /* pipe2 */
#include "services/webhooks-in/mapper.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "services/webhooks-in/map.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { mappers_max = 16, look_ms = 50 };

struct process {
    pid_t pid; /* 0: none */
    int in, out;
    bool taken;
};
struct mappers {
    pthread_mutex_t mu;
    pthread_cond_t free;
    size_t n;
    struct process p[mappers_max];
};

struct mappers *mappers_new(size_t n)
{
    struct mappers *m = calloc(1, sizeof(*m));
    assert(m && n > 0 && n <= mappers_max);
    pthread_mutex_init(&m->mu, NULL);
    pthread_cond_init(&m->free, NULL);
    m->n = n;
    return m;
}

static void stop(struct process *p)
{
    if (!p->pid)
        return;
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(p->in);
    close(p->out);
    p->pid = 0;
}

void mappers_free(struct mappers *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        stop(&m->p[i]);
    pthread_mutex_destroy(&m->mu);
    pthread_cond_destroy(&m->free);
    free(m);
}

static struct process *take(struct mappers *m)
{
    struct process *p = NULL;
    pthread_mutex_lock(&m->mu);
    while (!p) {
        for (size_t i = 0; i < m->n && !p; i++)
            if (!m->p[i].taken)
                p = &m->p[i];
        if (!p)
            pthread_cond_wait(&m->free, &m->mu);
    }
    p->taken = true;
    pthread_mutex_unlock(&m->mu);
    return p;
}

static void give(struct mappers *m, struct process *p)
{
    pthread_mutex_lock(&m->mu);
    p->taken = false;
    pthread_cond_signal(&m->free);
    pthread_mutex_unlock(&m->mu);
}

static int spawn(struct process *p, int to[2], int from[2])
{
    char exe[] = "/proc/self/exe", verb[] = MAPPER_VERB;
    char *const argv[] = { exe, verb, NULL };
    char *const env[] = { NULL };
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, to[0], 0);
    posix_spawn_file_actions_adddup2(&acts, from[1], 1);
    posix_spawn_file_actions_addopen(&acts, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int failed = posix_spawn(&p->pid, exe, &acts, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    return failed;
}

static int start(struct process *p, struct err *err)
{
    int to[2], from[2], failed = 0;
    if (p->pid)
        return 0;
    if (pipe2(to, O_CLOEXEC))
        return err_set(err, E_unavailable, "No process can be started for the mapping.");
    if (pipe2(from, O_CLOEXEC)) {
        close(to[0]);
        close(to[1]);
        return err_set(err, E_unavailable, "No process can be started for the mapping.");
    }
    failed = spawn(p, to, from);
    close(to[0]);
    close(from[1]);
    if (failed) {
        close(to[1]);
        close(from[0]);
        p->pid = 0;
        return err_set(err, E_unavailable, "No process can be started for the mapping.");
    }
    p->in = to[1];
    p->out = from[0];
    (void)fcntl(p->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(p->out, F_SETFL, O_NONBLOCK);
    return 0;
}

struct limit { /* of one run */
    clockid_t cpu;
    int64_t cpu_end_us, end_us;
};

static int64_t cpu_us(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) ? INT64_MAX : t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static bool limit_init(struct limit *l, pid_t pid)
{
    if (clock_getcpuclockid(pid, &l->cpu))
        return false;
    l->cpu_end_us = cpu_us(l->cpu) + (int64_t)mapper_run_ms * 1000;
    l->end_us = clock_mono_us() + (int64_t)mapper_wait_ms * 1000;
    return true;
}

static bool over(const struct limit *l)
{
    return clock_mono_us() >= l->end_us || cpu_us(l->cpu) >= l->cpu_end_us;
}

/* All n bytes before the limit is reached; SIGPIPE is ignored by the program (svc). */
static bool move(int fd, void *data, size_t n, short what, const struct limit *l)
{
    char *at = data;
    while (n) {
        ssize_t k = what == POLLIN ? read(fd, at, n) : write(fd, at, n);
        if (k > 0) {
            at += k;
            n -= (size_t)k;
            continue;
        }
        struct pollfd w = { .fd = fd, .events = what };
        if (k == 0 || (errno != EAGAIN && errno != EINTR) || over(l))
            return false;
        if (poll(&w, 1, look_ms) < 0 && errno != EINTR)
            return false;
    }
    return true;
}

struct answer {
    uint32_t failed, len;
    char *text;
};

static bool converse(struct process *p, struct arena *a, char *const parts[3], struct answer *ret)
{
    struct limit limit;
    uint32_t sizes[3], head[2];
    if (!limit_init(&limit, p->pid))
        return false;
    for (size_t i = 0; i < 3; i++)
        sizes[i] = (uint32_t)strlen(parts[i]);
    if (!move(p->in, sizes, sizeof(sizes), POLLOUT, &limit))
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!move(p->in, parts[i], sizes[i], POLLOUT, &limit))
            return false;
    if (!move(p->out, head, sizeof(head), POLLIN, &limit) ||
        head[1] > mapper_output_bytes_max + 1024)
        return false;
    *ret = (struct answer){ head[0], head[1], arena_alloc(a, head[1] + 1) };
    return move(p->out, ret->text, head[1], POLLIN, &limit);
}

int mappers_run(void *mappers, struct arena *a, const char *program, const json_t *input,
                const json_t *around, json_t **ret, struct err *err)
{
    struct mappers *m = mappers;
    struct answer answer;
    /* The body may be any JSON value, which json_text takes too. */
    char *const parts[3] = { arena_strdup(a, program), json_text(a, input), json_text(a, around) };
    struct process *p = take(m);
    int rc = start(p, err);
    bool ok = !rc && converse(p, a, parts, &answer);
    if (!rc && !ok)
        stop(p);
    give(m, p);
    if (rc)
        return rc;
    if (!ok)
        return err_at(err, E_validation, "/mapping/jq",
                      "The program was stopped: it takes too long, or too much memory.");
    if (answer.failed || !str_utf8_ok(answer.text, answer.len))
        return err_at(err, E_validation, "/mapping/jq", "jq: %.200s", answer.text);
    if (json_parse(a, answer.text, answer.len, ret, err))
        return err_at(err, E_validation, "/mapping/jq",
                      "What the program gives is nested too deeply or no JSON.");
    return 0;
}
