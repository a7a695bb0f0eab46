#ifndef PROTO_ENTITIES_H
#define PROTO_ENTITIES_H
/* The tables by name: entity_post … (entities.def) and entity_api_key … (resources.def). */
#include "proto/entity.h"
#define ENTITY(name)   extern const struct entity_def entity_##name;
#define RESOURCE(name) extern const struct entity_def entity_##name;
#include "proto/entities.def"
#include "proto/resources.def"
#undef ENTITY
#undef RESOURCE
#endif
