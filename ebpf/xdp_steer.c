/* The steering program's life on an interface. Files here:
 *   steer.bpf.c      the program; steer.h and steer_stats.def are what it shares with the host
 *   xdp_object.c     writes it out with a port's constants for the DPDK driver to load
 *   xdp_attach.c     what happens when the driver attaches it
 *   xdp_steer.c      finds it on the interface again, holds it, reads its counters, removes it
 *   callstack_xdp.c  the operator's hand on it, for what a killed dataplane may leave behind
 *
 * An attachment by netlink outlives the process, and anyone may replace it. A bpf_link on the same
 * program, and so with the same maps and sockets, belongs to a file descriptor, goes when the
 * process goes, and makes the kernel refuse any other change (-EBUSY). */
#include "ebpf/xdp_steer.h"
#include "ebpf/xdp_attach.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { PROG_MAPS = 8 };

struct xdp_steer {
	unsigned ifindex;
	enum xdp_steer_mode mode;
	int prog_fd;
	int counters_fd;
	int link_fd; // -1: attached by netlink, outlives us
};

const char *const xdp_steer_stat_name[STEER_STAT_COUNT] = {
#define X(sym, help) #sym,
#include "ebpf/steer_stats.def"
#undef X
};

const char *const xdp_steer_stat_help[STEER_STAT_COUNT] = {
#define X(sym, help) help,
#include "ebpf/steer_stats.def"
#undef X
};

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static uint32_t mode_flags(enum xdp_steer_mode mode)
{
	switch (mode) {
	case XDP_STEER_NATIVE:
		return XDP_FLAGS_DRV_MODE;
	case XDP_STEER_GENERIC:
		return XDP_FLAGS_SKB_MODE;
	case XDP_STEER_OFFLOAD:
		return XDP_FLAGS_HW_MODE;
	case XDP_STEER_NONE:
		break;
	}
	return 0;
}

/* A descriptor of the program's map of that name, or -ENOENT. */
static int prog_map(int prog_fd, const char *name)
{
	struct bpf_prog_info prog = {};
	uint32_t ids[PROG_MAPS], len = sizeof(prog);

	prog.nr_map_ids = PROG_MAPS;
	prog.map_ids = (uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(prog_fd, &prog, &len) < 0)
		return -errno;
	for (uint32_t i = 0; i < prog.nr_map_ids && i < PROG_MAPS; i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		len = sizeof(map);
		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &map, &len) == 0 &&
		    strcmp(map.name, name) == 0)
			return fd;
		close_fd(fd);
	}
	return -ENOENT;
}

/* True: some process holds the program on the interface through a link. */
static bool is_held(uint32_t prog_id, unsigned ifindex)
{
	bool found = false;
	uint32_t id = 0;

	while (!found && bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = {};
		uint32_t len = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		found = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		        info.type == BPF_LINK_TYPE_XDP && info.prog_id == prog_id &&
		        info.xdp.ifindex == ifindex;
		close(fd);
	}
	return found;
}

/* Fills *out and, when the program is ours, gives its descriptor in *prog_fd (else -1). */
static int query(struct xdp_steer_info *out, unsigned ifindex, int *prog_fd)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	char name[IF_NAMESIZE];
	int fd, map, err;

	memset(out, 0, sizeof(*out));
	*prog_fd = -1;
	if (!if_indextoname(ifindex,
	                    name)) // which the query below takes for an interface without XDP
		return -ENODEV;
	err = bpf_xdp_query((int)ifindex, 0, &q);
	if (err)
		return err;
	/* Several at once: the driver's is the one that sees frames first. */
	if (q.drv_prog_id) {
		out->mode = XDP_STEER_NATIVE;
		out->prog_id = q.drv_prog_id;
	} else if (q.skb_prog_id) {
		out->mode = XDP_STEER_GENERIC;
		out->prog_id = q.skb_prog_id;
	} else if (q.hw_prog_id) {
		out->mode = XDP_STEER_OFFLOAD;
		out->prog_id = q.hw_prog_id;
	} else {
		return 0;
	}
	fd = bpf_prog_get_fd_by_id(out->prog_id);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	memcpy(out->name, info.name, sizeof(out->name));
	map = strcmp(out->name, STEER_PROG_NAME) == 0 ? prog_map(fd, STEER_COUNTERS_NAME) : -1;
	out->ours = map >= 0;
	close_fd(map);
	out->held = is_held(out->prog_id, ifindex);
	if (out->ours)
		*prog_fd = fd;
	else
		close(fd);
	return 0;
}

int xdp_steer_query(struct xdp_steer_info *out, unsigned ifindex)
{
	int fd, err = query(out, ifindex, &fd);

	close_fd(fd);
	return err;
}

/* Detaches this very program; one that replaced it meanwhile stays (-EEXIST). */
static int detach_netlink(unsigned ifindex, enum xdp_steer_mode mode, int prog_fd)
{
	return xdp_netlink_detach(ifindex, prog_fd, mode_flags(mode));
}

int xdp_steer_detach(unsigned ifindex)
{
	struct xdp_steer_info info;
	int fd, err;

	xdp_expected_drop(ifindex);
	err = query(&info, ifindex, &fd);
	if (err || info.mode == XDP_STEER_NONE)
		return err;
	if (!info.ours)
		return -EEXIST;
	err = info.held ? -EBUSY : detach_netlink(ifindex, info.mode, fd);
	close(fd);
	return err;
}

int xdp_steer_clear(unsigned ifindex, char *why, size_t size)
{
	struct xdp_steer_info info;
	char name[IF_NAMESIZE] = "?";
	int err;

	if_indextoname(ifindex, name);
	err = xdp_steer_query(&info, ifindex);
	if (err) {
		snprintf(why, size, "cannot ask which XDP program is on %s (interface %u): %s",
		         name, ifindex, strerror(-err));
		return err;
	}
	err = xdp_steer_detach(ifindex);
	if (err == -EEXIST)
		snprintf(why, size,
		         "%s has the XDP program \"%s\" (id %u) of someone else; remove it "
		         "(ip link set dev %s xdp off) or use another interface",
		         name, info.name, info.prog_id, name);
	else if (err == -EBUSY)
		snprintf(why, size, "another running CallStack dataplane holds %s", name);
	else if (err)
		snprintf(why, size, "cannot remove our old XDP program from %s: %s", name,
		         strerror(-err));
	return err;
}

/* Swaps a netlink attachment for a link. On failure it is attached as before. */
static int take_hold(struct xdp_steer *s)
{
	int err = detach_netlink(s->ifindex, s->mode, s->prog_fd);

	if (err)
		return err;
	s->link_fd = xdp_link_create(s->ifindex, s->prog_fd, s->mode);
	if (s->link_fd >= 0)
		return 0;
	s->link_fd = -1;
	return xdp_netlink_attach(s->ifindex, s->prog_fd,
	                          mode_flags(s->mode) | XDP_FLAGS_UPDATE_IF_NOEXIST);
}

static int hold_program(struct xdp_steer *s, bool held)
{
	if (xdp_expected_link(s->ifindex) < 0)
		return held ? -EBUSY : take_hold(s);
	s->link_fd = fcntl(xdp_expected_link(s->ifindex), F_DUPFD_CLOEXEC, 0);
	return s->link_fd < 0 ? -errno : 0;
}

int xdp_steer_open(struct xdp_steer **out, unsigned ifindex, bool hold)
{
	struct xdp_steer_info info;
	struct xdp_steer *s;
	int fd, err;

	*out = NULL;
	err = query(&info, ifindex, &fd);
	if (err)
		return err;
	if (!info.ours)
		return info.mode == XDP_STEER_NONE ? -ENOENT : -EEXIST;
	s = calloc(1, sizeof(*s));
	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->ifindex = ifindex;
	s->mode = info.mode;
	s->prog_fd = fd;
	s->link_fd = -1;
	s->counters_fd = prog_map(fd, STEER_COUNTERS_NAME);
	err = s->counters_fd < 0 ? s->counters_fd : 0;
	if (!err && hold)
		err = hold_program(s, info.held);
	if (err) {
		xdp_steer_close(s);
		return err;
	}
	*out = s;
	return 0;
}

bool xdp_steer_held(const struct xdp_steer *s)
{
	return s->link_fd >= 0;
}

enum xdp_steer_mode xdp_steer_mode(const struct xdp_steer *s)
{
	return s->mode;
}

int xdp_steer_counters(struct xdp_steer *s, uint64_t v[STEER_STAT_COUNT])
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	uint64_t *each;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (uint32_t key = 0; !err && key < STEER_STAT_COUNT; key++) {
		v[key] = 0;
		if (bpf_map_lookup_elem(s->counters_fd, &key, each) < 0)
			err = -errno;
		for (int cpu = 0; cpu < cpus; cpu++)
			v[key] += each[cpu];
	}
	free(each);
	return err;
}

void xdp_steer_close(struct xdp_steer *s)
{
	if (!s)
		return;
	if (s->link_fd >= 0)
		xdp_expected_drop(s->ifindex);
	close_fd(s->link_fd);
	close_fd(s->counters_fd);
	close_fd(s->prog_fd);
	free(s);
}

unsigned xdp_steer_rx_queues(const char *ifname)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq req = {.ifr_data = (void *)&ch};
	unsigned n = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 1;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &req) == 0)
		n = ch.rx_count + ch.combined_count;
	close(fd);
	return n ? n : 1;
}
