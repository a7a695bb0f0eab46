#include "proto/fields.h"

static const struct field_def fields[] = {
    FIELD_ID("event"),
    FIELD_LINE("title", FF_REQUIRED | FF_FIND, "Tea fair 2026", "Name of the event."),
    FIELD_SLUG("event", "title"),
    FIELD_LONG("description", description_max, "Three days of tea.", "About the event."),
    FIELD_STATUS_PUBLISH("event"),
    { .name = "starts_at", .type = F_TIME, .flags = FF_REQUIRED | FF_FIND,
      .example = QUOTED("2026-09-01T07:00:00.000000Z"), .doc = "When it begins." },
    { .name = "ends_at", .type = F_TIME, .flags = FF_FIND,
      .example = QUOTED("2026-09-03T16:00:00.000000Z"), .doc = "When it ends." },
    { .name = "timezone", .type = F_TEXT, .flags = FF_FILTER, .format = FMT_TIMEZONE, .max = 64,
      .example = QUOTED("Europe/Berlin"), .doc = "Time zone of the venue, IANA name." },
    FIELD_LINE("venue_name", FF_FILTER, "Messe Berlin", "Where it takes place."),
    { .name = "address", .type = F_TEXT, .format = FMT_LONG, .max = 1000,
      .example = QUOTED("Messedamm 22, 14055 Berlin"), .doc = "Postal address of the venue." },
    FIELD_URL("online_url", "Where to take part online."),
    { .name = "capacity", .type = F_INT, .flags = FF_FIND, .min = 0, .max = 100000000,
      .example = "500", .doc = "How many people there is room for." },
    FIELD_MONEY("price_minor", "Price of a ticket in the currency's minor unit."),
    FIELD_REF("author", "user", "Who keeps this entry; the caller if absent."),
    FIELD_REF("organizer", "company", "Company behind the event."),
    FIELD_REF("image", "media", "Picture of the event."),
    { .name = "speakers", .type = F_REFS, .flags = FF_NONNULL | FF_FILTER, .ref = "expert",
      .items_max = 100, .fallback = "[]", .example = "[{\"id\":7}]",
      .doc = "Experts who speak, in this order." },
    FIELD_PUBLISHED_AT("event"),
    FIELDS_COMMON,
};
static const struct relation_def relations[] = {
    { .name = "speakers", .kind = REL_MANY, .ref = "expert", .link = "event_speakers",
      .near = "event_id", .far = "expert_id", .doc = "Experts who speak, in order." },
    { 0 },
};
const struct entity_def entity_event = {
    .name = "event", .plural = "events", .table = "events", .service = "api",
    .path = "/api/v2/events", .scope_read = "events:read", .scope_write = "events:write",
    .jsonld_type = "Event", .doc = "A conference, fair or other gathering.",
    .fields = fields, .relations = relations, .lifecycle = LIFE_PUBLISH,
    .visibility = VIS_PUBLISHED, .owner = "author", .slug_from = "title", .title = "title",
    .sort = "starts_at", .soft_delete = true, .events = true,
};
