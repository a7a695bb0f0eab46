#ifndef AUTH_FIELDS_H
#define AUTH_FIELDS_H
/* Rows of the bodies that auth's own actions take and answer with.  Only route tables include this.
 */
#include "proto/entity.h"

#define BODY_TEXT(text, flag, most, sample, about)                                                 \
    { .name = (text),                                                                              \
      .type = F_TEXT,                                                                              \
      .flags = (flag),                                                                             \
      .format = FMT_LINE,                                                                          \
      .max = (most),                                                                               \
      .example = "\"" sample "\"",                                                                 \
      .doc = (about) }
#define BODY_BOOL(text, about)                                                                     \
    { .name = (text), .type = F_BOOL, .flags = FF_NONNULL, .example = "true", .doc = (about) }
#define BODY_TIME(text, about)                                                                     \
    { .name = (text), .type = F_TIME, .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = (about) }
#define BODY_INT(text, most, sample, about)                                                        \
    { .name = (text),                                                                              \
      .type = F_INT,                                                                               \
      .flags = FF_NONNULL,                                                                         \
      .max = (most),                                                                               \
      .example = (sample),                                                                         \
      .doc = (about) }
#endif
