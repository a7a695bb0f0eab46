#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("company"),
    FIELD_LINE("name", FF_REQUIRED | FF_FIND, "Muster GmbH", "Name of the company."),
    FIELD_SLUG("company", "name"),
    FIELD_LONG("description", description_max, "Tea since 1887.", "About the company."),
    FIELD_LINE("industry", FF_FIND, "Food", "Line of business."),
    FIELD_EMAIL(0, "Address to reach the company."),
    FIELD_PHONE,
    FIELD_URL("website", "The company's site."),
    FIELD_LINE("street", 0, "Hauptstraße 1", "Street and number."),
    { .name = "postal_code", .type = F_TEXT, .flags = FF_FILTER, .format = FMT_LINE, .max = 20,
      .example = QUOTED("10115"), .doc = "Postal code." },
    FIELD_LINE("city", FF_FIND, "Berlin", "Town."),
    FIELD_COUNTRY,
    { .name = "employee_count", .type = F_INT, .flags = FF_FIND, .min = 0, .max = 100000000,
      .example = "120", .doc = "Number of employees." },
    { .name = "founded_year", .type = F_INT, .flags = FF_FIND, .min = 1, .max = 9999,
      .example = "1887", .doc = "Year of foundation." },
    FIELD_REF("logo", "media", "Picture of the company."),
    FIELD_STATUS_ACTIVE("company"),
    FIELDS_COMMON,
};
static const struct relation_def relations[] = {
    { .name = "experts", .kind = REL_REVERSE, .ref = "expert", .via = "company",
      .doc = "Experts who work here." },
    { .name = "events", .kind = REL_REVERSE, .ref = "event", .via = "organizer",
      .doc = "Events that the company organizes." },
    { 0 },
};
/* clang-format on */
const struct entity_def entity_company = {
    .name = "company",
    .plural = "companies",
    .table = "companies",
    .service = "api",
    .path = "/api/v2/companies",
    .scope_read = "companies:read",
    .scope_write = "companies:write",
    .jsonld_type = "Organization",
    .doc = "A company.",
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
