#include "common/kit/crud_export.h"
#include "common/kit/crud_int.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/repr.h"
#include "common/kit/svc.h"

#include <assert.h>

const struct param_def crud_export_params[] = {
    { "fields", "string", 0, query_value_bytes_max, "As of the list." },
    { "include", "string", 0, query_value_bytes_max, "As of the list; not for CSV." },
    { "sort", "string", 0, query_value_bytes_max, "As of the list." },
    { "filter[]", "string", 0, query_value_bytes_max, "As of the list." },
    { "updated_since", "string", 0, 40, "As of the list." },
    { 0 },
};

/* What a form puts around the rows of a part. */
struct form {
    const char *type, *content_type, *file;
    const char *between, *tail; /* two pages; the end of a part */
};
enum { FORM_JSON, FORM_NDJSON, FORM_CSV, FORM_XML, FORMS_MAX_ };
static const struct form forms[FORMS_MAX_] = {
    { "application/json",     "application/json",                        "json",   ",", "]}"             },
    { "application/x-ndjson", "application/x-ndjson",                    "ndjson", "",  ""               },
    { "text/csv",             "text/csv; charset=utf-8; header=present", "csv",    "",  ""               },
    { "application/xml",      "application/xml; charset=utf-8",          "xml",    "",  "</data></list>" },
};

static size_t form_find(const char *type)
{
    size_t i = 0;
    while (i < FORMS_MAX_ && !str_eq(forms[i].type, type))
        i++;
    return i;
}

/* --- accepting --- */

static json_t *args_json(const struct req *req)
{
    json_t *list = json_in(req->arena, json_array());
    for (size_t i = 0; i < req->nargs; i++)
        (void)json_array_append_new(list, json_pack("[ss]", req->args[i].name, req->args[i].value));
    return list;
}

int crud_export(struct req *req, struct res *res, struct err *err)
{
    static const char *const types[] = { "application/json", "application/x-ndjson", "text/csv",
                                         "application/xml", NULL };
    const struct crud *c = crud_of(req);
    struct query q;
    const char *type = req_accept(req, types);
    int rc = query_parse(req->arena, c->e, &req->who, QUERY_LIST, req->args, req->nargs, &q, err);
    if (rc < 0)
        return rc;
    if (!type)
        return err_set(err, E_not_acceptable,
                       "An export is application/json, application/x-ndjson, text/csv or "
                       "application/xml.");
    if (q.nincludes && form_find(type) == FORM_CSV)
        return err_at(err, E_invalid_parameter, "include",
                      "The columns of CSV would depend on the rows; leave include out.");
    struct req once = *req;
    once.body = args_json(req);
    res_header(res, "Preference-Applied", "respond-async");
    res->cache_control = "no-store";
    return operation_accept(
        &once, res,
        &(struct operation_new){ .kind = "export",
                                 .entity = c->e->name,
                                 .options = json_in(req->arena, json_pack("{s:s}", "type", type)) },
        err);
}

/* --- working --- */

struct page {
    struct svc *svc;
    struct arena *a;
    const struct crud *c;
    struct operation *op;
    size_t form;
    const char *next;    /* cursor behind it; NULL: it is the last */
    int64_t rows, total; /* total -1: not counted */
    struct buf out;
};

static int read_page(struct page *p, struct res *res, struct err *err)
{
    const json_t *args = p->op->body;
    size_t n = 0, given = json_array_size(args);
    struct query_arg *list = arena_alloc(p->a, (given + 3) * sizeof(*list));
    for (size_t i = 0; i < given; i++) {
        const json_t *pair = json_array_get(args, i);
        list[n++] = (struct query_arg){ json_string_value(json_array_get(pair, 0)),
                                        json_string_value(json_array_get(pair, 1)) };
    }
    list[n++] = (struct query_arg){ "limit", "100" };
    list[n++] = (struct query_arg){ "cursor", p->op->place ? p->op->place : "" };
    list[n++] = (struct query_arg){ "count", p->op->place ? "none" : "exact" };
    const struct route route = {
        .method = GET, .entity = p->c->e, .ctx = p->c, .path = p->c->e->path
    };
    struct req req = { .svc = p->svc,
                       .arena = p->a,
                       .route = &route,
                       .method = GET,
                       .path = p->c->e->path,
                       .raw_query = "",
                       .args = list,
                       .nargs = n,
                       .who = p->op->who,
                       .request_id = p->op->request_id };
    return crud_list(&req, res, err);
}

/* The rows as the form has them, without what stands around them. */
static int put_rows(struct page *p, struct js json, bool first_of_part, struct err *err)
{
    struct js data = js_get(json, "data"), row;
    struct buf *out = &p->out;
    if (p->form == FORM_JSON || p->form == FORM_NDJSON) {
        struct js rest = data;
        if (p->form == FORM_JSON && first_of_part)
            buf_puts(out, "{\"data\":[");
        else if (p->form == FORM_JSON && p->rows)
            buf_puts(out, forms[p->form].between);
        for (int64_t i = 0; js_item(&rest, &row); i++) {
            if (i && p->form == FORM_JSON)
                buf_putc(out, ',');
            buf_put(out, row.s, row.n);
            if (p->form == FORM_NDJSON)
                buf_putc(out, '\n');
        }
        return 0;
    }
    const char *fields = NULL;
    for (size_t i = 0; i < json_array_size(p->op->body); i++) {
        const json_t *pair = json_array_get(p->op->body, i);
        if (str_eq(json_string_value(json_array_get(pair, 0)), "fields"))
            fields = json_string_value(json_array_get(pair, 1));
    }
    struct repr_reader reader = { p->c->e, vis_class_of(p->c->e, &p->op->who) };
    struct repr_source src = { .entity = p->c->e,
                               .base = p->svc->conf->public_url,
                               .fields = fields,
                               .shown = repr_shown,
                               .ctx = &reader,
                               .json = json };
    struct buf whole;
    buf_init(&whole, p->a, json.n + 1024, (size_t)64 * 1024 * 1024);
    int rc = repr_write(p->form == FORM_CSV ? REPR_CSV : REPR_XML, &src, &whole, err);
    if (rc < 0)
        return rc;
    const char *open = strstr(whole.data, p->form == FORM_CSV ? "\r\n" : "<data>");
    if (!open) /* <data/>: no rows at all */
        open = strstr(whole.data, "<data/>");
    assert(open);
    const char *body = p->form == FORM_CSV ? open + 2 : open + strlen("<data>");
    const char *end = whole.data + whole.len;
    if (p->form == FORM_XML) {
        bool none = open[strlen("<data")] == '/';
        body = none ? end : body;
        end = none ? end : strstr(body, "</data><meta>");
        if (first_of_part) {
            buf_put(out, whole.data, (size_t)(open - whole.data));
            buf_puts(out, "<data>");
        }
    } else if (first_of_part) {
        buf_put(out, whole.data, (size_t)(body - whole.data));
    }
    if (end > body)
        buf_put(out, body, (size_t)(end - body));
    return 0;
}

static int make_page(struct page *p, struct err *err)
{
    struct res res = { .arena = p->a };
    struct js row;
    buf_init(&res.body, p->a, 64 * 1024, (size_t)64 * 1024 * 1024);
    int rc = read_page(p, &res, err);
    if (rc < 0)
        return rc;
    struct js json = js_of(res.body.data, res.body.len), meta = js_get(json, "meta");
    struct js rest = js_get(json, "data"), next = js_get(meta, "next_cursor"),
              total = js_get(meta, "total");
    while (js_item(&rest, &row))
        p->rows++;
    p->next = js_kind(next) == JS_STRING ? arena_strndup(p->a, next.s + 1, next.n - 2) : NULL;
    if (js_kind(total) != JS_NUMBER ||
        !str_to_i64(arena_strndup(p->a, total.s, total.n), 0, INT64_MAX, &p->total))
        p->total = -1;
    bool first = !p->op->pages || p->op->part_bytes >= export_part_bytes;
    return put_rows(p, json, first, err);
}

static int export_page(struct page *p, struct err *err)
{
    struct operation *op = p->op;
    int rc = make_page(p, err);
    if (rc >= 0 && (p->out.overflow || op->bytes + (int64_t)p->out.len > EXPORT_BYTES_MAX))
        return err_set(err, E_too_large, "The export is larger than %d MiB; filter it.",
                       (int)(EXPORT_BYTES_MAX >> 20));
    if (rc < 0)
        return rc;
    if (op->pages && op->part_bytes >= export_part_bytes) {
        op->part++;
        op->part_bytes = 0;
    }
    return operation_page(p->svc, p->a, op,
                          &(struct operation_page_new){ .rows = p->rows,
                                                        .total = p->total,
                                                        .place = p->next,
                                                        .body = p->out.data ? p->out.data : "",
                                                        .bytes = (int64_t)p->out.len },
                          err);
}

static const char *result_of(const struct page *p)
{
    const struct operation *op = p->op;
    struct buf b;
    buf_init(&b, p->a, 512, 64 * 1024);
    buf_printf(&b, "{\"media_type\":\"%s\",\"rows\":%lld,\"bytes\":%lld,\"parts\":[",
               forms[p->form].type, (long long)op->done, (long long)op->bytes);
    for (int i = 1; i <= op->part; i++)
        buf_printf(&b, "%s\"%s/api/v2/operations/%s/result?part=%d\"", i > 1 ? "," : "",
                   p->svc->conf->public_url, op->id, i);
    buf_puts(&b, "]}");
    return b.data;
}

int crud_export_work(struct svc *svc, struct arena *a, const struct crud *c, struct operation *op,
                     struct err *err)
{
    struct err why = { 0 };
    int rc = 0;
    size_t form = form_find(json_string_value(json_object_get(op->options, "type")));
    assert(form < FORMS_MAX_);
    struct page p = { .svc = svc, .c = c, .op = op, .form = form };
    for (int i = 0; i < export_slice_pages && rc >= 0; i++) {
        struct arena *page_arena = arena_new();
        p.a = page_arena;
        p.rows = 0;
        buf_init(&p.out, page_arena, 64 * 1024, (size_t)64 * 1024 * 1024);
        rc = op->tries > operation_tries_max
                 ? err_set(&why, E_internal, "given up after %d tries", operation_tries_max)
                 : export_page(&p, &why);
        bool last = rc >= 0 && !p.next;
        op->place = p.next ? arena_strdup(a, p.next) : NULL;
        arena_free(page_arena);
        if (last) {
            p.a = a;
            log_info("operation.run", kv_s("operation", op->id), kv_s("entity", op->entity),
                     kv_i("rows", op->done), kv_s("request_id", op->request_id));
            return operation_end(svc, a, op, 200, result_of(&p), err);
        }
    }
    if (rc == -E_gone) /* cancelled, or another worker has it */
        return 0;
    if (rc < 0)
        return operation_failed(svc, a, op, &why, operation_problem(svc, a, op, &why), err);
    return operation_yield(svc, a, op, err);
}

/* --- the result --- */

static const struct param_def result_params[] = {
    { "part", "integer", 1, 10000, "Number of the part, 1 if not said." },
    { 0 },
};

static int result_get(struct req *req, struct res *res, struct err *err)
{
    const char *arg = req_arg(req, "part"), *type;
    int64_t part = 1, parts;
    if (arg && !str_to_i64(arg, 1, 10000, &part))
        return err_at(err, E_invalid_parameter, "part", "part is a number from 1.");
    int rc = operation_result(req, part, &res->body, &type, &parts, err);
    if (rc < 0)
        return rc;
    const struct form *f = &forms[form_find(type)];
    const char *url =
        arena_printf(req->arena, "%s/api/v2/operations/%s/result?part=", req->svc->conf->public_url,
                     req->params[0]);
    buf_puts(&res->body, f->tail);
    res->content_type = f->content_type;
    res->etag = arena_printf(req->arena, "\"%s.%lld\"", req->params[0], (long long)part);
    res_header(res, "Content-Disposition",
               arena_printf(req->arena, "attachment; filename=\"export-%lld.%s\"", (long long)part,
                            f->file));
    if (part < parts)
        res->link = arena_printf(req->arena, "<%s%lld>; rel=\"next\"", url, (long long)part + 1);
    return 0;
}

static const int result_errors[] = { 404, 0 };
const struct route export_routes[] = {
    { GET, "/api/v2/operations/{id}/result", result_get, .query = result_params, .cost = 10,
     .flags = ROUTE_NO_BODY | ROUTE_ETAG, .produces = "*", .op_id = "get_operation_result",
     .errors = result_errors, .doc = "A part of what an export wrote; Link leads to the next." },
    { .path = NULL },
};
