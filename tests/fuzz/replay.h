#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H
/* A fuzz target is one file tests/fuzz/<name>_fuzz.c that defines this and aborts on a fault. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
