/* Any body against any entity table: a fault, or a value of the right type for every field. */
#include "common/base/json.h"
#include "common/kit/shape.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct shape_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct db_val *v = &row->val[i];
        switch (row->fields[i].type) {
        case F_ID:
        case F_INT:
        case F_REF:
            assert(v->type == DBV_NULL || v->type == DBV_I64);
            break;
        case F_TEXTS:
            assert(v->type == DBV_NULL || v->type == DBV_TEXTS);
            break;
        case F_REFS:
            assert(v->type == DBV_NULL || v->type == DBV_I64S);
            break;
        case F_BOOL:
            assert(v->type == DBV_NULL || v->type == DBV_BOOL);
            break;
        default:
            assert(v->type == DBV_NULL || v->type == DBV_TEXT);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct arena *a = arena_new();
    struct err err;
    json_t *body;
    if (json_parse(a, (const char *)data + 2, size - 2, &body, &err) == 0) {
        struct shape_row row;
        shape_read(a, entities[data[0] % 7]->fields, (enum shape_mode)(data[1] % 3), data[1] & 4,
                   body, &row);
        if (shape_check(&row, &err) == 0)
            check(&row);
        else
            assert(row.faults->n && row.faults->items[0].pointer);
    }
    arena_free(a);
    return 0;
}
