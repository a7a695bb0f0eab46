/* Each line of the input is a variable of the environment; conf_load takes it or says why not. */
#include "common/base/conf.h"
#include "common/base/str.h"
#include "tests/fuzz/replay.h"

struct settings {
    const char *url, *key;
    int64_t loops;
    bool on;
};

static const struct conf_def table[] = {
    { .name = "CMS365_PUBLIC_URL",
     .type = CONF_TEXT,
     .max = 32,
     .offset = offsetof(struct settings, url),
     .doc = "Text." },
    { .name = "CMS365_KEY",
     .type = CONF_TEXT,
     .fallback = "",
     .offset = offsetof(struct settings, key),
     .secret = true,
     .doc = "Secret." },
    { .name = "CMS365_LOOPS",
     .type = CONF_INT,
     .fallback = "1",
     .min = -5,
     .max = 64,
     .offset = offsetof(struct settings, loops),
     .doc = "Number." },
    { .name = "CMS365_ON",
     .type = CONF_BOOL,
     .fallback = "no",
     .offset = offsetof(struct settings, on),
     .doc = "Bool." },
    { .name = NULL },
};
static const struct conf_def *const tables[] = { table, NULL };
static const char *const known[] = { "CMS365_OTHER", "CMS365_TEST_*", NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data, size), *env[64] = { NULL };
    struct settings s = { .loops = 99 };
    struct err err = { 0 };
    size_t n = 0;
    int r;

    for (char *line = text, *end; line && n < ARRAY_LEN(env) - 1; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        /* No file of the machine that runs this is read. */
        if (!str_starts(line, "CMS365_KEY_FILE="))
            env[n++] = line;
    }
    r = conf_load(a, tables, known, env, &s, &err);
    if (r == 0) {
        if (!s.url || !*s.url || strlen(s.url) > 32 || !s.key || s.loops < -5 || s.loops > 64)
            abort();
    } else if (r != -E_config || !str_starts(err.msg, err.pointer) || !*err.msg) {
        abort();
    }
    arena_free(a);
    return 0;
}
