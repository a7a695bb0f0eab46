#include "services/analytics/analytics.h"

int main(int argc, char **argv)
{
    return svc_main(analytics_def(), argc, argv);
}
