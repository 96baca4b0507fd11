#include <string.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>
#include "bench/forward.h"

enum { NODES = 32 };

static struct {
	struct rte_node *node[NODES];
	uint64_t before[NODES], cycles[NODES]; // of the turns that count
	unsigned n;
} nodes;

void fwd_nodes_open(void)
{
	struct rte_graph *g = dp_workers[0]->graph;
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	nodes.n = 0;
	fwd_nodes_clear();
	rte_graph_foreach_node(i, off, g, node) if (nodes.n < NODES) nodes.node[nodes.n++] = node;
}

void fwd_nodes_clear(void)
{
	memset(nodes.cycles, 0, sizeof(nodes.cycles));
}

void fwd_nodes_before(void)
{
	for (unsigned i = 0; i < nodes.n; i++)
		nodes.before[i] = nodes.node[i]->total_cycles;
}

void fwd_nodes_after(void)
{
	for (unsigned i = 0; i < nodes.n; i++)
		nodes.cycles[i] += nodes.node[i]->total_cycles - nodes.before[i];
}

bool fwd_nodes_get(unsigned i, const char **name, double *cycles)
{
	if (i >= nodes.n)
		return false;
	*name = nodes.node[i]->name + 3; // without dp_
	*cycles = (double)nodes.cycles[i];
	return true;
}
