/* What somebody who tries the API finds in a new sandbox (common/kit/sandbox.h). */
#include "common/kit/sandbox.h"

#include "services/api/api.h"

#include "api/sql.h"

/* In this order: later ones refer to earlier ones by their ids, which begin at 1 in each schema. */
static const struct {
    const char *entity, *body;
} rows[] = {
    { "company", "{\"name\":\"Muster GmbH\",\"city\":\"Berlin\",\"country\":\"DE\","
                 "\"industry\":\"Tea\"}"                                               },
    { "expert",  "{\"name\":\"Dr. Max Muster\",\"company\":1,\"specialties\":[\"tea\"],"
                "\"languages\":[\"de\",\"en\"],\"city\":\"Berlin\",\"country\":\"DE\"}" },
    { "post",    "{\"title\":\"Hello, sandbox\",\"content\":\"<p>Everything here is yours.</p>\","
              "\"status\":\"published\",\"tags\":[\"welcome\"]}"                          },
    { "post",    "{\"title\":\"How to brew tea\",\"content\":\"<p>Slowly.</p>\","
              "\"status\":\"published\",\"tags\":[\"tea\"],\"categories\":[\"guides\"]}"  },
    { "post",    "{\"title\":\"Not finished\",\"status\":\"draft\",\"tags\":[\"tea\"]}"                },
    { "page",    "{\"title\":\"About\",\"content\":\"<p>A sandbox.</p>\",\"status\":\"published\"}"    },
    { "event",   "{\"title\":\"Tea tasting\",\"status\":\"published\",\"organizer\":1,"
               "\"starts_at\":\"2030-05-04T16:00:00Z\",\"ends_at\":\"2030-05-04T18:00:00Z\","
               "\"timezone\":\"Europe/Berlin\"}"                                         },
};

static int put(struct svc *svc, struct arena *a, const char *entity, json_t *body, struct err *err)
{
    int64_t id;
    if (!body)
        return err_set(err, E_internal, "a row of a sandbox is no JSON");
    int rc = crud_apply(svc, a, api_crud(entity),
                        &(struct crud_change){ .body = body, .actor = "sandbox" }, &id, err);
    /* It is our own row, not the caller's. */
    return rc == -E_validation ? err_set(err, E_internal, "a %s of a sandbox is not valid", entity)
                               : rc;
}

static int fill(struct svc *svc, struct arena *a, int64_t user_id, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(user_id);
    /* The person has the same id as outside: what they create is theirs. */
    int rc = db_query(svc->db, a, &sql_sandbox_first_user, &v, 1, &r, err);
    if (!rc)
        rc = put(svc, a, "user",
                 json_in(a, json_pack("{s:s,s:s,s:s,s:s}", "username", "you", "email",
                                      "you@example.com", "role", "editor", "display_name", "You")),
                 err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(rows); i++) {
        json_t *body = json_in(a, json_loads(rows[i].body, 0, NULL));
        const struct entity_def *e = entity_find(rows[i].entity);
        if (body && e->lifecycle == LIFE_PUBLISH)
            json_object_set_new(body, "author", json_integer(user_id));
        rc = put(svc, a, rows[i].entity, body, err);
    }
    return rc;
}

struct sandboxes *api_sandboxes_new(const struct svc *svc, const struct api_conf *conf)
{
    return sandboxes_new(svc, &(struct sandbox_conf){ .database_url = conf->sandbox_database_url,
                                                      .boxes_max = conf->sandboxes_max,
                                                      .migrations = svc->def->migrations,
                                                      .fill = fill });
}
