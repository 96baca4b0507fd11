/* A NIC that belongs to DPDK is invisible to the kernel, so a TAP stands in for it: it carries the
 * addresses, and the kernel answers ARP, ND, ping, SSH, SIP and HTTPS through it. What comes in on
 * the NIC and is not media goes to the TAP, and what the kernel sends on the TAP goes out of the
 * NIC. Worker 0 does both; others hand over. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include "dataplane/port.h"
#include "shared/log.h"

#define SUBSYS "port"

enum { TAP_DESCS = 512, TWIN_RING = 1024 };

int port_twin_open(struct dp_port *p, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	char name[DP_PORT_NAME], args[96], ring[DP_PORT_NAME];
	uint16_t descs = TAP_DESCS, tx_descs = TAP_DESCS;
	int err;

	snprintf(name, sizeof(name), "net_tap_twin%u", dp_port_count);
	snprintf(args, sizeof(args), "iface=%s,mac=" RTE_ETHER_ADDR_PRT_FMT, p->conf->interface,
	         p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4], p->mac[5]);
	err = rte_eal_hotplug_add("vdev", name, args);
	if (!err)
		err = rte_eth_dev_get_port_by_name(name, &p->twin);
	if (!err)
		err = rte_eth_dev_configure(p->twin, 1, 1, &conf);
	if (!err)
		err = rte_eth_dev_adjust_nb_rx_tx_desc(p->twin, &descs, &tx_descs);
	if (!err)
		err = rte_eth_rx_queue_setup(p->twin, 0, descs, SOCKET_ID_ANY, NULL, pool);
	if (!err)
		err = rte_eth_tx_queue_setup(p->twin, 0, tx_descs, SOCKET_ID_ANY, NULL);
	if (!err)
		err = rte_eth_dev_start(p->twin);
	if (err) {
		sh_error(SUBSYS, "%s: TAP %s: %s", p->name, p->conf->interface, strerror(-err));
		return err;
	}
	snprintf(ring, sizeof(ring), "twin-%u", dp_port_count);
	p->twin_ring = rte_ring_create(ring, TWIN_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	p->ifindex = if_nametoindex(p->conf->interface);
	p->has_twin = p->twin_ring && p->ifindex;
	if (!p->has_twin)
		return -ENODEV;
	rte_eth_allmulticast_enable(p->eth); // ARP is broadcast, ND is multicast
	sh_info(SUBSYS, "%s: the kernel's side is %s", p->name, p->conf->interface);
	return 0;
}

void port_twin_close(struct dp_port *p)
{
	if (p->has_twin) {
		rte_eth_dev_stop(p->twin);
		rte_eth_dev_close(p->twin);
	}
	rte_ring_free(p->twin_ring);
	p->twin_ring = NULL;
	p->has_twin = false;
}

/* Port of the UDP datagram that begins at p, when it is one of ours. */
static bool ours(const struct dp_port *port, const uint8_t *p, const uint8_t *end)
{
	uint16_t dst;

	if (end - p < (ptrdiff_t)sizeof(struct rte_udp_hdr))
		return false;
	dst = (uint16_t)(p[2] << 8 | p[3]);
	return dst >= port->base_port && dst - port->base_port < port->media_ports;
}

static bool is_media(const struct dp_port *port, const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *end = p + m->data_len;
	unsigned type, ihl;

	if (m->data_len < RTE_ETHER_HDR_LEN)
		return false;
	type = p[12] << 8 | p[13];
	p += RTE_ETHER_HDR_LEN;
	for (unsigned tags = 0;
	     tags < 2 && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); tags++) {
		if (end - p < 4)
			return false;
		type = p[2] << 8 | p[3];
		p += 4;
	}
	if (type == RTE_ETHER_TYPE_IPV4 && end - p >= 20) {
		ihl = (p[0] & 15u) * 4;
		/* Fragments are for the kernel: it can put them together, we do not. */
		if (p[9] != IPPROTO_UDP || ihl < 20 || (p[6] & 0x3f) || p[7] ||
		    end - p < (ptrdiff_t)ihl)
			return false;
		return ours(port, p + ihl, end);
	}
	if (type == RTE_ETHER_TYPE_IPV6 && end - p >= 40)
		return p[6] == IPPROTO_UDP && ours(port, p + 40, end);
	return false;
}

uint16_t port_twin_split(struct dp_port *p, struct dp_worker *w, struct rte_mbuf **m, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (is_media(p, m[i]))
			m[kept++] = m[i];
		else if (rte_ring_enqueue(p->twin_ring, m[i]) != 0)
			rte_pktmbuf_free(m[i]);
	}
	return kept;
}

static void move(struct rte_mbuf **m, uint16_t n, uint16_t to)
{
	uint16_t sent = rte_eth_tx_burst(to, 0, m, n);

	for (; sent < n; sent++)
		rte_pktmbuf_free(m[sent]);
}

void port_twin_turn(struct dp_port *p)
{
	struct rte_mbuf *m[32];
	unsigned n;

	n = rte_ring_dequeue_burst(p->twin_ring, (void **)m, RTE_DIM(m), NULL);
	if (n)
		move(m, (uint16_t)n, p->twin);
	n = rte_eth_rx_burst(p->twin, 0, m, RTE_DIM(m));
	if (n)
		move(m, (uint16_t)n, p->eth);
}
