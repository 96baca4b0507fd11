/* Figures of a run or of a step, as a table and as JSON. Main thread. */
#pragma once
#include <jansson.h>
#include "bench/loadgen/lg.h"
#include "bench/loadgen/server.h"

struct lg_figures {
	double seconds;
	uint32_t kbps;
	uint64_t sent, expected, received, bytes; // packets; bytes with SRTP
	uint64_t missed; // of those not received, dropped on our side as we were late
	struct lg_hist latency;
	struct lg_server from, to;
	uint64_t own_cpu_ns; // the generator's media thread
	struct lg_late late; // likewise
	uint64_t gap_ns;     // the longest that nobody looked at the port
};

/* Of one moment; two of them make figures. */
struct lg_mark {
	uint64_t at_ns, sent, expected, received, bytes, missed, own_cpu_ns;
	struct lg_server server;
};
void lg_mark(struct lg_mark *m);
void lg_figures(struct lg_figures *f, const struct lg_mark *from, const struct lg_mark *to);

/* Packets out of the server each second. */
double lg_rate(const struct lg_figures *f);
/* Lost of those expected, in packets per million, without what we missed ourselves. */
double lg_loss_ppm(const struct lg_figures *f);
json_t *lg_figures_json(const struct lg_figures *f);
void lg_figures_print(const struct lg_figures *f, FILE *to);
void lg_step_head(FILE *to);
void lg_step_print(const struct lg_figures *f, bool good, FILE *to);

/* After lg_media_stop(): joins and what receivers saw since the streams began to count. */
json_t *lg_peers_json(void);
void lg_peers_print(const json_t *peers, FILE *to);
