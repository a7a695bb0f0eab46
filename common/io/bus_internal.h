#ifndef IO_BUS_INTERNAL_H
#define IO_BUS_INTERNAL_H
/* What the parts of the bus module share: configuration, error mapping, copying of messages. */
#include "common/io/bus.h"

#include <librdkafka/rdkafka.h>

enum { bus_batch_bytes_max = 1024 * 1024, bus_overhead_bytes_max = 64 * 1024 };

struct bus_setting {
    const char *name, *value;
};
/* A configuration with what all handles share, then `extra` (ends at .name NULL); NULL: err is set.
 */
rd_kafka_conf_t *bus_conf(const char *brokers, const struct bus_setting *extra, struct err *err);
/* Takes the configuration. */
int bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
               struct err *err) MUST_CHECK;
/* A librdkafka error as one of ours: what waiting may cure is E_unavailable. */
enum err_code bus_code(rd_kafka_resp_err_t e);
int bus_fail(struct err *err, rd_kafka_resp_err_t e, const char *doing);
void bus_copy(struct arena *a, const rd_kafka_message_t *in, struct bus_msg *out);
#endif
