#include "services/auth/auth.h"

const struct conf_def auth_conf_defs[] = {
    { .name = "CMS365_ADMIN_PASSWORD",
     .type = CONF_TEXT,
     .fallback = "",
     .max = 1024,
     .offset = offsetof(struct auth_conf, admin_password),
     .secret = true,
     .doc = "Password of the first administrator; read by --bootstrap-admin only." },
    { .name = NULL },
};
