/* Ports: where media packets come in and go out (DESIGN §2). The rx and tx nodes see dp_port_rx()
 * and dp_port_tx() (worker.h) only; the rest is the control thread's.
 *
 *   port.c      a port's life and its queues, in and out
 *   port_dev.c  which DPDK device a kind of port is, and the XDP program before an AF_XDP one
 *   port_tap.c  the kernel twin of a PCI port: what is not media goes to a TAP and back
 *   pool.c      packet buffers
 *
 * Queues. Receive queue q is polled by worker q mod workers, transmit queue w belongs to worker w.
 * A worker without a transmit queue of its own puts finished frames into the port's ring, which
 * worker 0 empties once a walk. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/conf.h"
#include "dataplane/worker.h"

struct xdp_steer;
struct rte_mempool;

enum { DP_PORT_NAME = 32, DP_PORT_FDS = 64, DP_PORT_DATA_ROOM = 2048 };

struct dp_port {
	const struct dp_conf_port *conf;
	char name[DP_PORT_NAME]; // of the DPDK device
	uint16_t eth;
	uint16_t rx_queues, tx_queues;
	uint16_t mtu; // largest IP packet
	uint8_t mac[6];
	unsigned ifindex; // of the kernel's interface that owns the addresses; 0: there is none
	bool loopback;
	bool link_up;
	uint64_t ol4, ol6;       // mbuf ol_flags when the NIC fills in checksums
	struct xdp_steer *steer; // af_xdp
	bool steered;            // af_xdp: the program may be attached
	bool has_twin;           // pci: frames that are not media go there and back
	uint16_t twin;           // ethdev
	uint16_t base_port, media_ports;
	int fd[DP_PORT_FDS];        // af_xdp: socket of receive queue q, to sleep on; -1: none
	struct rte_ring *tx_ring;   // workers without a queue → worker 0
	struct rte_ring *twin_ring; // others → worker 0: not media
	struct rte_mbuf *stash[DP_BURST]; // worker 0: taken from tx_ring and not sent yet
	uint16_t stashed;
	uint64_t missed; // control: as last logged
};
extern struct dp_port dp_ports[DP_PORTS_MAX];
extern unsigned dp_port_count;

/* What a port is opened with. */
struct dp_port_params {
	const struct dp_conf_port *conf;
	struct rte_mempool *pool;
	unsigned workers;
	uint16_t base_port;
	uint32_t stun_rate, stun_burst;
	uint32_t addrs; // media addresses the XDP program is limited to; 0: any
	struct sh_addr addr[SH_MAX_ADDRS];
	const char *rundir; // the program's copy is written there
};

/* EAL is up. Opens and starts the next port; says in the log why it could not. 0, -errno. Not
 * undone by itself: dp_ports_close() takes half-open ports. */
int dp_port_open(const struct dp_port_params *params);
/* No worker runs. */
void dp_ports_close(void);
/* Fills w->ports. */
void dp_ports_assign(struct dp_worker *w);
/* Worker, once a walk: frames of others go out, twins are served. */
void dp_port_turn(struct dp_worker *w);
/* Descriptors that become readable when this worker has something to receive, into fd[n]; returns
 * how many. *complete: no port is without, so that one may sleep on them. */
unsigned dp_port_fds(const struct dp_worker *w, unsigned workers, int *fd, unsigned n,
                     bool *complete);
/* Control, about once a second: link state and losses into the log. */
void dp_ports_check(void);

/* The one pool of packet buffers: private area struct dp_pkt, DP_PORT_DATA_ROOM bytes. contiguous:
 * AF_XDP makes its memory a umem, which must be one piece. NULL: rte_errno. */
struct rte_mempool *dp_pool_new(const char *name, uint32_t mbufs, bool af_xdp);

/* port_dev.c: makes the device (p->name, p->eth) and fills what only its kind knows. */
int port_device(struct dp_port *p, const struct dp_port_params *params);
void port_device_gone(struct dp_port *p);
/* A queue was set up: its AF_XDP socket. */
void port_device_queue(struct dp_port *p, uint16_t queue);
/* The device runs. */
int port_device_started(struct dp_port *p);

/* port_tap.c */
int port_twin_open(struct dp_port *p, struct rte_mempool *pool);
void port_twin_close(struct dp_port *p);
/* Worker: takes from m[n] what is not media, returns how many are left, in order. */
uint16_t port_twin_split(struct dp_port *p, struct dp_worker *w, struct rte_mbuf **m, uint16_t n);
void port_twin_turn(struct dp_port *p);
