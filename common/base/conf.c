#include "common/base/conf.h"

#include "common/base/str.h"

#include <assert.h>
#include <errno.h>

enum { text_bytes_max = 4096, name_bytes_max = 128 };

static const char prefix[] = "CMS365_";
static const char file_suffix[] = "_FILE";

static const char *env_get(char *const *env, const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && strncmp(*env + n, suffix, m) == 0 &&
            (*env)[n + m] == '=')
            return *env + n + m + 1;
    return NULL;
}

/* A name in `known` may end in '*': CMS365_TEST_*. */
static bool is_known(const char *const *known, const char *name)
{
    for (; known && *known; known++) {
        size_t n = strlen(*known);

        if (str_eq(*known, name) || (str_starts(name, *known) && str_eq(name + n, file_suffix)))
            return true;
        if (n > 0 && (*known)[n - 1] == '*' && strncmp(*known, name, n - 1) == 0)
            return true;
    }
    return false;
}

static bool is_defined(const struct conf_def *const *tables, const char *name)
{
    for (; *tables; tables++)
        for (const struct conf_def *d = *tables; d->name; d++)
            if (str_eq(d->name, name) || (d->secret && str_starts(name, d->name) &&
                                          str_eq(name + strlen(d->name), file_suffix)))
                return true;
    return false;
}

/* Levenshtein distance, given up above `most`. */
static size_t distance(const char *a, const char *b, size_t most)
{
    size_t row[name_bytes_max + 1], n = strlen(a), m = strlen(b);

    if (n > name_bytes_max || m > name_bytes_max || n > m + most || m > n + most)
        return most + 1;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

static const char *near_miss(const struct conf_def *const *tables, const char *name)
{
    const char *best = NULL;
    size_t least = 3;

    for (; *tables; tables++) {
        for (const struct conf_def *d = *tables; d->name; d++) {
            size_t n = distance(name, d->name, 2);

            if (n < least) {
                least = n;
                best = d->name;
            }
        }
    }
    return best;
}

static int refuse_unknown(const struct conf_def *const *tables, const char *const *known,
                          char *const *env, struct err *err)
{
    for (; *env; env++) {
        char name[name_bytes_max];
        const char *near;
        size_t n = strcspn(*env, "=");

        if (!str_starts(*env, prefix))
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1),
                       *env);
        if (n < sizeof(name) && (is_defined(tables, name) || is_known(known, name)))
            continue;
        near = near_miss(tables, name);
        if (near)
            return err_at(err, E_config, name, "%s is not a setting; did you mean %s?", name, near);
        return err_at(err, E_config, name, "%s is not a setting of this program or any other.",
                      name);
    }
    return 0;
}

static size_t bytes_max(const struct conf_def *d)
{
    return d->type == CONF_TEXT && d->max > 0 ? (size_t)d->max : text_bytes_max;
}

static int read_file(struct arena *a, const struct conf_def *d, const char *path, const char **ret,
                     struct err *err)
{
    size_t cap = bytes_max(d) + 2, n;
    char *text = arena_raw(a, cap + 1);
    FILE *f = fopen(path, "re");
    bool failed;

    n = f ? fread(text, 1, cap, f) : 0;
    failed = !f || ferror(f);
    if (failed) {
        (void)err_at(err, E_config, d->name, "%s%s names a file that cannot be read: %s.", d->name,
                     file_suffix, strerror(errno));
        (void)err_detail(err, "%s", path);
    }
    if (f)
        (void)fclose(f);
    if (failed)
        return -E_config;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0 && text[n - 1] == '\r')
        n--;
    text[n] = '\0';
    if (strlen(text) != n)
        return err_at(err, E_config, d->name, "%s%s names a file that holds a NUL byte.", d->name,
                      file_suffix);
    *ret = text;
    return 0;
}

/* The text of a setting: environment, file or default. */
static int find(struct arena *a, const struct conf_def *d, char *const *env, const char **ret,
                struct err *err)
{
    const char *value = env_get(env, d->name, "");
    const char *path = d->secret ? env_get(env, d->name, file_suffix) : NULL;

    if (value && path)
        return err_at(err, E_config, d->name, "%s and %s%s are both set; set one.", d->name,
                      d->name, file_suffix);
    if (path) {
        int r = read_file(a, d, path, &value, err);

        if (r < 0)
            return r;
    }
    if (!d->fallback && (!value || !*value))
        return err_at(err, E_config, d->name, "%s is required%s.", d->name,
                      value ? " and must not be empty" : "");
    *ret = value ? value : d->fallback;
    return 0;
}

static int bad_value(const struct conf_def *d, const char *value, const char *want, struct err *err)
{
    if (d->secret)
        return err_at(err, E_config, d->name, "%s must be %s.", d->name, want);
    return err_at(err, E_config, d->name, "%s must be %s, not \"%.40s\".", d->name, want, value);
}

static int store(struct arena *a, const struct conf_def *d, const char *value, void *conf,
                 struct err *err)
{
    char *at = (char *)conf + d->offset, want[80];
    const char *copy;
    int64_t num;
    bool flag;

    switch (d->type) {
    case CONF_TEXT:
        if (strlen(value) > bytes_max(d))
            return err_at(err, E_config, d->name, "%s is longer than %zu bytes.", d->name,
                          bytes_max(d));
        copy = arena_strdup(a, value);
        memcpy(at, &copy, sizeof(copy));
        return 0;
    case CONF_INT:
        (void)snprintf(want, sizeof(want), "a whole number from %lld to %lld", (long long)d->min,
                       (long long)d->max);
        if (!str_to_i64(value, d->min, d->max, &num))
            return bad_value(d, value, want, err);
        memcpy(at, &num, sizeof(num));
        return 0;
    case CONF_BOOL:
        if (!str_to_bool(value, &flag))
            return bad_value(d, value, "true or false", err);
        memcpy(at, &flag, sizeof(flag));
        return 0;
    }
    abort();
}

int conf_load(struct arena *a, const struct conf_def *const *tables, const char *const *known,
              char *const *environ_, void *conf, struct err *err)
{
    int r = refuse_unknown(tables, known, environ_, err);

    if (r < 0)
        return r;
    for (; *tables; tables++) {
        for (const struct conf_def *d = *tables; d->name; d++) {
            const char *value = NULL;

            assert(str_starts(d->name, prefix) && strlen(d->name) < name_bytes_max);
            r = find(a, d, environ_, &value, err);
            if (r == 0)
                r = store(a, d, value, conf, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static const char *type_name(const struct conf_def *d)
{
    return d->secret              ? "secret"
           : d->type == CONF_INT  ? "number"
           : d->type == CONF_BOOL ? "bool"
                                  : "text";
}

void conf_help(FILE *out, const struct conf_def *const *tables)
{
    for (; *tables; tables++) {
        for (const struct conf_def *d = *tables; d->name; d++) {
            fprintf(out, "  %s (%s", d->name, type_name(d));
            if (!d->fallback)
                fputs(", required", out);
            else if (*d->fallback && !d->secret)
                fprintf(out, ", default %s", d->fallback);
            if (d->type == CONF_INT)
                fprintf(out, ", %lld to %lld", (long long)d->min, (long long)d->max);
            fprintf(out, ")\n      %s\n", d->doc);
            if (d->secret)
                fprintf(out, "      %s%s may name a file that holds it.\n", d->name, file_suffix);
        }
    }
}

void conf_markdown(FILE *out, const struct conf_def *const *tables)
{
    for (; *tables; tables++) {
        for (const struct conf_def *d = *tables; d->name; d++) {
            fprintf(out, "| `%s` | %s | ", d->name, type_name(d));
            if (!d->fallback)
                fputs("required", out);
            else if (*d->fallback && !d->secret)
                fprintf(out, "`%s`", d->fallback);
            if (d->type == CONF_INT)
                fprintf(out, " (%lld–%lld)", (long long)d->min, (long long)d->max);
            fputs(" | ", out);
            for (const char *c = d->doc; *c; c++) {
                if (*c == '|')
                    fputc('\\', out);
                fputc(*c, out);
            }
            fputs(" |\n", out);
        }
    }
}
