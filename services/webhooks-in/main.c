#include "common/base/str.h"
#include "services/webhooks-in/mapper.h"
#include "services/webhooks-in/webhooks_in.h"

int main(int argc, char **argv)
{
    if (argc == 2 && str_eq(argv[1], MAPPER_VERB))
        return mapper_main();
    return svc_main(hooks_def(), argc, argv);
}
