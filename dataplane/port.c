#include "dataplane/port.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_ring.h>
#include "shared/log.h"

#define SUBSYS "port"

enum {
	RX_DESCS = 2048,
	TX_DESCS = 2048,
	TX_RING = 4096,
	NO_PORT = UINT8_MAX,
};

struct dp_port dp_ports[DP_PORTS_MAX];
unsigned dp_port_count;
static uint8_t by_eth[RTE_MAX_ETHPORTS];

/* ---- setting up ---- */

static int choose_mtu(struct dp_port *p)
{
	const uint16_t most =
	    DP_PORT_DATA_ROOM - 384 - 64; // AF_XDP's and our own headroom, Ethernet and tail

	if (p->conf->mtu > most) {
		sh_error(SUBSYS, "%s: mtu %u does not fit packet buffers of 2 KiB, at most %u does",
		         p->name, p->conf->mtu, most);
		return -EINVAL;
	}
	if (p->conf->mtu && p->conf->mtu < p->mtu)
		p->mtu = (uint16_t)p->conf->mtu;
	if (p->mtu > 1500 && !p->conf->mtu)
		p->mtu = 1500;
	if (p->mtu > most)
		p->mtu = most;
	return 0;
}

/* Checksums that a real NIC fills in; virtual devices would do it in software, no better than we
 * do. */
static uint64_t tx_offloads(struct dp_port *p, const struct rte_eth_dev_info *info)
{
	const uint64_t both = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;

	if (p->conf->kind != DP_PORT_PCI || (info->tx_offload_capa & both) != both)
		return 0;
	p->ol4 = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	p->ol6 = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
	return both;
}

static int configure(struct dp_port *p, unsigned workers)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(p->eth, &info);

	if (err)
		return err;
	if (p->conf->kind == DP_PORT_AF_XDP)
		p->tx_queues = p->rx_queues; // a socket is one of each
	p->rx_queues = RTE_MIN(p->rx_queues, info.max_rx_queues);
	p->tx_queues = RTE_MIN(p->tx_queues, info.max_tx_queues);
	if (p->rx_queues == 0 || p->tx_queues == 0)
		return -ENODEV;
	conf.txmode.offloads = tx_offloads(p, &info);
	if (p->rx_queues > 1 && p->conf->kind == DP_PORT_PCI) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
		    (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
	}
	return rte_eth_dev_configure(p->eth, p->rx_queues, p->tx_queues, &conf);
}

static int setup_queues(struct dp_port *p, struct rte_mempool *pool)
{
	uint16_t rx = RX_DESCS, tx = TX_DESCS;
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(p->eth, &rx, &tx);

	for (uint16_t q = 0; q < p->tx_queues && !err; q++)
		err = rte_eth_tx_queue_setup(p->eth, q, tx, SOCKET_ID_ANY, NULL);
	for (uint16_t q = 0; q < p->rx_queues && !err; q++) {
		err = rte_eth_rx_queue_setup(p->eth, q, rx, SOCKET_ID_ANY, NULL, pool);
		if (!err)
			port_device_queue(p, q);
	}
	return err;
}

/* A NIC that can: each worker's UDP port onto its queue. Without, RSS spreads and workers hand
 * over. */
static void steer_in_hardware(struct dp_port *p, unsigned workers)
{
	unsigned rules = 0;

	for (unsigned w = 0; p->conf->kind == DP_PORT_PCI && p->rx_queues > 1 && w < workers; w++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct rte_flow_item_udp spec = {
			    .hdr.dst_port = rte_cpu_to_be_16((uint16_t)(p->base_port + w))};
			struct rte_flow_item_udp mask = {.hdr.dst_port = UINT16_MAX};
			struct rte_flow_action_queue queue = {.index =
			                                          (uint16_t)(w % p->rx_queues)};
			struct rte_flow_attr attr = {.ingress = 1};
			struct rte_flow_item items[] = {
			    {.type = RTE_FLOW_ITEM_TYPE_ETH},
			    {.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
			    {.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &spec, .mask = &mask},
			    {.type = RTE_FLOW_ITEM_TYPE_END},
			};
			struct rte_flow_action actions[] = {
			    {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
			    {.type = RTE_FLOW_ACTION_TYPE_END},
			};
			struct rte_flow_error why;

			rules += rte_flow_create(p->eth, &attr, items, actions, &why) != NULL;
		}
	}
	if (rules)
		sh_info(SUBSYS, "%s: %u flow rules lead media ports to their queues", p->name,
		        rules);
}

static int start(struct dp_port *p, const struct dp_port_params *params)
{
	struct rte_ether_addr mac;
	char ring[DP_PORT_NAME];
	int err;

	err = configure(p, params->workers);
	if (!err)
		err = choose_mtu(p);
	if (!err)
		err = setup_queues(p, params->pool);
	if (!err)
		err = rte_eth_dev_start(p->eth);
	if (!err)
		err = port_device_started(p);
	if (!err)
		err = rte_eth_macaddr_get(p->eth, &mac);
	if (err)
		return err;
	memcpy(p->mac, mac.addr_bytes, 6);
	if (p->tx_queues < params->workers) {
		snprintf(ring, sizeof(ring), "tx-%u", dp_port_count);
		p->tx_ring = rte_ring_create(ring, TX_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (!p->tx_ring)
			return -rte_errno;
	}
	steer_in_hardware(p, params->workers);
	if (p->conf->kind == DP_PORT_PCI && p->conf->interface[0])
		err = port_twin_open(p, params->pool);
	return err;
}

int dp_port_open(const struct dp_port_params *params)
{
	struct dp_port *p = &dp_ports[dp_port_count];
	int err;

	if (dp_port_count == DP_PORTS_MAX)
		return -ENOSPC;
	if (dp_port_count == 0)
		memset(by_eth, NO_PORT, sizeof(by_eth));
	memset(p, 0, sizeof(*p));
	p->conf = params->conf;
	p->base_port = params->base_port;
	p->media_ports = (uint16_t)params->workers;
	p->eth = RTE_MAX_ETHPORTS;
	err = port_device(p, params);
	if (!err)
		by_eth[p->eth] = (uint8_t)dp_port_count;
	dp_port_count++;
	if (err)
		return err;
	err = start(p, params);
	if (err)
		sh_error(SUBSYS, "%s: %s", p->name, strerror(-err));
	return err;
}

static void close_one(struct dp_port *p)
{
	struct rte_mbuf *m;

	port_twin_close(p);
	for (uint16_t i = 0; i < p->stashed; i++)
		rte_pktmbuf_free(p->stash[i]);
	while (p->tx_ring && rte_ring_dequeue(p->tx_ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(p->tx_ring);
	if (p->eth < RTE_MAX_ETHPORTS) {
		by_eth[p->eth] = NO_PORT;
		rte_eth_dev_stop(p->eth);
		rte_eth_dev_close(p->eth);
		if (p->conf->kind != DP_PORT_PCI)
			rte_eal_hotplug_remove("vdev", p->name);
	}
	port_device_gone(p);
	memset(p, 0, sizeof(*p));
}

void dp_ports_close(void)
{
	while (dp_port_count > 0)
		close_one(&dp_ports[--dp_port_count]);
}

void dp_ports_assign(struct dp_worker *w)
{
	w->n_ports = (uint16_t)dp_port_count;
	for (unsigned i = 0; i < dp_port_count; i++)
		w->ports[i] = dp_ports[i].eth;
}

/* ---- packets ---- */

uint16_t dp_port_rx(struct dp_worker *w, unsigned i, struct rte_mbuf **m, uint16_t n)
{
	struct dp_port *p = &dp_ports[i];
	uint16_t got = 0;

	for (unsigned q = w->index; q < p->rx_queues && got < n; q += p->media_ports)
		got += rte_eth_rx_burst(p->eth, (uint16_t)q, m + got, n - got);
	w->frames += got;
	for (uint16_t k = 0; k < got; k++)
		dp_pkt(m[k])->port = p->eth;
	if (unlikely(p->has_twin) && got)
		got = port_twin_split(p, w, m, got);
	return got;
}

uint16_t dp_port_tx(struct dp_worker *w, uint16_t port, struct rte_mbuf **m, uint16_t n)
{
	struct dp_port *p;

	if (unlikely(port >= RTE_MAX_ETHPORTS || by_eth[port] == NO_PORT))
		return 0;
	p = &dp_ports[by_eth[port]];
	if (likely(w->index < p->tx_queues))
		return rte_eth_tx_burst(port, (uint16_t)w->index, m, n);
	return (uint16_t)rte_ring_enqueue_burst(p->tx_ring, (void **)m, n, NULL);
}

static void drain(struct dp_port *p)
{
	uint16_t sent;

	for (unsigned rounds = 0; rounds < 8; rounds++) {
		if (p->stashed < DP_BURST)
			p->stashed += (uint16_t)rte_ring_dequeue_burst(
			    p->tx_ring, (void **)(p->stash + p->stashed), DP_BURST - p->stashed,
			    NULL);
		if (p->stashed == 0)
			return;
		sent = rte_eth_tx_burst(p->eth, 0, p->stash, p->stashed);
		p->stashed -= sent;
		memmove(p->stash, p->stash + sent, p->stashed * sizeof(p->stash[0]));
		if (p->stashed)
			return;
	}
}

void dp_port_turn(struct dp_worker *w)
{
	if (w->index != 0)
		return;
	for (unsigned i = 0; i < dp_port_count; i++) {
		if (dp_ports[i].tx_ring)
			drain(&dp_ports[i]);
		if (dp_ports[i].has_twin)
			port_twin_turn(&dp_ports[i]);
	}
}

unsigned dp_port_fds(const struct dp_worker *w, unsigned workers, int *fd, unsigned n,
                     bool *complete)
{
	unsigned got = 0;

	*complete = true;
	for (unsigned i = 0; i < dp_port_count; i++) {
		const struct dp_port *p = &dp_ports[i];

		*complete &= !p->has_twin;
		for (unsigned q = w->index; q < p->rx_queues; q += workers) {
			if (q >= DP_PORT_FDS || p->fd[q] < 0 || got == n)
				*complete = false;
			else
				fd[got++] = p->fd[q];
		}
	}
	return got;
}

/* ---- control ---- */

void dp_ports_check(void)
{
	for (unsigned i = 0; i < dp_port_count; i++) {
		struct dp_port *p = &dp_ports[i];
		struct rte_eth_link link;
		struct rte_eth_stats s;

		if (rte_eth_link_get_nowait(p->eth, &link) == 0 && link.link_status != p->link_up) {
			p->link_up = link.link_status;
			sh_info(SUBSYS, "%s: link %s", p->name, p->link_up ? "up" : "down");
		}
		if (rte_eth_stats_get(p->eth, &s) == 0 && s.imissed != p->missed) {
			sh_warn(SUBSYS, "%s: %lu frames lost before a worker took them", p->name,
			        (unsigned long)(s.imissed - p->missed));
			p->missed = s.imissed;
		}
	}
}
