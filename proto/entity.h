#ifndef PROTO_ENTITY_H
#define PROTO_ENTITY_H
/*
 * What the platform stores and shows.  REST routes and their SQL, the query parser, the body
 * decoder, OpenAPI, webhook payloads and docs are all read off these tables; entity_check() (unit
 * test) says what a row must satisfy.  Adding one: docs/howto/add-entity.md.
 *
 * Seven content entities (entities.def) have the whole treatment.  Other resources that programs
 * keep (API keys, webhook endpoints, deliveries: resources.def) are described the same way, so that
 * listing, filtering, decoding and documenting them is the same code.
 */
#include "common/base/base.h"

enum field_type {
    F_ID,   /* bigint, positive, < 2^53 */
    F_UUID, /* UUIDv7 text */
    F_TEXT,
    F_INT, /* bigint within min..max */
    F_BOOL,
    F_TIME,  /* timestamptz, RFC 3339 UTC with microseconds */
    F_JSON,  /* jsonb object, max bytes */
    F_ENUM,  /* text with a check constraint */
    F_TEXTS, /* text[], items_max items of max characters */
    F_REF,   /* column <name>_id; on the wire {"id":7}; accepts 7 or {"id":7} */
    F_REFS,  /* many-to-many through relation `name`; on the wire [{"id":7}] ; no column */
};

enum field_flag {
    FF_REQUIRED = 1 << 0, /* must be given on create and PUT, never null */
    FF_READONLY = 1 << 1, /* set by the platform; refused in bodies */
    FF_SECRET = 1 << 2,   /* shown once at creation, stored sealed or hashed */
    FF_FILTER = 1 << 3,
    FF_SORT = 1 << 4,
    FF_UNIQUE = 1 << 5,  /* among rows not deleted */
    FF_PRIVATE = 1 << 6, /* shown to the row's owner and to api:admin only */
    FF_ADMIN = 1 << 7,   /* written with api:admin only */
    FF_CREATE = 1 << 8,  /* may be given on create, not changed later */
    FF_NONNULL = 1 << 9, /* never null, but has a default */
    FF_HIDDEN = 1 << 10, /* a column that is not on the wire */
};

enum text_format {
    FMT_NONE,
    FMT_EMAIL,
    FMT_URL /* http, https */,
    FMT_SLUG,
    FMT_USERNAME,
    FMT_LANGUAGE /* BCP 47 */,
    FMT_COUNTRY /* ISO 3166-1 alpha-2 */,
    FMT_CURRENCY /* ISO 4217 */,
    FMT_TIMEZONE /* IANA */,
    FMT_PHONE /* E.164 with spaces */,
    FMT_MIME,
    FMT_SHA256 /* lower-case hex */,
    FMT_FILENAME /* a line without slashes */,
    FMT_LINE /* no line breaks */,
    FMT_LONG /* free text, line breaks allowed */,
    FMT_LIST /* F_JSON: an array instead of an object */,
};

struct field_def {
    const char *name; /* wire name, snake_case, equal to the column (F_REF: column is name_id) */
    enum field_type type;
    unsigned flags;
    enum text_format format;
    int64_t min, max;           /* F_INT: value; F_TEXT/F_TEXTS: characters; F_JSON: bytes */
    unsigned items_max;         /* F_TEXTS, F_REFS */
    const char *const *choices; /* F_ENUM, NULL-ended */
    const char *ref;            /* F_REF, F_REFS: the other entity's name */
    const char *fallback;       /* JSON text of the default; NULL: null */
    const char *example;        /* JSON text */
    const char *doc;            /* never empty */
};

enum relation_kind {
    REL_REVERSE, /* rows of `ref` whose F_REF `via` points here */
    REL_MANY,    /* through link table `link` (near, far, position) */
};
struct relation_def {
    const char *name; /* include= and filter name: "posts", "speakers" */
    enum relation_kind kind;
    const char *ref;               /* the other entity's name */
    const char *via;               /* REL_REVERSE: the other's field */
    const char *link, *near, *far; /* REL_MANY: table and its two columns */
    const char *doc;
};

enum lifecycle {
    LIFE_NONE,
    LIFE_PUBLISH, /* status draft scheduled published archived + published_at; emits .published … */
    LIFE_ACTIVE, /* status active/inactive or active/suspended */
};
enum visibility {
    VIS_PUBLISHED, /* anonymous and members: published and published_at <= now; author: own too;
                      editor: all */
    VIS_ACTIVE,    /* anonymous and members: active; author: active and own; editor: all */
    VIS_USERS,     /* rulings.md 13 */
    VIS_MEDIA,     /* visible if a visible row references it, to its owner, to editors */
    VIS_OWNER,     /* the owner and api:admin only */
};

struct entity_def {
    const char *name, *plural; /* "post", "posts" */
    const char *table;         /* in the owning program's schema */
    const char *service;       /* the owning program */
    const char *path;          /* "/api/v2/posts" */
    const char *scope_read, *scope_write;
    const char *jsonld_type;
    const char *doc;
    const struct field_def *fields;       /* ends at .name NULL; id first */
    const struct relation_def *relations; /* ends at .name NULL; or NULL */
    enum lifecycle lifecycle;
    enum visibility visibility;
    const char *owner; /* the F_REF (or F_ID "id" for users) that says whose row it is, or NULL */
    const char *slug_from; /* the field a missing slug is made of, or NULL */
    const char *title;     /* the field a person knows a row by */
    const char *sort;      /* default: "-published_at" */
    bool soft_delete;      /* has deleted_at; restorable */
    bool unversioned;      /* some fields change without the version: the ETag is of the bytes */
    bool events;           /* emits <name>.created … */
};

/* entity_post, entity_api_key … */
#define ENTITY(sym, life) extern const struct entity_def entity_##sym;
#include "proto/entities.def"
#undef ENTITY
#define RESOURCE(sym) extern const struct entity_def entity_##sym;
#include "proto/resources.def"
#undef RESOURCE

extern const struct entity_def *const entities[];       /* the seven, NULL-ended */
extern const struct entity_def *const resources[];      /* the others, NULL-ended */
const struct entity_def *entity_find(const char *name); /* by name or plural, both lists */
const struct field_def *entity_field(const struct entity_def *e, const char *name);
const struct relation_def *entity_relation(const struct entity_def *e, const char *name);
size_t entity_nfields(const struct entity_def *e);

/* What is wrong with the tables, a line each into `out`; the number of lines.  The unit test wants
 * none. */
size_t entity_check(const struct entity_def *e, FILE *out);

/* A body that is not a stored row: request or response of an action. */
struct shape {
    const char *name; /* schema name in OpenAPI: "ApiKeyCreated" */
    const char *doc;
    const struct field_def *fields;   /* ends at .name NULL */
    const struct entity_def *extends; /* the fields come on top of this one's, or NULL */
    bool partial;                     /* an answer of which fields= may leave out any */
};
#endif
