#ifndef BASE_FAULT_H
#define BASE_FAULT_H
/*
 * Failure injection, test builds only (CMS365_FAULTS).  FAULT("db.exec") is false in release
 * builds; in test builds the k-th point reached since fault_arm(k) answers true once, so a scenario
 * can be rerun with each point failing until it passes.
 */
#include "common/base/base.h"

#ifdef CMS365_FAULTS
bool fault_hit(const char *point);
void fault_arm(unsigned k); /* 0: none */
unsigned fault_count(void); /* points reached since fault_arm */
#define FAULT(point) fault_hit(point)
#else
#define FAULT(point) false
#endif
#endif
