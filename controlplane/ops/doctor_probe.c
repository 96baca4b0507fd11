/* What no file says: ethtool's ioctls, the XDP program, time synchronization. */
#include "controlplane/ops/doctor.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include "ebpf/xdp_steer.h"

static int ask(int fd, const char *ifname, void *command)
{
	struct ifreq r = {.ifr_data = command};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &r) < 0 ? -errno : 0;
}

static unsigned feature_count(int fd, const char *ifname)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t n;
	} q = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};

	return ask(fd, ifname, &q) || !q.info.sset_mask ? 0 : q.n;
}

static void take_features(struct doctor_nic *out, const struct ethtool_gstrings *names,
                          const struct ethtool_gfeatures *bits)
{
#define X(sym, name) name,
	static const char *const wanted[] = {DOCTOR_FEATURES(X)};
#undef X

	for (unsigned i = 0; i < names->len && i / 32 < bits->size; i++)
		for (unsigned k = 0; k < DOCTOR_FEATURE_COUNT; k++) {
			const struct ethtool_get_features_block *b = &bits->features[i / 32];
			uint32_t free = b->available & ~b->never_changed;

			if (strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN,
			            wanted[k], ETH_GSTRING_LEN) != 0)
				continue;
			out->features |= (b->active >> i % 32 & 1) << k;
			out->fixed |= (~free >> i % 32 & 1) << k;
		}
	out->has_features = true;
}

static void features(struct doctor_nic *out, int fd, const char *ifname)
{
	unsigned n = feature_count(fd, ifname), blocks = (n + 31) / 32;
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *bits =
	    calloc(1, sizeof(*bits) + blocks * sizeof(bits->features[0]));

	if (names && bits && n) {
		names->cmd = ETHTOOL_GSTRINGS;
		names->string_set = ETH_SS_FEATURES;
		names->len = n;
		bits->cmd = ETHTOOL_GFEATURES;
		bits->size = blocks;
		if (!ask(fd, ifname, names) && !ask(fd, ifname, bits) && names->len <= n &&
		    bits->size <= blocks)
			take_features(out, names, bits);
	}
	free(names);
	free(bits);
}

static void hash(struct doctor_nic *out, int fd, const char *ifname)
{
	struct ethtool_rxnfc v4 = {.cmd = ETHTOOL_GRXFH, .flow_type = UDP_V4_FLOW};
	struct ethtool_rxnfc v6 = {.cmd = ETHTOOL_GRXFH, .flow_type = UDP_V6_FLOW};

	out->has_hash = !ask(fd, ifname, &v4) && !ask(fd, ifname, &v6);
	out->hash_udp4 = (uint32_t)v4.data;
	out->hash_udp6 = (uint32_t)v6.data;
}

static void xdp(struct doctor_nic *out, const char *ifname)
{
	struct xdp_steer_info info;

	if (xdp_steer_query(&info, if_nametoindex(ifname)))
		return;
	out->has_xdp = true;
	out->xdp.mode = info.mode;
	out->xdp.ours = info.ours;
	snprintf(out->xdp.name, sizeof(out->xdp.name), "%s", info.name);
}

static void live_nic(struct doctor_nic *out, const char *ifname)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_ringparam ring = {.cmd = ETHTOOL_GRINGPARAM};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(out, 0, sizeof(*out));
	if (fd < 0)
		return;
	if (!ask(fd, ifname, &driver))
		snprintf(out->driver, sizeof(out->driver), "%.31s", driver.driver);
	if (!ask(fd, ifname, &ch)) {
		out->has_channels = true;
		out->combined = ch.combined_count;
		out->combined_max = ch.max_combined;
	}
	if (!ask(fd, ifname, &ring)) {
		out->has_rings = true;
		out->rx_ring = ring.rx_pending;
		out->rx_ring_max = ring.rx_max_pending;
		out->tx_ring = ring.tx_pending;
		out->tx_ring_max = ring.tx_max_pending;
	}
	features(out, fd, ifname);
	hash(out, fd, ifname);
	close(fd);
	xdp(out, ifname);
}

static int live_time_synced(void)
{
	struct timex t = {0};
	int state = adjtimex(&t);

	if (state < 0)
		return -errno;
	return state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

const struct doctor_probe doctor_live = {live_nic, live_time_synced};
