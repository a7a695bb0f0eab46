#ifndef ANALYTICS_ANOMALY_H
#define ANALYTICS_ANOMALY_H
/*
 * What is told of something unusual: a row, words for people (anomaly_tell.c), an event; and what
 * people answer (anomaly_routes.c).
 */
#include "common/io/db.h"
#include "common/kit/route.h"
#include "services/analytics/analytics.h"
#include "services/analytics/cells.h"
#include "services/analytics/detect.h"

struct anomaly_db {
    struct arena *a;
    struct db_tx *tx;
    const struct analytics_conf *conf;
};
struct anomaly_facts {
    enum signal_kind signal;
    enum dim dim;
    int32_t ref; /* of the route or consumer; 0: all */
    double observed, usual, n;
    const char *what; /* of what is new */
    int slot;         /* that it was compared with; -1: none */
    int64_t at;       /* begin of the window, Unix seconds */
    int64_t muted_until;
};
/* Writes it down, and tells of it unless that is muted. */
int anomaly_open(const struct anomaly_db *db, const struct anomaly_facts *f, int64_t *ret_id,
                 struct err *err) MUST_CHECK;
/* Keeps the highest. */
int anomaly_go_on(const struct anomaly_db *db, int64_t id, const struct anomaly_facts *f,
                  struct err *err) MUST_CHECK;
int anomaly_end(const struct anomaly_db *db, int64_t id, int64_t at, struct err *err) MUST_CHECK;
int anomaly_end_news(const struct anomaly_db *db, int64_t at, struct err *err) MUST_CHECK;
/* Puts the row into the outbox as an event of that type, and as mail to whom is to have it. */
int anomaly_event(const struct anomaly_db *db, const char *type, int64_t id,
                  struct err *err) MUST_CHECK;

/* anomaly_mail.c: a mail about the row, as JSON, to each of CMS365_ANOMALY_MAIL_TO. */
int anomaly_mail(const struct anomaly_db *db, const char *type, int64_t id, const char *row,
                 struct err *err) MUST_CHECK;
int anomaly_mail_check(struct arena *a, const char *list, struct err *err) MUST_CHECK;

/* One window, if there is one to look at. */
int look_once(struct svc *svc, struct arena *a, bool *ret_done, struct err *err) MUST_CHECK;

int anomaly_mute(struct req *req, struct res *res, struct err *err);
int anomaly_unmute(struct req *req, struct res *res, struct err *err);
int anomaly_feedback(struct req *req, struct res *res, struct err *err);
#endif
