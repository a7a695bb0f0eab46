#ifndef WEBHOOKS_IN_MAPPER_H
#define WEBHOOKS_IN_MAPPER_H
/*
 * jq programs of strangers, run in processes that can do nothing else: no files, no network, no
 * environment, little memory, and mapper_run_ms of the processor (mapper_wait_ms on the clock, on a
 * machine that has little to give), after which they are killed and another one starts.  A process
 * keeps the programs it compiled; values do not outlive their run.
 */
#include "common/base/err.h"
#include "common/base/json.h"

enum {
    mapper_run_ms = 2000,
    mapper_wait_ms = 15000,
    mapper_memory_bytes = 384 * 1024 * 1024,
    mapper_output_bytes_max = 2 * 1024 * 1024,
};
#define MAPPER_VERB "--mapper"

struct mappers;
struct mappers *mappers_new(size_t n); /* processes start when they are needed */
void mappers_free(struct mappers *m);
/* Blocks a thread: through worker_run from a fiber.  *ret: an array of what the program put out.
 * E_validation: it failed, or was stopped; E_unavailable: no process can be had.  A map_jq. */
int mappers_run(void *mappers, struct arena *a, const char *program, const json_t *input,
                const json_t *around, json_t **ret, struct err *err) MUST_CHECK;

/* The process itself: main() calls it for MAPPER_VERB. */
int mapper_main(void);
#endif
