#ifndef PROTO_ENTITIES_H
#define PROTO_ENTITIES_H
/* The tables by name: entity_post, entity_api_key …  entity.h declares them. */
#include "proto/entity.h"
#endif
