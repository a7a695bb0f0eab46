#include "common/kit/prefer.h"

#include "common/base/str.h"

#include <strings.h>

/* One preference of the list: name, value ("" if none); parameters are passed over. */
struct item {
    const char *name, *value;
};

static const char *unquote(struct arena *a, const char *s, size_t n)
{
    if (n < 2 || *s != '"')
        return arena_strndup(a, s, n);
    char *out = arena_alloc(a, n), *p = out;
    for (size_t i = 1; i + 1 < n; i++) {
        if (s[i] == '\\' && i + 2 < n)
            i++;
        *p++ = s[i];
    }
    return out;
}

static bool next(struct arena *a, const char **s, struct item *ret)
{
    const char *p = *s + strspn(*s, ", \t"), *end = p, *stop = NULL, *eq = NULL;
    bool quoted = false;
    if (!*p)
        return false;
    for (; *end && (quoted || *end != ','); end++) {
        if (quoted && *end == '\\' && end[1])
            end++;
        else if (*end == '"')
            quoted = !quoted;
        else if (!quoted && *end == ';' && !stop)
            stop = end;
        else if (!quoted && *end == '=' && !eq && !stop)
            eq = end;
    }
    *s = end;
    stop = stop ? stop : end;
    const char *name_end = eq ? eq : stop, *value = eq ? eq + 1 : stop;
    while (name_end > p && strchr(" \t", name_end[-1]))
        name_end--;
    while (value < stop && strchr(" \t", *value))
        value++;
    while (stop > value && strchr(" \t", stop[-1]))
        stop--;
    ret->name = arena_strndup(a, p, (size_t)(name_end - p));
    ret->value = unquote(a, value, (size_t)(stop - value));
    return true;
}

void prefer_parse(struct arena *a, const char *header, struct prefer *ret)
{
    struct item it;
    bool handling = false;
    *ret = (struct prefer){ 0 };
    while (header && next(a, &header, &it)) {
        bool known = true;
        if (str_ieq(it.name, "return")) {
            enum prefer_return said = str_ieq(it.value, "minimal")          ? PREFER_MINIMAL
                                      : str_ieq(it.value, "representation") ? PREFER_REPRESENTATION
                                                                            : PREFER_UNSAID;
            known = said != PREFER_UNSAID;
            if (ret->answer == PREFER_UNSAID)
                ret->answer = said;
        } else if (str_ieq(it.name, "handling")) {
            known = str_ieq(it.value, "strict") || str_ieq(it.value, "lenient");
            if (known && !handling)
                ret->strict = str_ieq(it.value, "strict");
            handling |= known;
        } else if (str_ieq(it.name, "respond-async")) {
            ret->async = true;
        } else {
            known = str_ieq(it.name, "wait"); /* how long we wait is ours to say */
        }
        if (!known && !ret->unknown)
            ret->unknown = it.name;
    }
}
