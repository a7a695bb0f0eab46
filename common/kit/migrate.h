#ifndef KIT_MIGRATE_H
#define KIT_MIGRATE_H
/*
 * Forward-only migrations: services/<name>/migrations/NNNN_<what>.sql, compiled in by
 * scripts/sql2h.awk as migrations.h.  One transaction each, SHA-256 recorded in schema_migrations,
 * an advisory lock while running; a recorded migration whose text changed is refused.
 */
#include "common/base/err.h"

struct db_session;
struct migration {
    int version; /* 0 ends the table */
    const char *name, *sql;
};
/* Adds `more` to the text of the migration with this name: tables that the kit keeps in every
 * program.  The migration must be there. */
struct arena;
void migrate_append(struct arena *a, struct migration *m, const char *name, const char *more);
int migrate_run(struct db_session *s, const struct migration *m, int *ret_applied,
                struct err *err) MUST_CHECK;
int migrate_check(struct db_session *s, const struct migration *m,
                  struct err *err) MUST_CHECK; /* all there? */
#endif
