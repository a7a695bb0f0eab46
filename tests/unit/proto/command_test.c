/* What programs ask one another is described in tables, and their examples keep to them. */
#include "common/base/json.h"
#include "common/kit/shape.h"
#include "proto/command.h"
#include "proto/names.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* proves: I-04 */
static void examples_keep_to_their_shapes(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (const struct command_def *c = commands; c->type; c++) {
        struct shape_row row;
        struct err err;
        json_t *body;
        const struct event_def *e = event_find(c->type);
        assert_true(e && !e->entity && topic_find(e->topic));
        assert_int_equal(json_parse(a, c->example, strlen(c->example), &body, &err), 0);
        shape_read(a, c->shape->fields, SHAPE_CREATE, false, body, &row);
        assert_int_equal(shape_check(&row, &err), 0);
        json_object_set_new(body, "nobody_knows", json_true());
        shape_read(a, c->shape->fields, SHAPE_CREATE, false, body, &row);
        assert_int_equal(shape_check(&row, &err), -E_validation);
    }
    assert_null(command_find("mail.sent"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(examples_keep_to_their_shapes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
