/*
 * Mail about something unusual: a command to the mailer for each address of CMS365_ANOMALY_MAIL_TO,
 * in the transaction that writes down what there is to tell (proto/command.c has its form).
 */
#include "services/analytics/anomaly.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"

enum { recipients_max = 20 };

/* The addresses of a list; a comma and blanks part them. */
static int recipients(struct arena *a, const char *list, const char *ret[recipients_max],
                      size_t *ret_n, struct err *err)
{
    const char *why;
    *ret_n = 0;
    for (const char *p = list; *(p += strspn(p, ", ")); p += strcspn(p, ", ")) {
        const char *one = arena_strndup(a, p, strcspn(p, ", "));
        if (*ret_n == recipients_max)
            return err_set(err, E_invalid, "CMS365_ANOMALY_MAIL_TO has more than %d addresses.",
                           (int)recipients_max);
        if (!shape_format_ok(FMT_EMAIL, one, &why))
            return err_set(err, E_invalid, "CMS365_ANOMALY_MAIL_TO: %s is not an e-mail address.",
                           one);
        ret[(*ret_n)++] = one;
    }
    return 0;
}

int anomaly_mail_check(struct arena *a, const char *list, struct err *err)
{
    const char *to[recipients_max];
    size_t n;
    return recipients(a, list, to, &n, err);
}

int anomaly_mail(const struct anomaly_db *db, const char *type, int64_t id, const char *row,
                 struct err *err)
{
    const char *to[recipients_max];
    size_t n;
    const struct svc_conf *conf = &db->conf->svc;
    int rc = recipients(db->a, db->conf->anomaly_mail_to, to, &n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        json_t *o =
            json_pack("{s:s, s:s, s:{s:o?, s:s}}", "template",
                      str_eq(type, "anomaly.detected") ? "anomaly_detected" : "anomaly_resolved",
                      "to", to[i], "data", "anomaly", json_loads(row, 0, NULL), "url",
                      arena_printf(db->a, "%s/admin/operations/anomalies", conf->public_url));
        const struct outbox_event e = { .type = "mail.command",
                                        .key = arena_printf(db->a, "anomaly:%lld", (long long)id),
                                        .payload = json_text(db->a, json_in(db->a, o)) };
        rc = outbox_put(db->tx, db->a, &e, NULL, err);
    }
    return rc;
}
