/* What the log keeps of a request and its answer: capped, and without what opens doors. */
#include "services/webhooks-out/sending.h"

#include "common/base/str.h"

static const char *const masked[] = {
    "Authorization", "Proxy-Authorization", "Cookie",
    "Set-Cookie",    "WWW-Authenticate",    "Proxy-Authenticate"
};

static bool is_masked(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(masked); i++)
        if (str_ieq(name, masked[i]))
            return true;
    return false;
}

/* "Bearer abc" -> "Bearer ***": which way was taken is worth knowing. */
static const char *mask(struct arena *a, const char *name, const char *value)
{
    size_t n = strcspn(value, " ");
    bool scheme = str_ieq(name, "Authorization") && value[n];
    return scheme ? arena_printf(a, "%.*s ***", (int)(n < 20 ? n : 20), value) : "***";
}

char *log_headers(struct arena *a, const struct httpc_header *h, size_t n, size_t max)
{
    struct buf b;
    buf_init(&b, a, 512, max + 1);
    for (size_t i = 0; i < n; i++) {
        const char *value = is_masked(h[i].name) ? mask(a, h[i].name, h[i].value) : h[i].value;
        size_t need = strlen(h[i].name) + strlen(value) + 3;
        if (!str_utf8_ok(value, strlen(value)) || !str_utf8_ok(h[i].name, strlen(h[i].name)))
            continue;
        if (b.len + need > max)
            break;
        buf_printf(&b, "%s: %s\n", h[i].name, value);
    }
    return b.data ? b.data : arena_strdup(a, "");
}

void log_headers_json(struct buf *b, struct arena *a, const char *lines)
{
    json_t *o = json_in(a, json_object());
    while (lines && *lines) {
        size_t n = strcspn(lines, "\n"), name = strcspn(lines, ":");
        if (name < n) {
            const char *key = arena_strndup(a, lines, name);
            size_t at = name + 1 + (lines[name + 1] == ' ');
            const char *value = arena_strndup(a, lines + at, n > at ? n - at : 0);
            const char *before = json_string_value(json_object_get(o, key));
            if (before)
                value = arena_printf(a, "%s, %s", before, value);
            json_object_set_new(o, key, json_string(value));
        }
        lines += n + (lines[n] == '\n');
    }
    json_write(b, o);
}

/* No half character at the cut. */
char *log_body(struct arena *a, const char *body, size_t n)
{
    if (n > log_body_max)
        n = log_body_max;
    for (size_t cut = 0; cut < 4 && cut <= n; cut++)
        if (str_utf8_ok(body, n - cut))
            return n > cut ? arena_strndup(a, body, n - cut) : NULL;
    return NULL;
}
