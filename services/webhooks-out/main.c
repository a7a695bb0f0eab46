#include "services/webhooks-out/webhooks.h"

int main(int argc, char **argv)
{
    return svc_main(webhooks_def(), argc, argv);
}
