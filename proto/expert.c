#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("expert"),
    FIELD_LINE("name", FF_REQUIRED | FF_FIND, "Dr. Erika Muster", "Full name."),
    FIELD_SLUG("expert", "name"),
    FIELD_LINE("title", FF_FILTER, "Tax adviser", "Profession or position."),
    FIELD_EMAIL(0, "Address to reach the expert."),
    FIELD_PHONE,
    FIELD_LONG("bio", description_max, "Twenty years of practice.", "About the expert."),
    FIELD_TEXTS("specialties", "[\"tax law\"]", "What the expert knows best."),
    FIELD_TEXTS("languages", "[\"de\",\"en\"]", "Languages the expert works in."),
    FIELD_REF("company", "company", "Where the expert works."),
    FIELD_REF("user", "user", "The expert's account."),
    FIELD_REF("photo", "media", "Picture of the expert."),
    FIELD_LINE("city", FF_FIND, "Berlin", "Town."),
    FIELD_COUNTRY,
    FIELD_URL("website", "The expert's own site."),
    FIELD_URL("linkedin_url", "Profile at LinkedIn."),
    FIELD_MONEY("hourly_rate_minor", "Price of an hour in the currency's minor unit."),
    FIELD_STATUS_ACTIVE("expert"),
    FIELDS_COMMON,
};
static const struct relation_def relations[] = {
    { .name = "events", .kind = REL_MANY, .ref = "event", .link = "event_speakers",
      .near = "expert_id", .far = "event_id", .doc = "Events where the expert speaks." },
    { 0 },
};
/* clang-format on */
const struct entity_def entity_expert = {
    .name = "expert",
    .plural = "experts",
    .table = "experts",
    .service = "api",
    .path = "/api/v2/experts",
    .scope_read = "experts:read",
    .scope_write = "experts:write",
    .jsonld_type = "Person",
    .doc = "A person of the expert directory.",
    .fields = fields,
    .relations = relations,
    .lifecycle = LIFE_ACTIVE,
    .visibility = VIS_ACTIVE,
    .slug_from = "name",
    .title = "name",
    .sort = "name",
    .soft_delete = true,
    .events = true,
};
