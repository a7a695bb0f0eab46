#include "proto/emit.h"

#include "common/base/err.h"
#include "common/base/str.h"
#include "proto/command.h"
#include "proto/names.h"

#include <inttypes.h>

static void head(FILE *out, const char *title, const char *text)
{
    fprintf(out, "# %s\n\n%s\n\nPrinted from the tables by `make contract`; edit those.\n\n", title,
            text);
}

static void put_type(FILE *out, const struct field_def *f)
{
    static const char *const names[] = {
        [F_ID] = "integer",  [F_UUID] = "UUID",     [F_TEXT] = "text",       [F_INT] = "integer",
        [F_BOOL] = "bool",   [F_TIME] = "time",     [F_JSON] = "object",     [F_ENUM] = "",
        [F_TEXTS] = "texts", [F_REF] = "reference", [F_REFS] = "references",
    };
    static const char *const formats[] = {
        [FMT_NONE] = "",
        [FMT_EMAIL] = " (e-mail)",
        [FMT_URL] = " (URL)",
        [FMT_SLUG] = " (slug)",
        [FMT_USERNAME] = " (name)",
        [FMT_LANGUAGE] = " (BCP 47)",
        [FMT_COUNTRY] = " (ISO 3166-1)",
        [FMT_CURRENCY] = " (ISO 4217)",
        [FMT_TIMEZONE] = " (IANA)",
        [FMT_PHONE] = " (E.164)",
        [FMT_MIME] = " (media type)",
        [FMT_SHA256] = " (hex)",
        [FMT_FILENAME] = " (file name)",
        [FMT_LINE] = "",
        [FMT_LONG] = "",
        [FMT_LIST] = " (list)",
    };
    fprintf(out, "%s%s", names[f->type], formats[f->format]);
    for (const char *const *c = f->choices; c && *c; c++)
        fprintf(out, "%s`%s`", c == f->choices ? "" : " ", *c);
    if (f->ref)
        fprintf(out, " → %s", entity_find(f->ref)->plural);
    if (f->type == F_TEXT && f->max)
        fprintf(out, ", ≤ %" PRId64, f->max);
    if (f->type == F_JSON)
        fprintf(out, ", ≤ %" PRId64 " KiB", f->max / 1024);
    if (f->items_max)
        fprintf(out, ", ≤ %u items", f->items_max);
    if (f->type == F_INT && f->max < INT64_MAX && (f->min || f->max))
        fprintf(out, ", %" PRId64 " … %" PRId64, f->min, f->max);
}

static void put_marks(FILE *out, const struct field_def *f)
{
    static const struct {
        unsigned flag;
        const char *mark;
    } marks[] = {
        { FF_REQUIRED, "required"    },
        { FF_READONLY, "read-only"   },
        { FF_SECRET,   "shown once"  },
        { FF_FILTER,   "filter"      },
        { FF_SORT,     "sort"        },
        { FF_UNIQUE,   "unique"      },
        { FF_PRIVATE,  "private"     },
        { FF_ADMIN,    "admin"       },
        { FF_CREATE,   "create only" },
        { FF_NONNULL,  "never null"  },
    };
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (f->flags & marks[i].flag) {
            fprintf(out, "%s%s", comma, marks[i].mark);
            comma = ", ";
        }
    if (f->fallback && !(f->flags & FF_READONLY))
        fprintf(out, "%sdefault `%s`", comma, f->fallback);
}

static void put_entity(FILE *out, const struct entity_def *e)
{
    fprintf(out, "## %s\n\n%s `%s`, program `%s`, scopes `%s` and `%s`, sorted by `%s`.\n\n",
            e->plural, e->doc, e->path, e->service, e->scope_read, e->scope_write, e->sort);
    fprintf(out, "| field | type | | |\n|---|---|---|---|\n");
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & FF_HIDDEN)
            continue;
        fprintf(out, "| `%s` | ", f->name);
        put_type(out, f);
        fputs(" | ", out);
        put_marks(out, f);
        fprintf(out, " | %s |\n", f->doc);
    }
    for (const struct relation_def *r = e->relations; r && r->name; r++)
        fprintf(out, "%sRelation `%s` → %s: %s\n", r == e->relations ? "\n" : "", r->name,
                entity_find(r->ref)->plural, r->doc);
    fputc('\n', out);
}

void emit_md_entities(FILE *out)
{
    head(out, "Entities",
         "Times are RFC 3339 UTC with microseconds; a reference is read as `{\"id\":7}` and "
         "written as "
         "that or `7`. *private*: shown to the row's owner and to `api:admin`; *admin*: written "
         "with "
         "`api:admin` only.");
    for (const struct entity_def *const *e = entities; *e; e++)
        put_entity(out, *e);
    for (const struct entity_def *const *e = resources; *e; e++)
        put_entity(out, *e);
}

void emit_md_errors(FILE *out)
{
    head(out, "Errors",
         "Every answer that is not 2xx or 3xx is `application/problem+json` (RFC 9457). Its `type` "
         "is "
         "`<public URL>/problems/<code>`. *again*: the same request may succeed later.");
    fprintf(out, "| code | status | again | title |\n|---|---|---|---|\n");
    for (int c = E_OK + 1; c < E_MAX_; c++)
        fprintf(out, "| `%s` | %d | %s | %s |\n", err_name((enum err_code)c),
                err_http((enum err_code)c), err_retryable((enum err_code)c) ? "yes" : "",
                err_title((enum err_code)c));
}

void emit_md_events(FILE *out)
{
    head(out, "Events",
         "Short names; `ce_type` in Kafka is `com.cms365.` and the short name. Those with data can "
         "be "
         "subscribed to; `post.*` is every event of posts.");
    fprintf(out, "| event | topic | data | |\n|---|---|---|---|\n");
    for (const struct event_def *e = events; e->type; e++)
        fprintf(out, "| `%s` | `%s` | %s | %s |\n", e->type, e->topic, e->entity ? e->entity : "–",
                e->doc);
}

void emit_md_scopes(FILE *out)
{
    static const struct {
        enum role role;
        const char *doc;
    } roles[] = {
        { ROLE_MEMBER, "Reads what is published; changes the own profile."             },
        { ROLE_AUTHOR, "Also writes and publishes own posts, pages, events and media." },
        { ROLE_EDITOR, "All content, experts and companies."                           },
        { ROLE_ADMIN,  "Everything."                                                   },
    };
    head(out, "Scopes and roles",
         "A credential may do what its scopes and its user's role both allow. `x:write` implies "
         "`x:read`. *named*: not implied by `api:read` or `api:write`.");
    fprintf(out, "| scope | named | |\n|---|---|---|\n");
    for (int i = 0; i < S_MAX_; i++)
        fprintf(out, "| `%s` | %s | %s |\n", scopes[i].name, scopes[i].named_only ? "yes" : "",
                scopes[i].doc);
    fprintf(out, "\n| role | | holds at most |\n|---|---|---|\n");
    for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
        fprintf(out, "| `%s` | %s |", role_name(roles[r].role), roles[r].doc);
        for (int i = 0; i < S_MAX_; i++)
            if (scope_has(role_scopes(roles[r].role), (enum scope)i))
                fprintf(out, " `%s`", scopes[i].name);
        fprintf(out, " |\n");
    }
}

void emit_md_commands(FILE *out)
{
    head(out, "Commands",
         "What programs ask one another to do, as messages of a topic: the payload is one JSON "
         "object, `ce_id` names the command for good, `ce_actor` says by whose rights "
         "(`user:7 source:3`). Senders check it against this table, takers check it again.");
    for (const struct command_def *c = commands; c->type; c++) {
        fprintf(out,
                "## %s\n\n%s Topic `%s`, schema `%s`.\n\n| field | type | | |\n|---|---|---|---|\n",
                c->type, c->shape->doc, event_find(c->type)->topic, c->shape->name);
        for (const struct field_def *f = c->shape->fields; f->name; f++) {
            fprintf(out, "| `%s` | ", f->name);
            put_type(out, f);
            fputs(" | ", out);
            put_marks(out, f);
            fprintf(out, " | %s |\n", f->doc);
        }
        fprintf(out, "\n```json\n%s\n```\n\n", c->example);
    }
}

void emit_md_topics(FILE *out)
{
    head(out, "Topics", "Made and altered by `<program> --topics`; nothing else makes one.");
    fprintf(out, "| topic | partitions | kept | produced by | |\n|---|---|---|---|---|\n");
    for (const struct topic_def *t = topics; t->name; t++) {
        fprintf(out, "| `%s` | %d | ", t->name, t->partitions);
        if (t->compact)
            fprintf(out, "compacted");
        else
            fprintf(out, "%" PRId64 " h", t->retention_ms / 3600000);
        fprintf(out, " | %s | %s |\n", str_eq(t->owner, "*") ? "several" : t->owner, t->doc);
    }
}

void emit_md_metrics(FILE *out)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    head(out, "Metrics", "`GET /metrics` on a program's internal port, Prometheus text.");
    fprintf(out, "| metric | kind | labels | |\n|---|---|---|---|\n");
    for (int i = 0; i < M_MAX_; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", metrics[i].name, kinds[metrics[i].kind],
                metrics[i].labels, metrics[i].doc);
}
