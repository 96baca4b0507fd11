/* The program's life on lo (generic) and veth (native): attached as the DPDK driver does it, found,
 * held, removed, left behind by a kill -9; and someone else's program. Needs root. */
#include "ebpf/steer_test.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

enum { SKIPPED = 77, FLOOD = 50, BURST = 5 };

static const struct {
	const char *name;
	enum xdp_steer_mode mode;
} netdev[] = {{"lo", XDP_STEER_GENERIC}, {"t0", XDP_STEER_NATIVE}};

static struct xdp_steer_info query(const char *ifname)
{
	struct xdp_steer_info info;

	assert_int_equal(xdp_steer_query(&info, if_nametoindex(ifname)), 0);
	return info;
}

/* As net_af_xdp of DPDK 22.11 does: no mode, only if nothing is there, one socket a queue. */
static void attach_like_driver(struct t_prog *p, const char *ifname, bool with_socket)
{
	struct xdp_steer_cfg cfg = t_cfg();
	uint32_t queue = 0;
	int fd;

	cfg.stun = (struct xdp_steer_rate){1, BURST};
	t_load(p, &cfg);
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex(ifname), p->prog_fd,
	                                XDP_FLAGS_UPDATE_IF_NOEXIST, NULL),
	                 0);
	if (!with_socket)
		return;
	fd = t_socket(ifname, 0);
	assert_int_equal(bpf_map_update_elem(p->xsks_fd, &queue, &fd, 0), 0);
}

static int attach_foreign(const char *ifname, const char *name)
{
	const struct bpf_insn pass[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", pass, 2, NULL);

	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex(ifname), fd, 0, NULL), 0);
	return fd;
}

/* Sends STUN-like datagrams over lo to a media port; how many a kernel socket there received. */
static int flood_lo(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(T_PORT)};
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0), got = 0;
	char data[32] = {0};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(rx, (struct sockaddr *)&to, sizeof(to)), 0);
	for (int i = 0; i < FLOOD; i++)
		assert_int_equal(sendto(tx, data, 20, 0, (struct sockaddr *)&to, sizeof(to)), 20);
	usleep(100 * 1000);
	while (recv(rx, data, sizeof(data), MSG_DONTWAIT) > 0)
		got++;
	close(rx);
	close(tx);
	return got;
}

static void finds_holds_and_lets_go(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		unsigned ifindex = if_nametoindex(netdev[i].name);
		struct xdp_steer *s, *again;
		char why[200] = "";
		struct t_prog p;

		assert_int_equal(xdp_steer_open(&s, ifindex, true), -ENOENT);
		assert_int_equal(xdp_steer_detach(ifindex), 0);
		attach_like_driver(&p, netdev[i].name, false);
		assert_true(query(netdev[i].name).ours);
		assert_false(query(netdev[i].name).held);

		assert_int_equal(xdp_steer_open(&s, ifindex, true), 0);
		assert_true(xdp_steer_held(s));
		assert_int_equal(xdp_steer_mode(s), netdev[i].mode);
		assert_int_equal(query(netdev[i].name).mode, netdev[i].mode);
		assert_true(query(netdev[i].name).held);

		/* Held: nobody else can take it, the driver's own unguarded detach included. */
		assert_int_equal(xdp_steer_clear(ifindex, why, sizeof(why)), -EBUSY);
		assert_non_null(strstr(why, netdev[i].name));
		assert_int_equal(xdp_steer_detach(ifindex), -EBUSY);
		assert_int_equal(xdp_steer_open(&again, ifindex, true), -EBUSY);
		assert_true(bpf_xdp_detach((int)ifindex, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL) < 0);
		assert_int_equal(xdp_steer_open(&again, ifindex, false), 0); // a reader may look
		xdp_steer_close(again);
		assert_true(query(netdev[i].name).held);

		t_unload(&p);
		xdp_steer_close(s);
		assert_int_equal(query(netdev[i].name).mode, XDP_STEER_NONE);
	}
}

/* The same calls by the driver, on an interface that we expect it to attach to. */
static void carries_out_the_drivers_attach(void **state)
{
	const enum xdp_steer_want want[] = {XDP_STEER_WANT_AUTO, XDP_STEER_WANT_NATIVE,
	                                    XDP_STEER_WANT_GENERIC};

	for (size_t i = 0; i < 6; i++) {
		const char *name = netdev[i % 2].name;
		unsigned ifindex = if_nametoindex(name);
		enum xdp_steer_mode mode = netdev[i % 2].mode;
		struct xdp_steer *s;
		struct t_prog p;

		if (want[i / 2] == XDP_STEER_WANT_NATIVE && mode == XDP_STEER_GENERIC)
			continue; // lo has no driver
		if (want[i / 2] == XDP_STEER_WANT_GENERIC)
			mode = XDP_STEER_GENERIC;
		assert_int_equal(xdp_steer_expect(ifindex, want[i / 2]), 0);
		attach_like_driver(&p, name, false);
		assert_true(query(name).held);
		assert_int_equal(query(name).mode, mode);
		assert_int_equal(xdp_steer_open(&s, ifindex, true), 0);
		assert_true(xdp_steer_held(s));
		assert_int_equal(bpf_xdp_detach((int)ifindex, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL),
		                 0);
		assert_true(query(name).held);
		t_unload(&p);
		xdp_steer_close(s);
		assert_int_equal(query(name).mode, XDP_STEER_NONE);
	}
}

/* veth's driver takes no program when its peer's packets do not fit a page. */
static void falls_back_to_generic(void **state)
{
	unsigned ifindex = if_nametoindex("t0");
	struct t_prog p;

	assert_int_equal(system("ip link set t1 mtu 9000"), 0);
	assert_int_equal(xdp_steer_expect(ifindex, XDP_STEER_WANT_AUTO), 0);
	attach_like_driver(&p, "t0", false);
	assert_int_equal(query("t0").mode, XDP_STEER_GENERIC);
	assert_int_equal(xdp_steer_detach(ifindex), 0);
	assert_int_equal(xdp_steer_expect(ifindex, XDP_STEER_WANT_NATIVE), 0);
	assert_true(bpf_xdp_attach((int)ifindex, p.prog_fd, 0, NULL) < 0);
	assert_int_equal(xdp_steer_detach(ifindex), 0);
	assert_int_equal(system("ip link set t1 mtu 1500"), 0);
	t_unload(&p);
}

static void gives_up_what_was_never_opened(void **state)
{
	unsigned ifindex = if_nametoindex("lo");
	struct t_prog p;

	assert_int_equal(xdp_steer_expect(ifindex, XDP_STEER_WANT_AUTO), 0);
	attach_like_driver(&p, "lo", false);
	assert_true(query("lo").held);
	assert_int_equal(xdp_steer_detach(ifindex), 0);
	assert_int_equal(query("lo").mode, XDP_STEER_NONE);
	t_unload(&p);
}

/* Neither mode may displace a foreign program, and native only means native. */
static void refuses_where_it_must(void **state)
{
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	t_load(&p, &cfg);
	for (size_t i = 0; i < 2; i++) {
		unsigned ifindex = if_nametoindex(netdev[i].name);
		int fd = attach_foreign(netdev[i].name, "someone_else");

		assert_int_equal(xdp_steer_expect(ifindex, XDP_STEER_WANT_AUTO), 0);
		assert_true(
		    bpf_xdp_attach((int)ifindex, p.prog_fd, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL) < 0);
		assert_false(query(netdev[i].name).ours);
		assert_int_equal(xdp_steer_detach(ifindex), -EEXIST);
		assert_int_equal(bpf_xdp_detach((int)ifindex, 0, NULL), 0);
		close(fd);
	}
	assert_int_equal(xdp_steer_expect(if_nametoindex("lo"), XDP_STEER_WANT_NATIVE), 0);
	assert_true(bpf_xdp_attach((int)if_nametoindex("lo"), p.prog_fd, 0, NULL) < 0);
	assert_int_equal(xdp_steer_detach(if_nametoindex("lo")), 0);
	t_unload(&p);
}

static void counts_what_the_socket_gets(void **state)
{
	uint64_t v[STEER_STAT_COUNT];
	struct xdp_steer *s;
	struct t_prog p;

	attach_like_driver(&p, "lo", true);
	assert_int_equal(xdp_steer_open(&s, if_nametoindex("lo"), true), 0);
	assert_int_equal(flood_lo(), 0);
	assert_int_equal(xdp_steer_counters(s, v), 0);
	assert_int_equal(v[STEER_STAT_steered], BURST);
	assert_int_equal(v[STEER_STAT_stun_limited], FLOOD - BURST);
	xdp_steer_close(s);
	t_unload(&p);
	t_socket_close();
	assert_int_equal(flood_lo(), FLOOD);
}

/* Runs body in a child until it says it is ready, then kills it as the kernel's OOM killer would.
 */
static void kill_child_after_attach(const char *ifname, bool hold)
{
	struct xdp_steer *s;
	struct t_prog p;
	int ready[2];
	char c = 'x';
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1); // no further tests in here
		attach_like_driver(&p, ifname, true);
		if (hold && xdp_steer_open(&s, if_nametoindex(ifname), true) != 0)
			_exit(1);
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	assert_true(query(ifname).ours);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void held_program_dies_with_its_process(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		kill_child_after_attach(netdev[i].name, true);
		for (int ms = 0; ms < 2000 && query(netdev[i].name).mode != XDP_STEER_NONE;
		     ms += 10)
			usleep(10 * 1000);
		assert_int_equal(query(netdev[i].name).mode, XDP_STEER_NONE);
	}
}

static void leftover_is_harmless_and_replaceable(void **state)
{
	char why[200];

	kill_child_after_attach("lo", false);
	usleep(200 * 1000); // the kernel empties the map when it has closed the socket
	assert_true(query("lo").ours);
	assert_false(query("lo").held);
	assert_int_equal(flood_lo(), FLOOD);
	assert_int_equal(xdp_steer_clear(if_nametoindex("lo"), why, sizeof(why)), 0);
	assert_int_equal(query("lo").mode, XDP_STEER_NONE);

	kill_child_after_attach("t0", false);
	assert_int_equal(xdp_steer_detach(if_nametoindex("t0")), 0);
	assert_int_equal(query("t0").mode, XDP_STEER_NONE);
}

static void leaves_foreign_programs_alone(void **state)
{
	const char *const name[] = {"someone_else",
	                            STEER_PROG_NAME}; // a namesake without our maps too

	for (size_t n = 0; n < 2; n++) {
		for (size_t i = 0; i < 2; i++) {
			unsigned ifindex = if_nametoindex(netdev[i].name);
			int fd = attach_foreign(netdev[i].name, name[n]);
			struct xdp_steer *s;
			char why[200] = "";

			assert_false(query(netdev[i].name).ours);
			assert_int_equal(xdp_steer_clear(ifindex, why, sizeof(why)), -EEXIST);
			assert_non_null(strstr(why, netdev[i].name));
			assert_non_null(strstr(why, name[n]));
			assert_int_equal(xdp_steer_detach(ifindex), -EEXIST);
			assert_int_equal(xdp_steer_open(&s, ifindex, true), -EEXIST);
			assert_int_equal(query(netdev[i].name).mode, netdev[i].mode);
			assert_int_equal(bpf_xdp_detach((int)ifindex, 0, NULL), 0);
			close(fd);
		}
	}
}

static void says_no_such_interface(void **state)
{
	struct xdp_steer_info info;
	char why[200] = "";

	assert_int_equal(xdp_steer_clear(987654, why, sizeof(why)), -ENODEV);
	assert_non_null(strstr(why, "987654"));
	assert_int_equal(xdp_steer_query(&info, 987654), -ENODEV);
	assert_int_equal(xdp_steer_rx_queues("lo"), 1);
	assert_int_equal(xdp_steer_rx_queues("nonexistent"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_holds_and_lets_go),
	    cmocka_unit_test(carries_out_the_drivers_attach),
	    cmocka_unit_test(falls_back_to_generic),
	    cmocka_unit_test(gives_up_what_was_never_opened),
	    cmocka_unit_test(refuses_where_it_must),
	    cmocka_unit_test(counts_what_the_socket_gets),
	    cmocka_unit_test(held_program_dies_with_its_process),
	    cmocka_unit_test(leftover_is_harmless_and_replaceable),
	    cmocka_unit_test(leaves_foreign_programs_alone),
	    cmocka_unit_test(says_no_such_interface),
	};

	if (!t_enter_namespace()) {
		fprintf(stderr, "skipped: needs root, to make a network namespace and load BPF\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
