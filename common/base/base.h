#ifndef BASE_BASE_H
#define BASE_BASE_H
/*
 * What every file of the tree may assume: attributes, array length, and the functions that
 * nobody may call.  A banned function has a safer sibling in str.h, clock.h or buf.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK                      __attribute__((warn_unused_result))
#define PRINTF(f, a)                    __attribute__((format(printf, f, a)))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#pragma GCC poison strcpy strcat strncpy strncat strtok sprintf vsprintf gets atoi atol atoll
#pragma GCC poison localtime gmtime asctime ctime popen
#endif
