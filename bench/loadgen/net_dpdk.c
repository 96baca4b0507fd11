/* Frames through DPDK: AF_XDP on an interface, or memif to a server whose port is one; what comes
 * is taken by dpdk_rx.c. One address and one UDP port for each transport, so that the port is the
 * index of the peer. The driver, the pool that it wants and the steering program are the server's
 * (dataplane/pool.c, ebpf/): they move frames and know nothing of media. Other packets go on to the
 * kernel, so signaling works over the same interface. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/if_xdp.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_udp.h>
#include "bench/loadgen/dpdk.h"
#include "dataplane/port.h"
#include "ebpf/xdp_steer.h"

enum {
	MBUFS = LG_DPDK_QUEUE + 16384 - 1,
	MEMORY_MB = 256,
	DESCS = 2048,
	BURST = 32,
	TURNS = 8, // received between looking at what is due
	HEAD = LG_DPDK_HEAD,
	LINK_MS = 10000,
	SLACK_NS = 5000,
	SLEEP_NS =
	    50000, // when nothing came: what is due leaves so much too late, but several at once
};

static struct {
	struct rte_ether_addr own, server;
	struct xdp_steer *steer;
	unsigned ifindex;
	char program[64];
	unsigned ports;
	struct rte_mbuf *out[BURST];
	uint16_t n_out;
	uint16_t ip_id;
} dk;

/* ---- the device ---- */

static int eal(void)
{
	char lcores[32], prefix[40], memory[16];
	char *argv[] = {(char *)"loadgen",
	                (char *)"--no-huge",
	                (char *)"--no-shconf",
	                (char *)"--no-pci",
	                (char *)"--no-telemetry",
	                (char *)"--iova-mode=va",
	                (char *)"--log-level=*:warning",
	                (char *)"-m",
	                memory,
	                lcores,
	                prefix,
	                NULL};
	cpu_set_t allowed;
	int cpu = lg_sc.lcore[0] ? atoi(lg_sc.lcore) : -1;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int c = 0; c < CPU_SETSIZE && cpu < 0; c++)
		if (CPU_ISSET(c, &allowed))
			cpu = c;
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	snprintf(prefix, sizeof(prefix), "--file-prefix=loadgen-%d", (int)getpid());
	snprintf(memory, sizeof(memory), "%u", MEMORY_MB);
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0)
		return -EIO;
	rmdir(rte_eal_get_runtime_dir()); // it is empty
	return 0;
}

static int vdev(const char *name, const char *args)
{
	int err = rte_eal_hotplug_add("vdev", name, args);

	return err ? err : rte_eth_dev_get_port_by_name(name, &lg_dpdk.eth);
}

static int af_xdp(void)
{
	struct xdp_steer_cfg cfg = {
	    .base_port = (uint16_t)lg_sc.base_port, .ports = (uint16_t)dk.ports, .v6_prefix = 64};
	char why[256], args[256];
	int err;

	dk.ifindex = if_nametoindex(lg_sc.interface);
	if (!dk.ifindex)
		return -errno;
	err = xdp_steer_clear(dk.ifindex, why, sizeof(why));
	if (err) {
		lg_say("%s: %s", lg_sc.interface, why);
		return err;
	}
	snprintf(dk.program, sizeof(dk.program), "/dev/shm/loadgen-%d.o", (int)getpid());
	err = xdp_steer_write_object(dk.program, &cfg);
	if (!err)
		err = xdp_steer_expect(dk.ifindex, XDP_STEER_WANT_AUTO);
	if (err)
		return err;
	snprintf(args, sizeof(args),
	         "iface=%s,start_queue=0,queue_count=1,xdp_prog=%s,busy_budget=0", lg_sc.interface,
	         dk.program);
	return vdev("net_af_xdp0", args);
}

static int memif(void)
{
	char args[256];

	snprintf(args, sizeof(args),
	         "role=client,id=0,socket=%s,socket-abstract=no,bsize=2048,rsize=14", lg_sc.socket);
	for (unsigned i = 0; i < LINK_MS / 5 && access(lg_sc.socket, F_OK) != 0; i++)
		usleep(5000);
	return vdev("net_memif0", args);
}

static int start(void)
{
	struct rte_eth_conf conf = {0};
	uint16_t rx = DESCS, tx = DESCS;
	struct rte_eth_link link = {0};
	int err = rte_eth_dev_configure(lg_dpdk.eth, 1, 1, &conf);

	if (!err)
		err = rte_eth_dev_adjust_nb_rx_tx_desc(lg_dpdk.eth, &rx, &tx);
	if (!err)
		err = rte_eth_rx_queue_setup(lg_dpdk.eth, 0, rx, SOCKET_ID_ANY, NULL, lg_dpdk.pool);
	if (!err)
		err = rte_eth_tx_queue_setup(lg_dpdk.eth, 0, tx, SOCKET_ID_ANY, NULL);
	if (!err)
		err = rte_eth_dev_start(lg_dpdk.eth);
	if (!err)
		err = rte_eth_macaddr_get(lg_dpdk.eth, &dk.own);
	if (!err && lg_sc.transport == LG_AF_XDP)
		err = xdp_steer_open(&dk.steer, dk.ifindex, true);
	if (dk.program[0])
		unlink(dk.program); // the kernel has it
	for (unsigned i = 0; !err && i < LINK_MS / 5; i++) {
		if (rte_eth_link_get_nowait(lg_dpdk.eth, &link) == 0 && link.link_status)
			return 0;
		usleep(5000);
	}
	return err ? err : -ENETDOWN;
}

/* Transports that the scenario can have at most. */
static unsigned most_peers(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < lg_sc.participants; i++)
		n += (i < lg_sc.publishers) + lg_watched(&lg_sc, i);
	n *= lg_sc.rooms;
	return n > 65536 - lg_sc.base_port ? 65536 - lg_sc.base_port : (unsigned)n;
}

static int dpdk_open(void)
{
	int err;

	dk.ports = most_peers();
	lg_dpdk.peer = calloc(dk.ports + 1, sizeof(struct lg_peer *));
	memset(&dk.server, 0xff, sizeof(dk.server));
	if (!lg_dpdk.peer || inet_pton(AF_INET, lg_sc.address, &lg_dpdk.address) != 1)
		return -EINVAL;
	if (lg_sc.server_mac[0] && rte_ether_unformat_addr(lg_sc.server_mac, &dk.server)) {
		lg_say("net.server_mac: %s is no link address", lg_sc.server_mac);
		return -EINVAL;
	}
	err = eal();
	if (!err) {
		lg_dpdk.pool = dp_pool_new("loadgen", MBUFS, true); // packed: half the memory
		err = lg_dpdk.pool ? 0 : -ENOMEM;
	}
	if (!err)
		err = lg_sc.transport == LG_AF_XDP ? af_xdp() : memif();
	if (!err)
		err = start();
	return err ? err : lg_dpdk_rx_open();
}

/* For a cache of buffers, and sleeps that are not half as long again. */
static void dpdk_enter(void)
{
	(void)rte_thread_register();
	prctl(PR_SET_TIMERSLACK, SLACK_NS);
}

/* ---- peers ---- */

static int dpdk_flow(struct lg_peer *p)
{
	unsigned i = atomic_load(&lg_dpdk.used);

	if (i == dk.ports)
		return -EADDRNOTAVAIL;
	p->fd = (int)i;
	p->local = (struct sockaddr_in){.sin_family = AF_INET,
	                                .sin_port = htons((uint16_t)(lg_sc.base_port + i)),
	                                .sin_addr = lg_dpdk.address};
	lg_dpdk.peer[i] = p;
	atomic_store(&lg_dpdk.used, i + 1);
	return 0;
}

static int dpdk_start(struct lg_peer *p)
{
	return 0;
}

static void dpdk_end(struct lg_peer *p)
{
}

/* ---- frames ---- */

static void dpdk_flush(void)
{
	uint16_t done = 0;

	for (unsigned tries = 0; done < dk.n_out && tries < 1000; tries++)
		done += rte_eth_tx_burst(lg_dpdk.eth, 0, dk.out + done, dk.n_out - done);
	if (done < dk.n_out) // lost: the receivers will tell
		rte_pktmbuf_free_bulk(dk.out + done, dk.n_out - done);
	dk.n_out = 0;
}

static void put_head(const struct lg_peer *p, uint8_t *f, size_t len)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	*eth = (struct rte_ether_hdr){dk.server, dk.own, RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	*ip = (struct rte_ipv4_hdr){
	    .version_ihl = 0x45,
	    .total_length = rte_cpu_to_be_16((uint16_t)(len + 28)),
	    .packet_id = rte_cpu_to_be_16(dk.ip_id++),
	    .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
	    .time_to_live = 64,
	    .next_proto_id = IPPROTO_UDP,
	    .src_addr = p->local.sin_addr.s_addr,
	    .dst_addr = p->remote.sin_addr.s_addr,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){
	    .src_port = p->local.sin_port,
	    .dst_port = p->remote.sin_port,
	    .dgram_len = rte_cpu_to_be_16((uint16_t)(len + 8)),
	};
}

static void dpdk_send(struct lg_peer *p, const void *buf, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(lg_dpdk.pool);
	struct rte_ipv4_hdr *ip;
	uint8_t *f;

	if (!m)
		return;
	f = rte_pktmbuf_mtod(m, uint8_t *);
	put_head(p, f, len);
	memcpy(f + HEAD, buf, len);
	ip = (struct rte_ipv4_hdr *)(f + 14);
	((struct rte_udp_hdr *)(ip + 1))->dgram_cksum = rte_ipv4_udptcp_cksum(ip, ip + 1);
	m->data_len = (uint16_t)(HEAD + len);
	m->pkt_len = m->data_len;
	dk.out[dk.n_out++] = m;
	if (dk.n_out == BURST)
		dpdk_flush();
}

/* For each packet that is sent several come: what has come goes first. */
static void dpdk_poll(uint64_t wait_ns)
{
	unsigned n = 0;

	lg_dpdk_drain();
	for (unsigned i = 0; i < TURNS; i++) {
		unsigned took = lg_dpdk_take();

		if (!took)
			break;
		n += took;
		lg_media_turn(LG_RECEIVE);
	}
	if (n == 0 && wait_ns)
		lg_media_sleep(SLEEP_NS);
}

static void dpdk_close(void)
{
	lg_dpdk_rx_close();
	rte_eth_dev_stop(lg_dpdk.eth);
	rte_eth_dev_close(lg_dpdk.eth);
	xdp_steer_close(dk.steer);
}

/* What found the queue full, and with AF_XDP what the driver lost as its ring was full, or it had
 * no buffers: it tells neither that nor its socket. */
static uint64_t dpdk_missed(void)
{
	struct xdp_statistics st;
	uint64_t n = lg_dpdk_dropped();
	struct dirent *e;
	DIR *d = lg_sc.transport == LG_AF_XDP ? opendir("/proc/self/fd") : NULL;

	while (d && (e = readdir(d))) {
		socklen_t len = sizeof(st);

		memset(&st, 0, sizeof(st));
		if (e->d_name[0] != '.' &&
		    getsockopt(atoi(e->d_name), SOL_XDP, XDP_STATISTICS, &st, &len) == 0)
			n += st.rx_dropped + st.rx_ring_full;
	}
	if (d)
		closedir(d);
	return n;
}

const struct lg_net lg_net_dpdk = {
    .name = "dpdk",
    .open = dpdk_open,
    .enter = dpdk_enter,
    .flow = dpdk_flow,
    .start = dpdk_start,
    .send = dpdk_send,
    .flush = dpdk_flush,
    .poll = dpdk_poll,
    .drain = lg_dpdk_drain,
    .gap = lg_dpdk_gap,
    .end = dpdk_end,
    .close = dpdk_close,
    .missed = dpdk_missed,
};
