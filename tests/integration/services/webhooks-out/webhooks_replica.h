#ifndef TESTS_WEBHOOKS_REPLICA_H
#define TESTS_WEBHOOKS_REPLICA_H
/* Another replica of the dispatcher on the same schema: the test's own binary, as a process of its
 * own, so that it can be killed.  main() hands replica_verb to be_replica. */
#include "tests/integration/services/webhooks-out/webhooks_fixture.h"

static const char replica_verb[] = "--dispatch";

static volatile sig_atomic_t asked_to_stop;

static void on_term(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

/* Dispatches until it is told to stop, or killed. */
static int be_replica(const char *schema)
{
    signal(SIGTERM, on_term);
    open_svc(schema);
    start();
    while (!asked_to_stop)
        usleep(20000);
    stop();
    return 0;
}

static pid_t replica; /* 0: there is none */

static void replica_start(void)
{
    replica = fork();
    if (replica == 0) {
        execl("/proc/self/exe", "replica", replica_verb, fx.schema, (char *)NULL);
        _exit(127);
    }
    assert_true(replica > 0);
}

static void replica_end(int signal)
{
    kill(replica, signal);
    waitpid(replica, NULL, 0);
    replica = 0;
}

/* Whatever became of the test. */
static int each_end(void **state)
{
    if (replica)
        replica_end(SIGKILL);
    return each_teardown(state);
}
#endif
