/* How the program gets onto the interface.
 *
 * DPDK 22.11's net_af_xdp attaches through libbpf's bpf_xdp_attach() with
 * XDP_FLAGS_UPDATE_IF_NOEXIST and nothing else: the driver's way or failure, by netlink, which
 * outlives the process; and at close it detaches whatever is there. So this file defines
 * bpf_xdp_attach() and bpf_xdp_detach() itself. The dynamic linker gives a program's own
 * definitions to every library (that is how malloc is replaced), and the DPDK driver lands here.
 * For an interface named by xdp_steer_expect() the program is attached through a bpf_link:
 * natively, or else generically; gone when this process is gone; and safe from everyone else. All
 * other calls go on to libbpf.
 *
 * A program that does not export these symbols (see meson.build) still works: xdp_steer_open() then
 * makes the link. */
#include "ebpf/xdp_attach.h"
#include "ebpf/xdp_steer.h"
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { EXPECTED_MAX = 16 };

/* Control thread only, as the port calls that lead here. */
static struct expected {
	unsigned ifindex; // 0: free
	enum xdp_steer_want want;
	int link_fd;
} expected[EXPECTED_MAX];

typedef int(attach_h)(int ifindex, int prog_fd, uint32_t flags,
                      const struct bpf_xdp_attach_opts *opts);
typedef int(detach_h)(int ifindex, uint32_t flags, const struct bpf_xdp_attach_opts *opts);

static struct expected *find(unsigned ifindex)
{
	for (unsigned i = 0; i < EXPECTED_MAX; i++)
		if (expected[i].ifindex == ifindex)
			return &expected[i];
	return NULL;
}

int xdp_steer_expect(unsigned ifindex, enum xdp_steer_want want)
{
	struct expected *e;

	if (!ifindex)
		return -EINVAL;
	xdp_expected_drop(ifindex);
	e = find(0);
	if (!e)
		return -ENOSPC;
	*e = (struct expected){.ifindex = ifindex, .want = want, .link_fd = -1};
	return 0;
}

int xdp_expected_link(unsigned ifindex)
{
	const struct expected *e = find(ifindex);

	return e ? e->link_fd : -1;
}

void xdp_expected_drop(unsigned ifindex)
{
	struct expected *e = find(ifindex);

	if (!e)
		return;
	if (e->link_fd >= 0)
		close(e->link_fd);
	e->ifindex = 0;
}

int xdp_link_create(unsigned ifindex, int prog_fd, enum xdp_steer_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
	            .flags = mode == XDP_STEER_NATIVE    ? XDP_FLAGS_DRV_MODE
	                     : mode == XDP_STEER_GENERIC ? XDP_FLAGS_SKB_MODE
	                                                 : 0);
	int fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

/* Generic is for drivers that cannot do it, never a way around a program that is there already. */
static int attach_expected(struct expected *e, int prog_fd)
{
	int fd = -EOPNOTSUPP;

	if (e->link_fd >= 0)
		return -EBUSY;
	if (e->want != XDP_STEER_WANT_GENERIC)
		fd = xdp_link_create(e->ifindex, prog_fd, XDP_STEER_NATIVE);
	if (fd < 0 && fd != -EBUSY && fd != -EEXIST && e->want != XDP_STEER_WANT_NATIVE)
		fd = xdp_link_create(e->ifindex, prog_fd, XDP_STEER_GENERIC);
	if (fd < 0)
		return fd;
	e->link_fd = fd;
	return 0;
}

static void *next_symbol(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

int bpf_xdp_attach(int ifindex, int prog_fd, uint32_t flags, const struct bpf_xdp_attach_opts *opts)
{
	struct expected *e = ifindex > 0 ? find((unsigned)ifindex) : NULL;
	attach_h *real;
	int err;

	if (e) {
		err = attach_expected(e, prog_fd);
		errno = err ? -err : errno;
		return err;
	}
	real = (attach_h *)next_symbol("bpf_xdp_attach");
	return real ? real(ifindex, prog_fd, flags, opts) : -ENOSYS;
}

int bpf_xdp_detach(int ifindex, uint32_t flags, const struct bpf_xdp_attach_opts *opts)
{
	detach_h *real;

	if (ifindex > 0 && find((unsigned)ifindex))
		return 0; // xdp_steer_close() does it
	real = (detach_h *)next_symbol("bpf_xdp_detach");
	return real ? real(ifindex, flags, opts) : -ENOSYS;
}

int xdp_netlink_attach(unsigned ifindex, int prog_fd, uint32_t flags)
{
	attach_h *real = (attach_h *)next_symbol("bpf_xdp_attach");

	return real ? real((int)ifindex, prog_fd, flags, NULL) : -ENOSYS;
}

int xdp_netlink_detach(unsigned ifindex, int prog_fd, uint32_t flags)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = prog_fd);
	detach_h *real = (detach_h *)next_symbol("bpf_xdp_detach");

	return real ? real((int)ifindex, flags | XDP_FLAGS_REPLACE, &opts) : -ENOSYS;
}
