/* A bad network between the ports and the graph. Frames go onto a line of their direction where rx
 * takes them from a port and where tx would hand them to one; the node is the other end of both
 * lines: it lets go what is due, to classify or to the port. What another worker's queue brings was
 * on that worker's line before it was handed over. */
#include "dataplane/node/impair.h"
#include <string.h>
#include "dataplane/impair/line.h"
#include "dataplane/node/frame.h"
#include "dataplane/node/node.h"

static struct dp_line *line(const struct dp_worker *w, unsigned way)
{
	return dp_node(w)->impair[way];
}

static bool same_host(const struct sh_addr *a, const struct sh_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

static bool concerned(const struct rte_mbuf *m, unsigned way)
{
	const struct sh_addr *peer = &dp_impair_config.peer;
	struct dp_frame f;
	unsigned why;

	if (!peer->family)
		return true;
	if (dp_frame_parse(&f, rte_pktmbuf_mtod(m, uint8_t *), m->data_len, &why))
		return false;
	return same_host(way == DP_IMPAIR_IN ? &f.src : &f.dst, peer);
}

static void hold(struct dp_worker *w, unsigned way, struct rte_mbuf *m, uint64_t at_ns)
{
	if (!dp_line_put(line(w, way), m, at_ns))
		DP_DROP(w, impaired, m);
}

static struct rte_mbuf *copy(struct dp_worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *c = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);

	if (!c) {
		w->stat[SH_STAT_drop_no_mbuf]++;
		return NULL;
	}
	*dp_pkt(c) = *dp_pkt(m);
	c->ol_flags = m->ol_flags;
	c->l2_len = m->l2_len;
	c->l3_len = m->l3_len;
	return c;
}

static void onto_line(struct dp_worker *w, unsigned way, struct rte_mbuf *m)
{
	uint64_t at_ns[2];
	unsigned copies = dp_line_fate(line(w, way), m->data_len, w->now_ns, at_ns);
	struct rte_mbuf *c = copies == 2 ? copy(w, m) : NULL;

	if (copies)
		hold(w, way, m, at_ns[0]);
	else
		DP_DROP(w, impaired, m);
	if (c)
		hold(w, way, c, at_ns[1]);
}

uint16_t dp_impair_rx(struct dp_worker *w, struct rte_mbuf **m, uint16_t n)
{
	uint16_t left = 0;

	if (!line(w, DP_IMPAIR_IN))
		return n;
	for (uint16_t i = 0; i < n; i++) {
		if (concerned(m[i], DP_IMPAIR_IN))
			onto_line(w, DP_IMPAIR_IN, m[i]);
		else
			m[left++] = m[i];
	}
	return left;
}

uint16_t dp_impair_tx(struct dp_worker *w, uint16_t port, struct rte_mbuf **m, uint16_t n)
{
	struct dp_line *l = line(w, DP_IMPAIR_OUT);

	if (!l)
		return dp_port_tx(w, port, m, n);
	for (uint16_t i = 0; i < n; i++) {
		dp_pkt(m[i])->port = port;
		if (concerned(m[i], DP_IMPAIR_OUT))
			onto_line(w, DP_IMPAIR_OUT, m[i]);
		else
			hold(w, DP_IMPAIR_OUT, m[i], w->now_ns);
	}
	return n;
}

static void let_out(struct dp_worker *w)
{
	struct rte_mbuf *m;

	while ((m = dp_line_take(line(w, DP_IMPAIR_OUT), w->now_ns)))
		if (!dp_port_tx(w, dp_pkt(m)->port, &m, 1))
			DP_DROP(w, tx_full, m);
}

static uint16_t impair(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct dp_worker *w = dp_self;
	uint16_t n = 0;

	if (line(w, DP_IMPAIR_OUT))
		let_out(w);
	if (!line(w, DP_IMPAIR_IN))
		return 0;
	while (n < DP_BURST && (node->objs[n] = dp_line_take(line(w, DP_IMPAIR_IN), w->now_ns)))
		n++;
	if (!n)
		return 0;
	node->idx = n;
	rte_node_next_stream_move(graph, node, IMPAIR_CLASSIFY);
	return n;
}

static struct rte_node_register impair_node = {
    .name = "dp_impair",
    .process = impair,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = IMPAIR_EDGES,
    .next_nodes = {[IMPAIR_CLASSIFY] = "dp_classify"},
};
RTE_NODE_REGISTER(impair_node);
