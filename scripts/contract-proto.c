/* Prints what the tables of proto/ give to the documents; scripts/contract links it with
 * libproto.a. */
#include "proto/emit.h"

int main(void)
{
    json_t *all = emit_all();
    int bad = json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
    return bad ? 1 : 0;
}
