#include "services/webhooks-out/webhooks.h"

#include "common/base/str.h"

/* Internal state is nobody's event. */
static bool public_event(const struct event_def *e)
{
    return e->entity != NULL;
}

bool pattern_known(const char *pattern)
{
    size_t n = strlen(pattern);
    if (str_eq(pattern, "*"))
        return true;
    bool wild = n > 2 && str_eq(pattern + n - 2, ".*");
    for (const struct event_def *e = events; e->type; e++)
        if (public_event(e) &&
            (wild ? !strncmp(e->type, pattern, n - 1) : str_eq(e->type, pattern)))
            return true;
    return false;
}

bool pattern_matches(const char *pattern, const char *type)
{
    size_t n = pattern ? strlen(pattern) : 0;
    if (!n)
        return false;
    if (n > 2 && str_eq(pattern + n - 2, ".*"))
        return !strncmp(type, pattern, n - 1);
    return str_eq(pattern, "*") || str_eq(pattern, type);
}

size_t patterns_of(struct arena *a, const char *type, const char *ret[patterns_max])
{
    size_t n = 0;
    ret[n++] = "*";
    for (const char *dot = strchr(type, '.'); dot && n < patterns_max - 2;
         dot = strchr(dot + 1, '.'))
        ret[n++] = arena_printf(a, "%.*s.*", (int)(dot - type), type);
    ret[n++] = type;
    ret[n] = NULL;
    return n;
}
