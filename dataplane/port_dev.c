#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <unistd.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include "dataplane/port.h"
#include "ebpf/xdp_steer.h"
#include "shared/log.h"

#define SUBSYS "port"

enum { V6_PREFIX = 64 };

/* MTU and kind of a kernel interface. */
static int interface_facts(struct dp_port *p, const char *name)
{
	struct ifreq r = {0};
	int fd, err = 0;

	p->ifindex = if_nametoindex(name);
	if (!p->ifindex)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFMTU, &r) == 0)
		p->mtu = r.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)r.ifr_mtu;
	else
		err = -errno;
	if (!err && ioctl(fd, SIOCGIFFLAGS, &r) == 0)
		p->loopback = (r.ifr_flags & IFF_LOOPBACK) != 0;
	if (!err && ioctl(fd, SIOCGIFHWADDR, &r) == 0) {
		memcpy(p->mac, r.ifr_hwaddr.sa_data, 6);
		if (!p->loopback && r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
			err = -EPROTONOSUPPORT;
	}
	close(fd);
	return err;
}

/* What a socket sends over lo carries its route with it; what we send does not, and so is looked at
 * like a stranger's: a source in 127/8, or any address of this host, is a martian without these. */
static void allow_local_sources(const char *name)
{
	static const char *const knob[] = {"route_localnet", "accept_local"};
	char path[96];

	for (unsigned i = 0; i < 2; i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", name, knob[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) != 1)
			sh_warn(SUBSYS, "%s: %s; what we send on %s may not be taken", path,
			        strerror(errno), name);
		if (fd >= 0)
			close(fd);
	}
}

static int write_program(const struct dp_port *p, const struct dp_port_params *params, char *path,
                         size_t size)
{
	struct xdp_steer_cfg cfg = {
	    .base_port = params->base_port,
	    .ports = (uint16_t)params->workers,
	    .addrs = (uint16_t)params->addrs,
	    .v6_prefix = V6_PREFIX,
	    .stun = {params->stun_rate, params->stun_burst},
	    .unknown = {params->stun_rate, params->stun_burst},
	};

	memcpy(cfg.addr, params->addr, sizeof(cfg.addr));
	snprintf(path, size, "%s/steer-%s.o", params->rundir, p->conf->interface);
	return xdp_steer_write_object(path, &cfg);
}

/* Queues that the driver can have: combined channels, else one. */
static unsigned driver_queues(const char *name)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq r = {.ifr_data = (void *)&ch};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return 1;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	err = ioctl(fd, SIOCETHTOOL, &r);
	close(fd);
	return err < 0 || ch.max_combined == 0 || ch.combined_count == 0 ? 1 : ch.combined_count;
}

static int vdev(struct dp_port *p, const char *args)
{
	int err = rte_eal_hotplug_add("vdev", p->name, args);

	if (!err)
		err = rte_eth_dev_get_port_by_name(p->name, &p->eth);
	if (err)
		sh_error(SUBSYS, "%s,%s: %s", p->name, args, strerror(-err));
	return err;
}

static int af_xdp(struct dp_port *p, const struct dp_port_params *params)
{
	static const enum xdp_steer_want want[] = {
	    [DP_XDP_AUTO] = XDP_STEER_WANT_AUTO,
	    [DP_XDP_NATIVE] = XDP_STEER_WANT_NATIVE,
	    [DP_XDP_GENERIC] = XDP_STEER_WANT_GENERIC,
	};
	const struct dp_conf_port *c = params->conf;
	char path[192], args[320], why[256];
	unsigned has, can;
	int err;

	err = interface_facts(p, c->interface);
	if (err) {
		sh_error(SUBSYS, "interface %s: %s", c->interface, strerror(-err));
		return err;
	}
	if (p->loopback)
		allow_local_sources(c->interface);
	err = xdp_steer_clear(p->ifindex, why, sizeof(why));
	if (err) {
		sh_error(SUBSYS, "%s: %s", c->interface, why);
		return err;
	}
	err = write_program(p, params, path, sizeof(path));
	if (!err)
		err = xdp_steer_expect(p->ifindex, want[c->xdp_mode]);
	if (err) {
		sh_error(SUBSYS, "%s: XDP program: %s", c->interface, strerror(-err));
		return err;
	}
	p->steered = true;
	/* A queue without a socket would leave its media to the kernel. */
	has = xdp_steer_rx_queues(c->interface);
	can = driver_queues(c->interface);
	p->rx_queues = (uint16_t)(c->queues && c->queues < can ? c->queues : can);
	if (p->rx_queues < has)
		sh_warn(SUBSYS,
		        "%s has %u receive queues, media on all but the first %u goes to the "
		        "kernel; see "
		        "`ethtool -L %s`",
		        c->interface, has, p->rx_queues, c->interface);
	/* busy_budget=0: else each empty poll is a system call. */
	snprintf(args, sizeof(args),
	         "iface=%s,start_queue=0,queue_count=%u,xdp_prog=%s,busy_budget=0%s", c->interface,
	         p->rx_queues, path,
	         c->xdp_mode == DP_XDP_GENERIC || p->loopback ? ",force_copy=1" : "");
	return vdev(p, args);
}

/* Both a PCI address and a virtual device are a device to probe. */
static int pci(struct dp_port *p, const struct dp_conf_port *c)
{
	struct rte_dev_iterator it;
	uint16_t id;
	int err = rte_dev_probe(c->pci);

	if (err && err != -EEXIST) {
		sh_error(SUBSYS, "%s: %s", c->pci, strerror(-err));
		return err;
	}
	p->eth = RTE_MAX_ETHPORTS;
	RTE_ETH_FOREACH_MATCHING_DEV(id, c->pci, &it)
	{
		p->eth = id;
		rte_eth_iterator_cleanup(&it);
		break;
	}
	if (p->eth == RTE_MAX_ETHPORTS) {
		sh_error(SUBSYS, "%s: no Ethernet device came of it", c->pci);
		return -ENODEV;
	}
	return rte_eth_dev_get_name_by_port(p->eth, p->name);
}

static int pcap(struct dp_port *p, const struct dp_conf_port *c)
{
	char args[600];

	snprintf(args, sizeof(args), "%s%s%s%s%s", c->rx_pcap[0] ? "rx_pcap=" : "", c->rx_pcap,
	         c->rx_pcap[0] && c->tx_pcap[0] ? "," : "", c->tx_pcap[0] ? "tx_pcap=" : "",
	         c->tx_pcap);
	p->rx_queues = 1;
	p->tx_queues = 1;
	return vdev(p, args);
}

int port_device(struct dp_port *p, const struct dp_port_params *params)
{
	const struct dp_conf_port *c = params->conf;
	unsigned n = dp_port_count;
	char args[256];

	p->mtu = 1500;
	for (unsigned i = 0; i < DP_PORT_FDS; i++)
		p->fd[i] = -1;
	p->rx_queues = p->tx_queues = (uint16_t)(c->queues ? c->queues : params->workers);
	switch ((enum dp_port_kind)c->kind) {
	case DP_PORT_AF_XDP:
		snprintf(p->name, sizeof(p->name), "net_af_xdp%u", n);
		return af_xdp(p, params);
	case DP_PORT_PCI:
		return pci(p, c);
	case DP_PORT_MEMIF:
		snprintf(p->name, sizeof(p->name), "net_memif%u", n);
		snprintf(args, sizeof(args),
		         "role=%s,id=%u,socket=%s,socket-abstract=no,bsize=2048",
		         c->role == DP_MEMIF_SERVER ? "server" : "client", c->id, c->socket);
		return vdev(p, args);
	case DP_PORT_RING:
		snprintf(p->name, sizeof(p->name), "net_ring%u", n);
		return vdev(p, "");
	case DP_PORT_NULL:
		snprintf(p->name, sizeof(p->name), "net_null%u", n);
		return vdev(p, "no-rx=1");
	case DP_PORT_PCAP:
		snprintf(p->name, sizeof(p->name), "net_pcap%u", n);
		return pcap(p, c);
	}
	return -EINVAL;
}

/* The driver does not tell its sockets; the youngest AF_XDP one is the queue's. */
void port_device_queue(struct dp_port *p, uint16_t queue)
{
	struct dirent *e;
	int best = -1;
	DIR *d;

	if (p->conf->kind != DP_PORT_AF_XDP || queue >= DP_PORT_FDS)
		return;
	d = opendir("/proc/self/fd");
	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name), domain = 0;
		socklen_t len = sizeof(domain);
		bool known = false;

		if (e->d_name[0] == '.' ||
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_XDP)
			continue;
		for (unsigned i = 0; i <= dp_port_count && i < DP_PORTS_MAX; i++)
			for (unsigned q = 0; q < DP_PORT_FDS; q++)
				known |= dp_ports[i].conf && dp_ports[i].fd[q] == fd;
		if (!known)
			best = fd;
	}
	if (d)
		closedir(d);
	p->fd[queue] = best;
}

int port_device_started(struct dp_port *p)
{
	static const char *const words[] = {"not at all", "natively", "generically", "in hardware"};
	int err;

	if (p->conf->kind != DP_PORT_AF_XDP)
		return 0;
	err = xdp_steer_open(&p->steer, p->ifindex, true);
	if (err) {
		sh_error(SUBSYS, "%s: XDP program: %s", p->conf->interface, strerror(-err));
		return err;
	}
	sh_info(SUBSYS, "%s: AF_XDP, program attached %s, %u queues%s", p->conf->interface,
	        words[xdp_steer_mode(p->steer)], p->rx_queues,
	        xdp_steer_held(p->steer) ? "" : "; the kernel will not detach it if we are killed");
	return 0;
}

void port_device_gone(struct dp_port *p)
{
	if (p->steer)
		xdp_steer_close(p->steer);
	else if (p->steered)
		xdp_steer_detach(p->ifindex);
	p->steer = NULL;
	p->steered = false;
}
