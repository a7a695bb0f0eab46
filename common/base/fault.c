#include "common/base/fault.h"

#ifdef CMS365_FAULTS
#include <stdatomic.h>

static _Atomic unsigned armed, reached;

bool fault_hit(const char *point)
{
    unsigned n = atomic_fetch_add(&reached, 1) + 1;

    (void)point;
    return n == atomic_load(&armed);
}

void fault_arm(unsigned k)
{
    atomic_store(&armed, k);
    atomic_store(&reached, 0);
}

unsigned fault_count(void)
{
    return atomic_load(&reached);
}
#else
/* ISO C wants a declaration in every file. */
extern const char fault_not_built;
#endif
