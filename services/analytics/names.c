#include "common/base/json.h"
#include "common/base/siphash.h"
#include "common/base/str.h"
#include "services/analytics/analytics.h"
#include "services/analytics/record.h"

#include <assert.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

/* Routes are as many as the tables of the programs have; consumers as many as there are credentials
 * in use.  Past the limit everything is asked for again. */
enum { remembered_max = 200000, key_text = 320, recent_slots = 256 };

/* The same few routes and consumers are in most records: what was found last, by hash, so that no
 * key is put together for them. */
struct recent_route {
    int32_t id; /* 0: none */
    char program[48], method[16], template[208];
};
struct recent_consumer {
    int32_t id;
    enum consumer_kind kind;
    int64_t number, user;
};

struct names {
    json_t *known, *fresh; /* "r…" and "c…" to numbers; fresh: by the transaction under way */
    struct recent_route routes[recent_slots];
    struct recent_consumer consumers[recent_slots];
};

static const unsigned char recent_key[16] = "names";

struct names *names_new(void)
{
    struct names *n = calloc(1, sizeof *n);
    assert(n);
    n->known = json_object();
    n->fresh = json_object();
    return n;
}

void names_free(struct names *n)
{
    if (!n)
        return;
    json_decref(n->known);
    json_decref(n->fresh);
    free(n);
}

void names_settle(struct names *n, bool committed)
{
    if (committed)
        json_object_update(n->known, n->fresh);
    else if (json_object_size(n->fresh)) { /* what was rolled back has no number */
        memset(n->routes, 0, sizeof n->routes);
        memset(n->consumers, 0, sizeof n->consumers);
    }
    json_object_clear(n->fresh);
    if (json_object_size(n->known) > remembered_max)
        json_object_clear(n->known);
}

static const char *route_key(char out[key_text], const char *program, const char *method,
                             const char *template)
{
    snprintf(out, key_text, "r%s\t%s\t%s", program, method, template);
    return out;
}

static const char *consumer_key(char out[key_text], const char *kind, int64_t number, int64_t user)
{
    snprintf(out, key_text, "c%s\t%lld\t%lld", kind, (long long)number, (long long)user);
    return out;
}

static int32_t find(const struct names *n, const char *key)
{
    const json_t *v = json_object_get(n->known, key);
    if (!v)
        v = json_object_get(n->fresh, key);
    return (int32_t)json_integer_value(v);
}

static void remember(struct recent_route *k, int32_t id, const char *const text[3])
{
    char *const to[3] = { k->program, k->method, k->template };
    const size_t room[3] = { sizeof k->program, sizeof k->method, sizeof k->template };
    size_t n[3];
    for (size_t i = 0; i < 3; i++) {
        n[i] = strlen(text[i]) + 1;
        if (n[i] > room[i])
            return; /* asked for by its key each time */
    }
    for (size_t i = 0; i < 3; i++)
        memcpy(to[i], text[i], n[i]);
    k->id = id;
}

int32_t names_route(struct names *n, const struct batch *b, const struct record *r)
{
    char key[key_text];
    const char *method = r->text[RR_method], *template = r->text[RR_route];
    size_t len = strlen(template);
    size_t at =
        (size_t)(siphash(recent_key, template, len) ^ (unsigned char)*method * 31u) % recent_slots;
    struct recent_route *k = &n->routes[at];
    if (k->id && str_eq(k->template, template) && str_eq(k->method, method) &&
        str_eq(k->program, b->program))
        return k->id;
    int32_t id = find(n, route_key(key, b->program, method, template));
    if (id)
        remember(k, id, (const char *const[3]){ b->program, method, template });
    return id;
}

int32_t names_consumer(struct names *n, const struct record *r)
{
    char key[key_text];
    int64_t number, user = r->number[RR_user];
    enum consumer_kind kind = record_consumer(r, &number);
    const int64_t words[] = { kind, number, user };
    struct recent_consumer *k =
        &n->consumers[siphash(recent_key, words, sizeof words) % recent_slots];
    if (k->id && k->kind == kind && k->number == number && k->user == user)
        return k->id;
    int32_t id = find(n, consumer_key(key, consumer_kinds[kind], number, user));
    if (id)
        *k = (struct recent_consumer){ id, kind, number, user };
    return id;
}

struct wanted {
    struct arena *a;
    json_t *asked; /* each once */
    const char **text[3];
    int64_t *number[2];
    size_t n, max;
};

static bool want(struct wanted *w, const char *key)
{
    if (json_object_get(w->asked, key))
        return false;
    json_object_set_new(w->asked, key, json_true());
    if (w->n < w->max)
        return true;
    size_t max = w->max ? 2 * w->max : 64;
    for (size_t i = 0; i < 3; i++) {
        const char **more = arena_raw(w->a, max * sizeof *more);
        if (w->n)
            memcpy(more, w->text[i], w->n * sizeof *more);
        w->text[i] = more;
    }
    for (size_t i = 0; i < 2; i++) {
        int64_t *more = arena_raw(w->a, max * sizeof *more);
        if (w->n)
            memcpy(more, w->number[i], w->n * sizeof *more);
        w->number[i] = more;
    }
    w->max = max;
    return true;
}

static int learn_routes(struct names *n, struct wanted *w, struct db_tx *tx, struct err *err)
{
    const struct db_val v[] = { db_texts(w->text[0], w->n), db_texts(w->text[1], w->n),
                                db_texts(w->text[2], w->n) };
    struct db_rows *r;
    char key[key_text];
    int rc = w->n ? db_exec(tx, w->a, &sql_routes_find, v, ARRAY_LEN(v), &r, err) : 0;
    for (size_t i = 0; !rc && w->n && i < db_nrows(r); i++)
        json_object_set_new(n->fresh,
                            route_key(key, db_str(r, i, 1), db_str(r, i, 2), db_str(r, i, 3)),
                            json_integer(db_get_i64(r, i, 0)));
    return rc;
}

static int learn_consumers(struct names *n, struct wanted *w, struct db_tx *tx, struct err *err)
{
    const struct db_val v[] = { db_texts(w->text[0], w->n), db_i64s(w->number[0], w->n),
                                db_i64s(w->number[1], w->n) };
    struct db_rows *r;
    char key[key_text];
    int rc = w->n ? db_exec(tx, w->a, &sql_consumers_find, v, ARRAY_LEN(v), &r, err) : 0;
    for (size_t i = 0; !rc && w->n && i < db_nrows(r); i++)
        json_object_set_new(
            n->fresh, consumer_key(key, db_str(r, i, 1), db_get_i64(r, i, 2), db_get_i64(r, i, 3)),
            json_integer(db_get_i64(r, i, 0)));
    return rc;
}

int names_learn(struct names *n, struct arena *a, struct db_tx *tx, const struct batch *b,
                size_t nb, struct err *err)
{
    struct wanted routes = { .a = a, .asked = json_in(a, json_object()) },
                  consumers = { .a = a, .asked = json_in(a, json_object()) };
    char key[key_text];
    for (size_t i = 0; i < nb; i++) {
        for (size_t k = 0; k < b[i].n; k++) {
            const struct record *r = &b[i].rows[k];
            int64_t number, user = r->number[RR_user];
            const char *kind = consumer_kinds[record_consumer(r, &number)];
            if (!names_route(n, &b[i], r) &&
                want(&routes,
                     route_key(key, b[i].program, r->text[RR_method], r->text[RR_route]))) {
                routes.text[0][routes.n] = b[i].program;
                routes.text[1][routes.n] = r->text[RR_method];
                routes.text[2][routes.n++] = r->text[RR_route];
            }
            if (!names_consumer(n, r) && want(&consumers, consumer_key(key, kind, number, user))) {
                consumers.text[0][consumers.n] = kind;
                consumers.number[0][consumers.n] = number;
                consumers.number[1][consumers.n++] = user;
            }
        }
    }
    /* A concurrent insert of the same name that our snapshot does not see yet is found by asking
     * again: the statement waited for it. */
    int rc = learn_routes(n, &routes, tx, err);
    return rc ? rc : learn_consumers(n, &consumers, tx, err);
}
