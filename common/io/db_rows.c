#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/io/db_internal.h"

#include <arpa/inet.h>
#include <assert.h>

/* --- parameters ------------------------------------------------------------------------ */

enum { i64_text_bytes = 21, array_bytes_max = 64 * 1024 * 1024 };

static const char *i64_text(struct arena *a, int64_t v)
{
    /* snprintf costs more than the rest of a fast read's preparation. */
    char tmp[i64_text_bytes], *p = tmp + sizeof(tmp);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    *--p = '\0';
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    size_t n = (size_t)(tmp + sizeof(tmp) - p);
    char *out = arena_raw(a, n);
    memcpy(out, p, n);
    return out;
}

static void put_element(struct buf *b, const char *s)
{
    if (!s) {
        buf_puts(b, "NULL");
        return;
    }
    buf_putc(b, '"');
    for (size_t n; *s; s += n) {
        n = strcspn(s, "\"\\");
        buf_put(b, s, n);
        if (s[n]) {
            buf_putc(b, '\\');
            buf_putc(b, s[n++]);
        }
    }
    buf_putc(b, '"');
}

static const char *array_text(struct arena *a, const struct db_val *v)
{
    struct buf b;
    buf_init(&b, a, 16 + v->n * 16, array_bytes_max);
    buf_putc(&b, '{');
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            buf_putc(&b, ',');
        if (v->type == DBV_I64S)
            buf_put_i64(&b, ((const int64_t *)v->list)[i]);
        else
            put_element(&b, ((const char *const *)v->list)[i]);
    }
    buf_putc(&b, '}');
    assert(!b.overflow);
    return b.data;
}

static const char *value_text(struct arena *a, const struct db_val *v)
{
    switch (v->type) {
    case DBV_NULL:
    case DBV_COLUMN:
        break;
    case DBV_I64:
        return i64_text(a, v->i64);
    case DBV_BOOL:
        return v->i64 ? "t" : "f";
    case DBV_TEXT:
        return v->text;
    case DBV_TEXTS:
    case DBV_I64S:
        return array_text(a, v);
    }
    return NULL;
}

static char *put_u32(char *at, uint32_t v)
{
    v = htonl(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

/* The binary form of a text[]: dimensions, has nulls, element type; length, lower bound; and of
 * each element its length (-1: null) and its bytes. */
static const char *column_binary(struct arena *a, const struct db_val *v, int *ret_len)
{
    enum { text_oid = 25, header_bytes = 5 * 4, null_length = -1 };
    const struct db_val *const *rows = v->list;
    const char **text = arena_raw(a, (v->n + 1) * sizeof(*text));
    size_t *len = arena_raw(a, (v->n + 1) * sizeof(*len)), bytes = header_bytes;
    for (size_t i = 0; i < v->n; i++) {
        text[i] = value_text(a, &rows[i][v->i64]);
        len[i] = text[i] ? strlen(text[i]) : 0;
        bytes += 4 + len[i];
    }
    assert(bytes < array_bytes_max);
    char *out = arena_raw(a, bytes), *at = out;
    at = put_u32(at, v->n > 0);
    at = put_u32(at, 1);
    at = put_u32(at, text_oid);
    at = put_u32(at, (uint32_t)v->n);
    at = put_u32(at, 1);
    for (size_t i = 0; i < v->n; i++) {
        at = put_u32(at, text[i] ? (uint32_t)len[i] : (uint32_t)null_length);
        if (text[i])
            memcpy(at, text[i], len[i]);
        at += len[i];
    }
    *ret_len = v->n > 0 ? (int)bytes : 3 * 4; /* an empty one has no dimension */
    return out;
}

void db_params_make(struct arena *a, const struct db_val *v, size_t n, struct db_params *ret)
{
    assert(n <= UINT16_MAX);
    const char **out = n > 0 ? arena_raw(a, n * sizeof(*out)) : NULL;
    int *len = NULL, *format = NULL;
    for (size_t i = 0; i < n; i++) {
        if (v[i].type != DBV_COLUMN) {
            out[i] = value_text(a, &v[i]);
            continue;
        }
        if (!len) {
            len = arena_alloc(a, 2 * n * sizeof(*len));
            format = len + n;
        }
        format[i] = 1;
        out[i] = column_binary(a, &v[i], &len[i]);
    }
    *ret = (struct db_params){ .n = (int)n, .v = out, .len = len, .format = format };
}

/* --- results --------------------------------------------------------------------------- */

static void clear_result(void *res)
{
    PQclear(res);
}

struct db_rows *db_rows_make(struct arena *a, PGresult *res)
{
    struct db_rows *r = arena_alloc(a, sizeof(*r));
    int64_t affected;
    arena_defer(a, clear_result, res);
    r->nrows = r->cap = (size_t)PQntuples(res);
    r->ncols = (size_t)PQnfields(res);
    r->affected = str_to_i64(PQcmdTuples(res), 0, INT64_MAX, &affected) ? (size_t)affected : 0;
    struct db_cell *cell = arena_raw(a, r->nrows * r->ncols * sizeof(*cell));
    r->rows = arena_raw(a, r->nrows * sizeof(*r->rows));
    for (size_t row = 0; row < r->nrows; row++) {
        r->rows[row] = cell;
        for (size_t col = 0; col < r->ncols; col++, cell++) {
            int i = (int)row, k = (int)col;
            *cell = (struct db_cell){ .text = PQgetvalue(res, i, k),
                                      .len = PQgetisnull(res, i, k) ? -1 : PQgetlength(res, i, k) };
            r->bytes += cell->len < 0 ? 0 : (size_t)cell->len;
        }
    }
    return r;
}

int64_t db_get_i64(const struct db_rows *r, size_t row, size_t col)
{
    int64_t v;
    return str_to_i64(db_cell(r, row, col, NULL), INT64_MIN, INT64_MAX, &v) ? v : 0;
}

bool db_get_bool(const struct db_rows *r, size_t row, size_t col)
{
    return db_cell(r, row, col, NULL)[0] == 't';
}

/* Reads one element of an array's text and moves *s past it and a following comma. */
static const char *take_element(struct arena *a, const char **s)
{
    const char *p = *s;
    char *out, *o;
    if (*p != '"') {
        size_t n = strcspn(p, ",}");
        *s = p + n + (p[n] == ',');
        return n == 4 && memcmp(p, "NULL", 4) == 0 ? NULL : arena_strndup(a, p, n);
    }
    const char *end = p + 1;
    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    o = out = arena_raw(a, (size_t)(end - p));
    for (p++; p < end; p++) {
        if (*p == '\\')
            p++;
        *o++ = *p;
    }
    *o = '\0';
    end += *end == '"';
    *s = end + (*end == ',');
    return out;
}

size_t db_get_texts(struct arena *a, const struct db_rows *r, size_t row, size_t col,
                    const char ***ret)
{
    const char *s =
        strchr(db_cell(r, row, col, NULL), '{'); /* "[0:1]={a,b}" has bounds before it */
    size_t most = 0, n = 0;
    *ret = NULL;
    if (!s || s[1] == '}')
        return 0;
    for (const char *p = s; *p; p++)
        most += *p == ',';
    const char **out = arena_alloc(a, (most + 1) * sizeof(*out));
    for (s++; *s && *s != '}'; n++)
        out[n] = take_element(a, &s);
    *ret = out;
    return n;
}

/* --- what an SQLSTATE means ------------------------------------------------------------ */

static bool state_is(const char *state, const char *const *list)
{
    for (; *list; list++)
        if (str_starts(state, *list))
            return true;
    return false;
}

bool db_state_is_loss(const char *state)
{
    /* Connection exceptions; the server shuts down or is not up yet; a primary became a replica. */
    static const char *const loss[] = { "08", "57P", "25006", "25P03", NULL };
    return state_is(state, loss);
}

bool db_state_is_stale(const char *state)
{
    /* "cached plan must not change result type" after a migration; a name the server forgot. */
    static const char *const stale[] = { "0A000", "26000", NULL };
    return state_is(state, stale);
}

bool db_state_is_rerun(const char *state)
{
    static const char *const rerun[] = { "40001", "40P01", NULL };
    return state_is(state, rerun);
}

static int map_state(const char *state, struct err *err)
{
    static const char *const busy[] = { "40001", "40P01", "53", NULL };
    static const char *const late[] = { "57014", "55P03", NULL };
    static const char *const taken[] = { "23505", "23P01", NULL };
    static const char *const wrong[] = { "23502", "23503", "23514", NULL };
    if (state_is(state, taken))
        return err_set(err, E_conflict, "A value that must be unique is taken.");
    if (state_is(state, wrong))
        return err_set(err, E_validation, "A value is missing, out of range or refers to nothing.");
    int rc;
    if (state_is(state, late))
        rc = err_set(err, E_timeout, "The database took too long.");
    else if (*state == '\0' || db_state_is_loss(state) || state_is(state, busy))
        rc = err_set(err, E_unavailable, "The database is not available.");
    else
        return err_set(err, E_internal, "The database refused the operation.");
    err->retry_after_s = 1;
    return rc;
}

int db_refused(const struct db_refusal *r, const char *stmt, struct err *err)
{
    int rc = map_state(r->state, err);
    if (rc == -E_conflict || rc == -E_validation)
        snprintf(err->pointer, sizeof(err->pointer), "%s", r->at);
    err_detail(err, "%s: %.*s (%s)", *r->state ? r->state : "connection",
               (int)strcspn(r->text, "\n"), r->text, stmt ? stmt : "-");
    return rc;
}

static const char *field_of(const PGresult *res, int field)
{
    const char *s = res ? PQresultErrorField(res, field) : NULL;
    return s ? s : "";
}

int db_error(PGconn *pg, const PGresult *res, const char *stmt, char sqlstate[db_sqlstate_len + 1],
             struct err *err)
{
    struct db_refusal r = { .state = field_of(res, PG_DIAG_SQLSTATE),
                            .text = field_of(res, PG_DIAG_MESSAGE_PRIMARY),
                            .at = field_of(res, PG_DIAG_CONSTRAINT_NAME) };
    if (!*r.at)
        r.at = field_of(res, PG_DIAG_COLUMN_NAME);
    if (!*r.text && pg)
        r.text = PQerrorMessage(pg);
    snprintf(sqlstate, db_sqlstate_len + 1, "%s", r.state);
    return db_refused(&r, stmt, err);
}
