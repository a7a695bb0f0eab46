/* proves: N-01 */
#include "common/base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The paper's vectors: key 00 … 0f, input 00 01 … of that length, appendix A and the reference. */
static void answers_the_vectors_of_the_paper(void **state)
{
    static const struct {
        size_t n;
        uint64_t want;
    } cases[] = {
        { 0,  UINT64_C(0x726fdb47dd0e0e31) },
        { 1,  UINT64_C(0x74f839c593dc67fd) },
        { 7,  UINT64_C(0xab0200f58b01d137) },
        { 8,  UINT64_C(0x93f5f5799a932462) },
        { 15, UINT64_C(0xa129ca6149be45e5) },
    };
    unsigned char key[16], in[16];
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        key[i] = in[i] = (unsigned char)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(siphash(key, in, cases[i].n) == cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(answers_the_vectors_of_the_paper) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
