#include "proto/emit.h"

#include "proto/names.h"

#include <assert.h>

static json_t *text_of(void (*print)(FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert(f);
    print(f);
    fclose(f);
    json_t *s = json_stringn(text, n);
    free(text);
    assert(s);
    return s;
}

json_t *emit_all(void)
{
    static const struct {
        const char *path;
        void (*print)(FILE *);
    } files[] = {
        { "docs/reference/entities.md", emit_md_entities },
        { "docs/reference/errors.md",   emit_md_errors   },
        { "docs/reference/events.md",   emit_md_events   },
        { "docs/reference/scopes.md",   emit_md_scopes   },
        { "docs/reference/topics.md",   emit_md_topics   },
        { "docs/reference/commands.md", emit_md_commands },
        { "docs/reference/metrics.md",  emit_md_metrics  },
        { "docs/api/types.d.ts",        emit_ts          },
        { "docs/api/v2.xsd",            emit_xsd         },
    };
    json_t *texts = json_object(), *names = json_array();
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        json_object_set_new(texts, files[i].path, text_of(files[i].print));
    for (const struct setting_def *s = settings; s->name; s++)
        json_array_append_new(
            names, json_pack("{s:s,s:s,s:s}", "name", s->name, "who", s->who, "doc", s->doc));
    json_t *groups = json_array();
    for (const struct tag_def *t = tags; t->name; t++)
        json_array_append_new(groups,
                              json_pack("{s:s,s:s}", "name", t->name, "description", t->doc));
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "schemas", emit_schemas(), "webhooks",
                     emit_webhooks(), "security", emit_security(), "files", texts, "settings",
                     names, "tags", groups);
}
