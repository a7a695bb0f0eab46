#include "services/api/api.h"

int main(int argc, char **argv)
{
    return svc_main(api_def(), argc, argv);
}
