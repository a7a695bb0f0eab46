#ifndef ANALYTICS_ANSWERS_H
#define ANALYTICS_ANSWERS_H
/* Handlers of the routes, and what they share. */
#include "services/analytics/window.h"

int get_overview(struct req *req, struct res *res, struct err *err);
int get_series(struct req *req, struct res *res, struct err *err);
int list_routes(struct req *req, struct res *res, struct err *err);
int list_consumers(struct req *req, struct res *res, struct err *err);
int list_requests(struct req *req, struct res *res, struct err *err);
int get_request(struct req *req, struct res *res, struct err *err);

void put_time(struct buf *b, int64_t s); /* RFC 3339, with quotes */
void put_window(struct buf *b, const struct window *w);
#endif
