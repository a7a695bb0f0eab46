#include "proto/emit.h"

#include "common/base/str.h"
#include "proto/names.h"

/* TypeScript of what is read and written.  `Post` as read, `PostInput` as created, `PostPatch` as
 * merged. */

static void put_name(FILE *out, const char *name, const char *suffix)
{
    char text[schema_name_max];
    emit_schema_name(name, suffix, text);
    fputs(text, out);
}

static void put_type(FILE *out, const struct field_def *f, bool read)
{
    switch (f->type) {
    case F_ID:
    case F_INT:
        fputs("number", out);
        return;
    case F_BOOL:
        fputs("boolean", out);
        return;
    case F_UUID:
    case F_TEXT:
    case F_TIME:
        fputs("string", out);
        return;
    case F_JSON:
        fputs(f->format == FMT_LIST ? "unknown[]" : "Record<string, unknown>", out);
        return;
    case F_ENUM:
        for (const char *const *c = f->choices; *c; c++)
            fprintf(out, "%s\"%s\"", c == f->choices ? "" : " | ", *c);
        return;
    case F_TEXTS:
        fputs("string[]", out);
        return;
    case F_REF:
    case F_REFS:
        if (f->type == F_REFS)
            fputs("Array<", out);
        if (read) {
            fputs("Ref<", out);
            put_name(out, entity_find(f->ref)->name, "");
            fputs(">", out);
        } else {
            fputs("RefInput", out);
        }
        if (f->type == F_REFS)
            fputs(">", out);
        return;
    }
}

static void put_field(FILE *out, const struct field_def *f, bool read, bool optional)
{
    unsigned never = read ? FF_REQUIRED | FF_NONNULL : FF_REQUIRED;
    fprintf(out, "  /** %s */\n  %s%s: ", f->doc, f->name, optional ? "?" : "");
    put_type(out, f, read);
    fputs(f->flags & never ? ";\n" : " | null;\n", out);
}

static void put_read(FILE *out, const struct entity_def *e)
{
    fprintf(out, "/** %s */\nexport interface ", e->doc);
    put_name(out, e->name, "");
    fputs(" {\n", out);
    for (const struct field_def *f = e->fields; f->name; f++)
        if (!(f->flags & (FF_HIDDEN | FF_SECRET)))
            put_field(out, f, true, f->flags & FF_PRIVATE);
    for (const struct relation_def *r = e->relations; r && r->name; r++) {
        if (entity_field(e, r->name))
            continue;
        fprintf(out, "  /** %s */\n  %s?: ", r->doc, r->name);
        put_name(out, entity_find(r->ref)->name, "[];\n");
    }
    fputs("}\n\n", out);
}

static void put_write(FILE *out, const struct entity_def *e, bool patch)
{
    fputs("export interface ", out);
    put_name(out, e->name, patch ? "Patch" : "Input");
    fputs(" {\n", out);
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & (FF_HIDDEN | FF_READONLY) || (patch && f->flags & FF_CREATE))
            continue;
        put_field(out, f, false, patch || !(f->flags & FF_REQUIRED));
    }
    fputs("}\n\n", out);
}

static bool writable(const struct entity_def *e)
{
    for (const struct field_def *f = e->fields; f->name; f++)
        if (!(f->flags & (FF_HIDDEN | FF_READONLY)))
            return true;
    return false;
}

static void put_events(FILE *out)
{
    fputs("/** Body of a webhook delivery. */\nexport type WebhookEvent =\n", out);
    for (const struct event_def *e = events; e->type; e++)
        if (e->entity) {
            fprintf(out, "  | Delivery<\"%s\", ", e->type);
            put_name(out, e->entity, ">\n");
        }
    fputs("  ;\n\nexport type EventType = WebhookEvent[\"type\"];\n\n", out);
    fputs("export type Scope =\n", out);
    for (int i = 0; i < S_MAX_; i++)
        fprintf(out, "  | \"%s\"\n", scopes[i].name);
    fputs("  ;\n", out);
}

void emit_ts(FILE *out)
{
    const struct entity_def *const *lists[] = { entities, resources };
    fputs("// Printed from the tables by `make contract`; edit those.\n\n"
          "/** A reference as read: the id alone, or the whole row when include= asked for it. */\n"
          "export type Ref<T> = { id: number } & Partial<T>;\n"
          "/** A reference as written. */\n"
          "export type RefInput = number | { id: number };\n\n"
          "export interface One<T> {\n  data: T;\n}\n"
          "export interface Page<T> {\n  data: T[];\n"
          "  meta: { total?: number; page?: number; per_page?: number; limit?: number; "
          "offset?: number };\n"
          "  links: { self: string; next: string | null; prev: string | null };\n}\n"
          "/** RFC 9457 */\n"
          "export interface Problem {\n  type: string;\n  title: string;\n  status: number;\n"
          "  detail: string;\n  instance?: string;\n  request_id?: string;\n"
          "  errors?: Array<{ pointer: string; code: string; detail: string }>;\n}\n"
          "export interface Delivery<T extends string, D> {\n  id: string;\n  type: T;\n"
          "  timestamp: string;\n  data: D;\n  changed: string[];\n}\n\n",
          out);
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (const struct entity_def *const *e = lists[l]; *e; e++) {
            put_read(out, *e);
            for (int patch = 0; patch < 2 && writable(*e); patch++)
                put_write(out, *e, patch);
        }
    put_events(out);
}
