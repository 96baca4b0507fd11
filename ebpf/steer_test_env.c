#include "ebpf/steer_test.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/xsk.h>
#include <cmocka.h>

enum { UMEM_FRAMES = 64 };

bool t_enter_namespace(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0 &&
	       system("ip link add t0 type veth peer name t1") == 0 &&
	       system("ip addr add 192.0.2.1/24 dev t0") == 0 &&
	       system("ip link set t0 up && ip link set t1 up") == 0;
}

struct xdp_steer_cfg t_cfg(void)
{
	return (struct xdp_steer_cfg){.base_port = T_PORT, .ports = T_PORTS, .v6_prefix = 64};
}

void t_load(struct t_prog *out, const struct xdp_steer_cfg *cfg)
{
	char path[] = "/tmp/steer_test.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(xdp_steer_write_object(path, cfg), 0);
	out->obj = bpf_object__open_file(path, NULL);
	unlink(path);
	assert_non_null(out->obj);
	assert_int_equal(bpf_object__load(out->obj), 0);
	out->prog_fd = bpf_program__fd(bpf_object__next_program(out->obj, NULL));
	out->xsks_fd = bpf_object__find_map_fd_by_name(out->obj, STEER_XSKS_NAME);
	out->counters_fd = bpf_object__find_map_fd_by_name(out->obj, STEER_COUNTERS_NAME);
	assert_true(out->prog_fd >= 0 && out->xsks_fd >= 0 && out->counters_fd >= 0);
}

void t_unload(struct t_prog *p)
{
	bpf_object__close(p->obj);
}

static struct {
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	void *area;
} sock;

int t_socket(const char *ifname, unsigned queue)
{
	const size_t size = UMEM_FRAMES * XSK_UMEM__DEFAULT_FRAME_SIZE;
	struct xsk_socket_config cfg = {
	    .rx_size = UMEM_FRAMES,
	    .tx_size = UMEM_FRAMES,
	    .libbpf_flags = XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD,
	};

	assert_null(sock.xsk);
	sock.area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(sock.area != MAP_FAILED);
	assert_int_equal(
	    xsk_umem__create(&sock.umem, sock.area, size, &sock.fill, &sock.comp, NULL), 0);
	assert_int_equal(
	    xsk_socket__create(&sock.xsk, ifname, queue, sock.umem, &sock.rx, &sock.tx, &cfg), 0);
	return xsk_socket__fd(sock.xsk);
}

void t_socket_close(void)
{
	xsk_socket__delete(sock.xsk);
	xsk_umem__delete(sock.umem);
	munmap(sock.area, UMEM_FRAMES * XSK_UMEM__DEFAULT_FRAME_SIZE);
	sock.xsk = NULL;
}

void t_counters(const struct t_prog *p, uint64_t v[STEER_STAT_COUNT])
{
	uint64_t each[1024];

	assert_true(libbpf_num_possible_cpus() <= 1024);
	for (uint32_t key = 0; key < STEER_STAT_COUNT; key++) {
		assert_int_equal(bpf_map_lookup_elem(p->counters_fd, &key, each), 0);
		v[key] = 0;
		for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
			v[key] += each[cpu];
	}
}
