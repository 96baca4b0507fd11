#include "bench/forward.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include "dataplane/clock.h"
#include "dataplane/node/node.h"
#include "dataplane/port.h"
#include "dataplane/run.h"

enum {
	MBUFS = 32768, // the default of callstack-dataplane
	MEMORY_MB = 192,
};

static struct {
	struct rte_mempool *pool;
	const struct dp_srtp_backend *backend;
	int raw;   // packet socket at the other end of a veth; 0: none
	unsigned workers;
	bool wire; // frames go by it
} ports;

void fwd_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "bench_forward: ");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

const struct dp_srtp_backend *fwd_backend(void)
{
	return ports.backend;
}

struct rte_mempool *fwd_pool(void)
{
	return ports.pool;
}

/* ---- frames ---- */

void fwd_by_wire(bool on)
{
	ports.wire = on;
}

/* Onto the wire: the kernel carries them to the other end before this returns. */
static void send_raw(const uint8_t *const *frame, const uint16_t *len, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (send(ports.raw, frame[i], len[i], 0) != len[i])
			fwd_die("the other end of the veth: %s", strerror(errno));
}

void fwd_inject(const uint8_t *const *frame, const uint16_t *len, unsigned n)
{
	struct rte_mbuf *m[DP_BURST];

	if (ports.raw > 0 && ports.wire) {
		send_raw(frame, len, n);
		return;
	}

	for (unsigned at = 0; at < n; at += DP_BURST) {
		unsigned k = RTE_MIN(n - at, (unsigned)DP_BURST);

		if (rte_pktmbuf_alloc_bulk(ports.pool, m, k))
			fwd_die("no packet buffers");
		for (unsigned i = 0; i < k; i++) {
			memcpy(rte_pktmbuf_mtod(m[i], void *), frame[at + i], len[at + i]);
			m[i]->data_len = len[at + i];
			m[i]->pkt_len = len[at + i];
		}
		// a net_ring port gives back what it was given
		if (rte_eth_tx_burst(dp_ports[FWD_ETH_RING].eth, 0, m, (uint16_t)k) != k)
			fwd_die("the receive queue is full");
	}
}

/* ---- the start ---- */

bool fwd_eal(const char *prefix, const char *cores, unsigned memory_mb, const char *vdev)
{
	char lcores[32], mem[16], file[64], device[256];
	char *argv[] = {"bench_forward",
	                "--no-huge",
	                "--no-shconf",
	                "--no-pci",
	                "--no-telemetry",
	                "--iova-mode=va",
	                "--log-level=*:error",
	                "-m",
	                mem,
	                lcores,
	                file,
	                vdev ? device : NULL,
	                NULL};

	snprintf(lcores, sizeof(lcores), "--lcores=%s", cores);
	snprintf(mem, sizeof(mem), "%u", memory_mb);
	snprintf(file, sizeof(file), "--file-prefix=%s", prefix);
	snprintf(device, sizeof(device), "--vdev=%s", vdev ? vdev : "");
	if (rte_eal_init((int)RTE_DIM(argv) - (vdev ? 1 : 2), argv) < 0)
		return false;
	rmdir(rte_eal_get_runtime_dir()); // it is empty
	return true;
}

static void open_port(const struct dp_conf_port *conf)
{
	struct dp_port_params p = {
	    .conf = conf,
	    .pool = ports.pool,
	    .workers = ports.workers,
	    .base_port = FWD_PORT,
	    .rundir = "/tmp",
	};
	int err = dp_port_open(&p);

	if (err)
		fwd_die("port %u: %s", dp_port_count, strerror(-err));
}

static int open_raw(const char *peer)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(peer)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); // receives nothing

	if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fwd_die("%s: %s", peer, strerror(errno));
	return fd;
}

static void open_link(const struct fwd_start *s)
{
	static struct dp_conf_port link;

	if (s->memif) {
		link = (struct dp_conf_port){.kind = DP_PORT_MEMIF, .role = DP_MEMIF_SERVER};
		snprintf(link.socket, sizeof(link.socket), "%s", s->memif);
	} else {
		link = (struct dp_conf_port){.kind = DP_PORT_AF_XDP};
		snprintf(link.interface, sizeof(link.interface), "%s", s->interface);
		ports.raw = open_raw(s->peer);
	}
	open_port(&link);
}

void fwd_start(const struct fwd_start *s)
{
	static const struct dp_conf_port ring = {.kind = DP_PORT_RING},
	                                 null = {.kind = DP_PORT_NULL};

	char cores[32];

	ports.workers = s->workers > 1 ? 2 : 1;
	if (ports.workers > 1)
		snprintf(cores, sizeof(cores), "0@%u,1@%u", s->cpu, s->second_cpu);
	else
		snprintf(cores, sizeof(cores), "0@%u", s->cpu);
	if (!fwd_eal(s->prefix, cores, MEMORY_MB, NULL))
		fwd_die("EAL: %s", rte_strerror(rte_errno));
	dp_clock_update(rte_get_tsc_hz());
	ports.backend = dp_srtp_backend_find("ipsec_mb");
	if (!ports.backend)
		fwd_die("no ipsec_mb on this CPU");
	ports.pool = dp_pool_new("packets", MBUFS, s->interface != NULL);
	if (!ports.pool)
		fwd_die("packet buffers: %s", rte_strerror(rte_errno));
	open_port(&ring);
	open_port(&null);
	if (s->memif || s->interface)
		open_link(s);
	dp_nodes_config.consent_s = 86400;   // nobody renews it here
	dp_nodes_config.history_video = 512; // as callstack-dataplane is configured
	dp_nodes_config.history_audio = 128;
	dp_nodes_config.bwe_min_kbps = 1000000; // nobody tells what arrives
	dp_nodes_config.bwe_start_kbps = dp_nodes_config.bwe_max_kbps = 1000000;
}
