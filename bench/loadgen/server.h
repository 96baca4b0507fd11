/* What the server's processes cost. Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LG_NODES = 64 };

struct lg_node {
	char name[32];
	uint64_t packets, cycles;
};
struct lg_server {
	uint64_t at_ns, cpu_ns; // of all processes
	uint64_t rss_kb;        // memory of all, resident
	double hz;              // TSC
	unsigned nodes;         // ours: of all workers together; 0: not told
	struct lg_node node[LG_NODES];
};

/* server.pids, server.rundir. 0, -errno and said. */
int lg_server_open(void);
bool lg_server_known(void);
void lg_server_read(struct lg_server *s);
/* Of what happened between the two. */
double lg_server_cpu(const struct lg_server *from, const struct lg_server *to); // in CPUs
/* Cycles of a node, and of all of them that had packets; false: unknown. */
bool lg_server_node(const struct lg_server *from, const struct lg_server *to, unsigned i,
                    struct lg_node *out);
