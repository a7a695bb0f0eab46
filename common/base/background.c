#define _GNU_SOURCE /* gettid */
#include "common/base/background.h"

#include "common/base/log.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

void background_thread(void)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), background_nice))
        log_debug("background.refused", kv_i("errno", errno)); /* a sandbox may */
}
