#include "services/webhooks-out/provider.h"

#include "common/base/str.h"

const struct target *const targets[] = {
#define X(name) &target_##name,
    WEBHOOK_TARGETS(X)
#undef X
        NULL
};

const struct target *target_find(const char *name)
{
    for (const struct target *const *t = targets; *t; t++)
        if (str_eq((*t)->p.name, name))
            return *t;
    return NULL;
}
