#include "services/auth/tries.h"

#include "common/io/crypto.h"

#include "auth/sql.h"

#include <ctype.h>

static const struct {
    const char *prefix;
    int64_t free; /* tries before the first lock */
    bool hashed;  /* what was typed is not kept: it may be a password in the wrong place */
} kinds[TRY_KINDS] = {
    [TRY_NAME] = { "name",    5,  true  },
      [TRY_NETWORK] = { "network", 30, false },
    [TRY_USER] = { "user",    5,  false },
      [TRY_CLIENT] = { "client",  10, true  },
    [TRY_MAIL] = { "mail",    3,  true  },
};

static struct db_val key_of(struct arena *a, enum try_kind kind, const char *who)
{
    char hash[sha256_hex_len + 1];
    if (kinds[kind].hashed) {
        char *lower = arena_strdup(a, who);
        for (char *p = lower; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        sha256_hex(lower, strlen(lower), hash);
        who = hash;
    }
    return db_text(arena_printf(a, "%s:%s", kinds[kind].prefix, who));
}

bool tries_first_lock(enum try_kind kind, int64_t n)
{
    return n == kinds[kind].free;
}

int tries_take(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
               int64_t *ret_n, int64_t *ret_wait_s, struct err *err)
{
    struct db_rows *r;
    int64_t most = auth_conf_of(svc)->login_lock_max_s;
    const struct db_val v[] = { key_of(a, kind, who), db_i64(kinds[kind].free), db_i64(most),
                                db_i64(most * tries_memory) };
    *ret_n = *ret_wait_s = 0;
    int rc = db_query(svc->db, a, &sql_tries_take, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (db_nrows(r)) {
        *ret_n = db_get_i64(r, 0, 0);
        return 0;
    }
    rc = tries_locked(svc, a, kind, who, ret_wait_s, err);
    if (!rc && !*ret_wait_s) /* it was over in between: the next try is counted */
        *ret_wait_s = 1;
    return rc;
}

int tries_locked(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
                 int64_t *ret_wait_s, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = key_of(a, kind, who);
    int rc = db_query(svc->db, a, &sql_tries_wait, &v, 1, &r, err);
    *ret_wait_s = !rc && db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
    return rc;
}

int tries_forgive(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
                  struct err *err)
{
    struct db_rows *r;
    const struct db_val v = key_of(a, kind, who);
    return db_query(svc->db, a, kind == TRY_NETWORK ? &sql_tries_give_back : &sql_tries_clear, &v,
                    1, &r, err);
}

int tries_refuse(int64_t wait_s, struct err *err)
{
    err_set(err, E_rate_limited, "There were too many tries; wait before the next one.");
    err->retry_after_s = (unsigned)wait_s;
    return -E_rate_limited;
}
