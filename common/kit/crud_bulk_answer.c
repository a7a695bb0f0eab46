/* What a bulk answers. */
#include "common/kit/crud_bulk_int.h"

#include "common/base/str.h"
#include "common/kit/svc.h"

/* Where in the body the fault of a field is: pointers of a row begin at its data. */
static const char *in_data(struct bulk *b, const struct bulk_item *it, const char *pointer)
{
    return arena_printf(b->req->arena, "%s%s", it->data_at, pointer);
}

/* Where the operation is at fault, or the field that its error names. */
static const char *place(struct bulk *b, const struct bulk_item *it)
{
    const char *pointer = it->err.pointer;
    if (*pointer != '/')
        return it->at;
    return it->bad ? arena_printf(b->req->arena, "%s%s", it->at, pointer) : in_data(b, it, pointer);
}

static void put_pair(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, name);
    buf_put_json_string(b, value, strlen(value));
}

static void put_error(struct buf *out, const char *pointer, const char *code, const char *detail)
{
    put_pair(out, "{\"pointer\":", pointer);
    put_pair(out, ",\"code\":", code);
    put_pair(out, ",\"detail\":", detail);
    buf_putc(out, '}');
}

/* The faults of an operation's fields, by their place in the body; NULL: it has none. */
static const struct err_list *placed(struct bulk *b, const struct bulk_item *it)
{
    const struct err_list *l = it->err.code == E_validation ? it->faults : NULL;
    if (!l || !l->n)
        return NULL;
    struct err_list *all = arena_alloc(b->req->arena, sizeof(*all));
    all->arena = b->req->arena;
    for (size_t i = 0; i < l->n; i++)
        err_list_add(all, in_data(b, it, l->items[i].pointer), l->items[i].code, "%s",
                     l->items[i].msg);
    return all;
}

static void put_problem(const struct bulk *b, struct buf *out, const struct err *e,
                        const struct err_list *l, const char *pointer)
{
    /* What went wrong on our side is told in general only, as in other answers. */
    const char *detail = err_http(e->code) < 500 && e->msg[0] ? e->msg : err_title(e->code);
    buf_printf(out, "{\"type\":\"%s/problems/%s\"", b->req->svc->conf->public_url,
               err_name(e->code));
    put_pair(out, ",\"title\":", err_title(e->code));
    buf_printf(out, ",\"status\":%d", err_http(e->code));
    put_pair(out, ",\"detail\":", detail);
    buf_puts(out, ",\"errors\":[");
    for (size_t i = 0; l && i < l->n; i++) {
        if (i)
            buf_putc(out, ',');
        put_error(out, l->items[i].pointer, l->items[i].code, l->items[i].msg);
    }
    if (!l && pointer)
        put_error(out, pointer, err_name(e->code), detail);
    buf_puts(out, "]}");
}

const char *bulk_problem(struct bulk *b, const struct err *err)
{
    struct buf out;
    const struct err_list *l = err->code == E_validation ? b->res->faults : NULL;
    buf_init(&out, b->req->arena, 1024, bulk_answer_bytes_max);
    put_problem(b, &out, err, l && l->n ? l : NULL, err->pointer[0] ? err->pointer : NULL);
    return out.data;
}

static void put_item(struct bulk *b, size_t i)
{
    struct buf *out = &b->res->body;
    const struct bulk_item *it = &b->items[i];
    buf_printf(out, "%s{\"index\":%zu,\"status\":%d", i ? "," : "", i, it->status);
    /* The number of a row that a dry run made is nobody's. */
    bool made = it->status == 201 && b->dry_run;
    if (it->err.code == E_OK && it->row && !made)
        buf_printf(out, ",\"id\":%lld", (long long)it->row);
    else if (it->id)
        buf_printf(out, ",\"id\":%s", it->id);
    if (it->etag)
        put_pair(out, ",\"etag\":", it->etag);
    if (it->err.code != E_OK) {
        buf_puts(out, ",\"problem\":");
        put_problem(b, out, &it->err, placed(b, it), place(b, it));
    } else if (it->body_n > 2) { /* {"data":{…}} without its braces */
        buf_putc(out, ',');
        buf_put(out, it->body + 1, it->body_n - 2);
    }
    buf_putc(out, '}');
}

void bulk_answer(struct bulk *b)
{
    struct buf *out = &b->res->body;
    size_t failed = 0;
    buf_reset(out);
    buf_puts(out, "{\"data\":[");
    for (size_t i = 0; i < b->n; i++) {
        put_item(b, i);
        failed += b->items[i].err.code != E_OK;
    }
    buf_printf(out, "],\"meta\":{\"succeeded\":%zu,\"failed\":%zu%s}}", b->n - failed, failed,
               b->dry_run ? ",\"dry_run\":true" : "");
    b->res->status = failed ? 207 : 200;
}

int bulk_refuse(struct bulk *b, const struct bulk_item *it, struct err *err)
{
    const struct err *e = &it->err;
    unsigned wait = e->retry_after_s;
    size_t index = (size_t)(it - b->items);
    char detail[sizeof(e->detail)];
    memcpy(detail, e->detail, sizeof(detail));
    b->res->faults = placed(b, it);
    b->res->etag = e->code == E_precondition_failed ? it->etag : NULL;
    err_at(err, e->code, place(b, it), "Operation %zu: %s", index,
           e->msg[0] ? e->msg : err_title(e->code));
    err->retry_after_s = wait;
    if (*detail)
        (void)!err_detail(err, "%s", detail);
    return -(int)err->code;
}
