#include "proto/request_record.h"

const struct request_record_def request_record_fields[RR_MAX_] = {
#define RECORD_FIELD(sym, text) { .name = #sym, .doc = (text) },
#include "proto/request_record.def"
#undef RECORD_FIELD
};

/* The first that is found in the header: browsers name each other, so the special ones come first.
 */
static const struct {
    const char *token, *family;
} agents[] = {
#define AGENT(text, name) { .token = (text), .family = (name) },
#include "proto/agents.def"
#undef AGENT
};

const char *agent_family(const char *user_agent)
{
    if (!user_agent || !*user_agent)
        return "none";
    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        if (strstr(user_agent, agents[i].token))
            return agents[i].family;
    }
    return "other";
}
