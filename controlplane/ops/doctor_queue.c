#include "controlplane/ops/doctor.h"

#include <stdio.h>
#include <string.h>
#include <linux/ethtool.h>

static void count_rx(const char *name, void *arg)
{
	*(unsigned *)arg += !strncmp(name, "rx-", 3);
}

/* Receive queues that the kernel has, and those the AF_XDP port will (dataplane/port_dev.c). */
static unsigned rx_queues(const struct doctor *d, const struct dp_conf_port *p,
                          const struct doctor_nic *nic, unsigned *sockets)
{
	unsigned has = 0, can = nic->has_channels && nic->combined ? nic->combined : 1;

	doctor_entries(d, count_rx, &has, "/sys/class/net/%s/queues", p->interface);
	*sockets = p->queues && p->queues < can ? p->queues : can;
	return has ? has : 1;
}

static void queues_of(struct doctor *d, const struct dp_conf_port *p, unsigned i)
{
	struct doctor_nic nic;
	bool probed = doctor_nic(d, &nic, p->interface);
	unsigned sockets, has = rx_queues(d, p, &nic, &sockets);
	const char *name = p->interface;

	if (!probed) // how many queues can have sockets is the driver's to say
		sockets = p->queues && p->queues < has ? p->queues : has;
	if (has > sockets) {
		doctor_say(d, DOCTOR_PROBLEM, "%s has %u receive queues, %u of them AF_XDP sockets",
		           name, has, sockets);
		if (p->queues && p->queues < has && nic.combined >= has)
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.queues=0", i);
		if (nic.has_channels && nic.combined_max)
			doctor_fix(d, "ethtool -L %s combined %u", name,
			           d->workers < nic.combined_max ? d->workers : nic.combined_max);
		else
			doctor_fix(d, "ethtool -L %s rx 1", name);
	} else if (sockets < d->workers && nic.combined_max > sockets) {
		doctor_say(d, DOCTOR_WARNING, "%s has %u queues for %u workers, and can have %u",
		           name, sockets, d->workers, nic.combined_max);
		doctor_fix(d, "ethtool -L %s combined %u", name,
		           d->workers < nic.combined_max ? d->workers : nic.combined_max);
		if (p->queues)
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.queues=0", i);
	} else if (sockets < d->workers) {
		doctor_say(d, DOCTOR_ADVICE, "%s has %u queues for %u workers", name, sockets,
		           d->workers);
		doctor_fix(d, "conf/callstack up --set workers=%u", sockets);
	} else if (sockets > d->workers && strcmp(name, "lo") != 0) {
		doctor_say(d, DOCTOR_ADVICE, "%s has %u queues for %u workers", name, sockets,
		           d->workers);
		doctor_why(d, "a worker looks at several queues for what one could bring: shorter "
		              "batches, and more packet memory");
		doctor_fix(d, "ethtool -L %s combined %u", name, d->workers);
	} else {
		doctor_say(d, DOCTOR_OK, "%s: %u queues, %u workers", name, sockets, d->workers);
	}
}

void doctor_check_queues(struct doctor *d)
{
	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (doctor_is_xdp(d, p))
			queues_of(d, p, i);
		else if (p->kind == DP_PORT_PCI && p->queues && p->queues < d->workers) {
			doctor_say(d, DOCTOR_WARNING, "%s: queues: %u for %u workers", p->pci,
			           p->queues, d->workers);
			doctor_why(d, "a worker without a queue gets its packets from another");
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.queues=0", i);
		}
	}
}

void doctor_check_rss(struct doctor *d)
{
	const uint32_t ports = RXH_L4_B_0_1 | RXH_L4_B_2_3;
	struct doctor_nic nic;
	unsigned sockets;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];
		bool v4, v6;

		if (!doctor_is_xdp(d, p) || !doctor_nic(d, &nic, p->interface) || !nic.has_hash ||
		    rx_queues(d, p, &nic, &sockets) < 2)
			continue;
		v4 = (nic.hash_udp4 & ports) == ports;
		v6 = (nic.hash_udp6 & ports) == ports;
		if (v4 && v6) {
			doctor_say(d, DOCTOR_OK, "%s: UDP ports are hashed", p->interface);
			continue;
		}
		doctor_say(d, DOCTOR_ADVICE, "%s: UDP ports are not hashed over %s", p->interface,
		           v4   ? "IPv6"
		           : v6 ? "IPv4"
		                : "IPv4 and IPv6");
		if (!v4)
			doctor_fix(d, "ethtool -N %s rx-flow-hash udp4 sdfn", p->interface);
		if (!v6)
			doctor_fix(d, "ethtool -N %s rx-flow-hash udp6 sdfn", p->interface);
	}
}

void doctor_check_rings(struct doctor *d)
{
	enum { ENOUGH = 1024 };
	struct doctor_nic nic;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];
		unsigned rx, tx;

		if (!doctor_is_xdp(d, p) || !doctor_nic(d, &nic, p->interface) || !nic.has_rings ||
		    !nic.rx_ring_max)
			continue;
		rx = nic.rx_ring_max < ENOUGH ? nic.rx_ring_max : ENOUGH;
		tx = nic.tx_ring_max < ENOUGH ? nic.tx_ring_max : ENOUGH;
		if (nic.rx_ring >= rx && nic.tx_ring >= tx) {
			doctor_say(d, DOCTOR_OK, "%s: %u receive, %u transmit descriptors", p->interface,
			           nic.rx_ring, nic.tx_ring);
			continue;
		}
		doctor_say(d, DOCTOR_ADVICE, "%s: %u of %u receive, %u of %u transmit descriptors",
		           p->interface, nic.rx_ring, nic.rx_ring_max, nic.tx_ring, nic.tx_ring_max);
		doctor_fix(d, "ethtool -G %s rx %u tx %u", p->interface,
		           nic.rx_ring > rx ? nic.rx_ring : rx, nic.tx_ring > tx ? nic.tx_ring : tx);
	}
}

/* ---- offloads ---- */

static bool on(const struct doctor_nic *nic, unsigned feature)
{
	return nic->features >> feature & 1;
}

/* A VLAN device on top of the interface ("eth0.5 | 5 | eth0" in /proc/net/vlan/config). */
static bool has_vlan(const struct doctor *d, const char *ifname)
{
	char path[512], line[256], parent[64];
	bool found = false;
	FILE *f;

	if (doctor_path(d, path, sizeof(path), "/proc/net/vlan/config"))
		return false;
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		found |= sscanf(line, "%*s | %*u | %63s", parent) == 1 && !strcmp(parent, ifname);
	if (f)
		fclose(f);
	return found;
}

static const char *const feature_name[] = {
#define X(sym, name) name,
    DOCTOR_FEATURES(X)
#undef X
};

static void turn(struct doctor *d, const char *ifname, const struct doctor_nic *nic,
                 enum doctor_level level, unsigned feature, const char *why)
{
	bool is = on(nic, feature), fixed = nic->fixed >> feature & 1;

	doctor_say(d, fixed ? DOCTOR_ADVICE : level, "%s: %s is %s%s", ifname,
	           feature_name[feature], is ? "on" : "off",
	           fixed ? ", and the driver does not let it be changed" : "");
	doctor_why(d, "%s", why);
	if (!fixed)
		doctor_fix(d, "ethtool -K %s %s %s", ifname, feature_name[feature],
		           is ? "off" : "on");
}

/* Better off; the tag's only where there are VLANs. */
static const struct {
	unsigned feature;
	enum doctor_level level;
	const char *why;
} better_off[] = {
    {DOCTOR_FEATURE_LRO, DOCTOR_WARNING,
     "many drivers refuse a native XDP program with it, and it merges frames before the program "
     "sees them"},
    {DOCTOR_FEATURE_GRO_HW, DOCTOR_ADVICE,
     "some drivers (virtio_net, bnxt) refuse a native XDP program with it"},
    {DOCTOR_FEATURE_GRO_LIST, DOCTOR_WARNING,
     "it strings UDP datagrams together before a generic XDP program sees them"},
    {DOCTOR_FEATURE_GRO_UDP, DOCTOR_WARNING,
     "it merges UDP datagrams before a generic XDP program sees them"},
    {DOCTOR_FEATURE_RX_VLAN, DOCTOR_WARNING,
     "the NIC takes the VLAN tag out of the frame: the program cannot tell VLANs apart, and "
     "answers go out without a tag"},
};

static void offloads_of(struct doctor *d, const char *name, const struct doctor_nic *nic)
{
	unsigned before = d->n;

	for (size_t i = 0; i < sizeof(better_off) / sizeof(better_off[0]); i++)
		if (on(nic, better_off[i].feature) &&
		    (better_off[i].feature != DOCTOR_FEATURE_RX_VLAN || has_vlan(d, name)))
			turn(d, name, nic, better_off[i].level, better_off[i].feature,
			     better_off[i].why);
	if (!on(nic, DOCTOR_FEATURE_RX_CSUM))
		turn(d, name, nic, DOCTOR_ADVICE, DOCTOR_FEATURE_RX_CSUM,
		     "the kernel sums each packet of signaling itself");
	if (d->n == before)
		doctor_say(d, DOCTOR_OK, "%s: nothing merges or strips frames", name);
}

void doctor_check_offloads(struct doctor *d)
{
	struct doctor_nic nic;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (doctor_is_xdp(d, p) && strcmp(p->interface, "lo") != 0 &&
		    doctor_nic(d, &nic, p->interface) && nic.has_features)
			offloads_of(d, p->interface, &nic);
	}
}
