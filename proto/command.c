#include "proto/command.h"

#include "common/base/str.h"
#include "proto/fields.h"

static const char *const roles_told[] = { "member", "author", "editor", "admin", NULL };
static const char *const levels[] = { "info", "success", "warning", "error", NULL };

/* clang-format off */
static const struct field_def mail_fields[] = {
    { .name = "template", .type = F_TEXT, .flags = FF_REQUIRED, .format = FMT_LINE, .max = 100,
      .example = QUOTED("order_paid"), .doc = "Name of the mailer's template." },
    { .name = "to", .type = F_TEXT, .flags = FF_REQUIRED, .format = FMT_EMAIL, .max = 254,
      .example = QUOTED("erika@example.com"), .doc = "The recipient: one a message." },
    { .name = "language", .type = F_TEXT, .format = FMT_LANGUAGE, .max = 35,
      .example = QUOTED("de"), .doc = "Language of the template, BCP 47; absent: the recipient's, else the site's." },
    { .name = "data", .type = F_JSON, .flags = FF_NONNULL, .max = command_data_bytes_max, .fallback = "{}",
      .example = "{\"order\":\"A-17\"}", .doc = "What the template is filled with." },
    { 0 },
};
static const struct field_def notify_fields[] = {
    { .name = "user", .type = F_REF, .ref = "user", .example = "{\"id\":7}",
      .doc = "Who is told; or a role." },
    { .name = "role", .type = F_ENUM, .choices = roles_told, .example = QUOTED("editor"),
      .doc = "Everybody who has this role or a higher one is told; or a user." },
    { .name = "level", .type = F_ENUM, .flags = FF_NONNULL, .choices = levels, .fallback = QUOTED("info"),
      .example = QUOTED("warning"), .doc = "How much it matters." },
    { .name = "title", .type = F_TEXT, .flags = FF_REQUIRED, .format = FMT_LINE, .max = 200,
      .example = QUOTED("New order A-17"), .doc = "One line." },
    { .name = "text", .type = F_TEXT, .format = FMT_LONG, .max = 4000,
      .example = QUOTED("Paid by card."), .doc = "More than a line." },
    { .name = "url", .type = F_TEXT, .format = FMT_URL, .max = url_max,
      .example = QUOTED("https://cms.example.com/admin/orders/17"), .doc = "Where to read on." },
    { .name = "data", .type = F_JSON, .flags = FF_NONNULL, .max = command_data_bytes_max, .fallback = "{}",
      .example = "{\"order\":\"A-17\"}", .doc = "Whatever else a channel may show." },
    { 0 },
};
/* clang-format on */
static const struct shape mail = { .name = "MailCommand",
                                   .doc = "One mail to one recipient, from a template.",
                                   .fields = mail_fields };
static const struct shape notify = { .name = "NotifyCommand",
                                     .doc = "A notice to a user, or to everybody of a role.",
                                     .fields = notify_fields };

const struct command_def commands[] = {
    { "mail.command", &mail,
     "{\"template\":\"order_paid\",\"to\":\"erika@example.com\",\"language\":\"de\","
      "\"data\":{\"order\":\"A-17\"}}" },
    { "notify.command", &notify,
     "{\"role\":\"editor\",\"level\":\"info\",\"title\":\"New order A-17\",\"data\":{}}" },
    { .type = NULL },
};

const struct command_def *command_find(const char *type)
{
    for (const struct command_def *c = commands; c->type; c++)
        if (str_eq(c->type, type))
            return c;
    return NULL;
}
