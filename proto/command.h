#ifndef PROTO_COMMAND_H
#define PROTO_COMMAND_H
/*
 * What one program asks another to do, as messages: their payload is a JSON object of the command's
 * shape, its CloudEvents id names it once and for all, and `ce_actor` says by whose rights.  Who
 * sends one checks it against the shape first (kit/shape.h); who takes it does so again and
 * dead-letters what does not fit.  Printed as docs/reference/commands.md.
 *
 * content.commands has an envelope with a reply address instead: services/api/command.c.
 */
#include "proto/entity.h"

struct command_def {
    const char *type; /* of proto/events.def, which names the topic */
    const struct shape *shape;
    const char *example; /* JSON text of a whole payload */
};
extern const struct command_def commands[]; /* ends at .type NULL */
const struct command_def *command_find(const char *type);

enum { command_data_bytes_max = 64 * 1024 };
#endif
