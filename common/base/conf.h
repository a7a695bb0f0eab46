#ifndef BASE_CONF_H
#define BASE_CONF_H
/*
 * Settings: environment only, one table a program, read once at the start.  `NAME_FILE` may name a
 * file with the value instead (trailing newline dropped).  An unknown CMS365_ name or a bad value
 * stops the start with one sentence that names it; names that another program or a tool knows are
 * ignored (proto/settings.def lists all names).  Values are strings, int64_t or bool at `offset` of
 * the program's conf struct.  --help and docs/reference/config.md are printed from these tables.
 */
#include "common/base/arena.h"
#include "common/base/err.h"

enum conf_type { CONF_TEXT, CONF_INT, CONF_BOOL };

struct conf_def {
    const char *name; /* CMS365_… */
    enum conf_type type;
    const char *fallback; /* as text; NULL: required */
    int64_t min, max;     /* CONF_INT: value; CONF_TEXT: max = bytes at most (0: 4096) */
    size_t offset;        /* const char *, int64_t or bool in the conf struct */
    bool secret;          /* NAME_FILE allowed, never printed */
    const char *doc;
};

/* Fills *conf from the tables (each ends at .name NULL; `tables` ends at NULL).  `known`
 * (NULL-ended) are CMS365_ names that are somebody else's.  `environ_` is the environment to read.
 */
int conf_load(struct arena *a, const struct conf_def *const *tables, const char *const *known,
              char *const *environ_, void *conf, struct err *err) MUST_CHECK;
void conf_help(FILE *out, const struct conf_def *const *tables);     /* for --help */
void conf_markdown(FILE *out, const struct conf_def *const *tables); /* rows of config.md */
#endif
