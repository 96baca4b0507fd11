/* Next hops as the kernel has them: two network namespaces and a veth between them; lo besides.
 * Needs root; skipped without. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <poll.h>
#include <cmocka.h>
#include "dataplane/route.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table.h"
#include "tests/fakes/netns.h"

enum { SKIP = 77, LO, VETH, FAR, PORTS = 3 };

static pid_t peer; // its namespace
static char path[64];
static uint8_t our_mac[6], peer_mac[6];

static void __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char cmd[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		fail_msg("%s", cmd);
}
#define THERE(fmt, ...) run("nsenter -t %d -n " fmt, peer, ##__VA_ARGS__)

static struct sh_addr addr(const char *text, uint16_t port)
{
	struct sh_addr a;

	assert_int_equal(sh_addr_parse(&a, text), 0);
	a.port = port;
	return a;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A turn of the control thread. */
static void turn(void)
{
	struct pollfd p = {.fd = dp_route_fd(), .events = POLLIN};

	poll(&p, 1, 20);
	dp_route_input();
	dp_route_tick(now_ns());
	dp_route_publish();
	dp_reap();
}

static const struct dp_path *want(uint32_t e, const char *local, const char *remote)
{
	struct sh_addr l = addr(local, 10000), r = addr(remote, 5000);

	dp_route_want(e, &l, &r);
	dp_route_publish();
	assert_non_null(dp_path(e));
	return dp_path(e);
}

static bool becomes(uint32_t e, bool routed, bool reachable)
{
	for (unsigned i = 0; i < 500; i++) {
		const struct dp_path *p = dp_path(e);

		if (p && p->routed == routed && p->reachable == reachable)
			return true;
		turn();
	}
	return false;
}

static bool mac_becomes(uint32_t e, const uint8_t mac[6])
{
	for (unsigned i = 0; i < 500; i++) {
		if (dp_path(e)->reachable && memcmp(dp_path(e)->header, mac, 6) == 0)
			return true;
		turn();
	}
	return false;
}

static void wait_nothing(void *arg)
{
}

static void open_all(const struct sh_addr *conf, unsigned confs)
{
	const struct dp_route_port port[PORTS] = {
	    {.eth = LO, .ifindex = if_nametoindex("lo"), .loopback = true, .mtu = 1500},
	    {.eth = VETH,
	     .ifindex = if_nametoindex("v0"),
	     .mtu = 1500,
	     .ol4 = 4,
	     .ol6 = 6,
	     .mac = {our_mac[0], our_mac[1], our_mac[2], our_mac[3], our_mac[4], our_mac[5]}},
	    {.eth = FAR, .mtu = 1400},
	};
	struct dp_route_params p = {
	    .port = port, .ports = PORTS - 1, .endpoints = 64, .addr = conf, .addrs = confs};

	/* The point-to-point link only where a test is about it: it would take what the kernel has
	 * no route for. */
	if (confs == 1)
		p.ports = PORTS;
	assert_int_equal(dp_route_open(&p), 0);
}

static int setup(void **state)
{
	struct dp_table_cfg cfg = {
	    .workers = 1, .backend = dp_srtp_backend_find("libsrtp2"), .wait = wait_nothing};
	bool created;

	snprintf(path, sizeof(path), "/tmp/route_test.%d", getpid());
	assert_int_equal(sh_slabs_create(&dp_slabs, path, 64, 1, 1, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	open_all(NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	dp_route_close();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	return unlink(path);
}

/* ---- tests ---- */

static unsigned has(const struct sh_addr *a, unsigned n, const char *text)
{
	struct sh_addr want_addr = addr(text, 0);
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += memcmp(&a[i], &want_addr, sizeof(want_addr)) == 0;
	return found;
}

static void addresses(void **state)
{
	struct sh_addr a[SH_MAX_ADDRS], conf[2] = {addr("192.0.2.7", 0), addr("2001:db8::7", 0)};
	unsigned n = dp_route_addresses(a, SH_MAX_ADDRS);

	assert_int_equal(has(a, n, "127.0.0.1"), 1);
	assert_int_equal(has(a, n, "::1"), 1);
	assert_int_equal(has(a, n, "10.9.0.1"), 1);
	assert_int_equal(has(a, n, "fd09::1"), 1);
	assert_int_equal(n, 4); // no link-local one
	assert_int_equal(dp_route_addresses(a, 2), 2);
	run("ip addr add 10.9.0.3/24 dev v0");
	for (unsigned i = 0; i < 100 && !has(a, n, "10.9.0.3"); i++) {
		turn();
		n = dp_route_addresses(a, SH_MAX_ADDRS);
	}
	assert_int_equal(has(a, n, "10.9.0.3"), 1);
	run("ip addr del 10.9.0.3/24 dev v0");
	dp_route_close();
	open_all(conf, 2);
	n = dp_route_addresses(a, SH_MAX_ADDRS);
	assert_int_equal(n, 2);
	assert_memory_equal(a, conf, sizeof(conf));
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)((s & 0xffff) + (s >> 16));
}

static void a_neighbour(void **state)
{
	const struct dp_path *p = want(3, "10.9.0.1", "10.9.0.2");
	static const uint8_t ip[] = {0x45, 0, 0,  0, 0, 0, 0x40, 0, 64, 17,
	                             0,    0, 10, 9, 0, 1, 10,   9, 0,  2};
	static const uint8_t udp[] = {0x27, 0x10, 0x13, 0x88, 0, 0, 0, 0};
	const uint16_t *words = (const uint16_t *)(const void *)ip;

	assert_true(p->routed);
	assert_true(becomes(3, true, true));
	p = dp_path(3);
	assert_memory_equal(p->header, peer_mac, 6);
	assert_memory_equal(p->header + 6, our_mac, 6);
	assert_memory_equal(p->header + 12, "\x08\x00", 2);
	assert_memory_equal(p->header + 14, ip, sizeof(ip));
	assert_memory_equal(p->header + 34, udp, sizeof(udp));
	assert_int_equal(p->len, 42);
	assert_int_equal(p->l2_len, 14);
	assert_int_equal(p->l3_len, 20);
	assert_int_equal(p->port, VETH);
	assert_int_equal(p->mtu, 1500);
	assert_int_equal(p->ol_flags, 4);
	assert_int_equal(p->pseudo, fold((uint32_t)words[6] + words[7] + words[8] + words[9] +
	                                 (uint32_t)__builtin_bswap16(17)));
	/* The same again changes nothing; another address of the peer does. */
	want(3, "10.9.0.1", "10.9.0.2");
	assert_ptr_equal(dp_path(3), p);
	assert_ptr_not_equal(want(3, "10.9.0.1", "10.9.0.9"), p);
	dp_route_drop(3);
	dp_route_publish();
	assert_null(dp_path(3));
}

static void an_ipv6_neighbour(void **state)
{
	const struct dp_path *p;

	want(3, "fd09::1", "fd09::2");
	assert_true(becomes(3, true, true));
	p = dp_path(3);
	assert_memory_equal(p->header, peer_mac, 6);
	assert_memory_equal(p->header + 12, "\x86\xdd\x60", 3);
	assert_int_equal(p->header[14 + 6], 17);
	assert_int_equal(p->header[14 + 8], 0xfd);
	assert_int_equal(p->header[14 + 23], 1);
	assert_int_equal(p->header[14 + 39], 2);
	assert_int_equal(p->len, 62);
	assert_int_equal(p->l3_len, 40);
	assert_int_equal(p->family, 6);
	assert_int_equal(p->ol_flags, 6);
}

static void nobody_answers(void **state)
{
	want(3, "10.9.0.1", "10.9.0.77");
	for (unsigned i = 0; i < 20; i++)
		turn();
	assert_true(dp_path(3)->routed);
	assert_false(dp_path(3)->reachable);
	/* Somebody comes up there: found without being asked again. */
	THERE("ip addr add 10.9.0.77/24 dev v1");
	assert_true(becomes(3, true, true));
	THERE("ip addr del 10.9.0.77/24 dev v1");
}

static void gateways_come_and_go(void **state)
{
	assert_false(want(3, "10.9.0.1", "192.0.2.5")->routed);
	assert_false(dp_path(3)->reachable);
	run("ip route add 192.0.2.0/24 via 10.9.0.2 mtu 1280");
	assert_true(becomes(3, true, true));
	assert_memory_equal(dp_path(3)->header, peer_mac, 6);
	assert_memory_equal(dp_path(3)->header + 30, "\xc0\x00\x02\x05", 4);
	assert_int_equal(dp_path(3)->mtu, 1280);
	run("ip route del 192.0.2.0/24");
	assert_true(becomes(3, false, false));
	run("ip route add unreachable 192.0.2.0/24");
	run("ip -6 route add default via fe80::1 dev v0");
	assert_false(want(4, "10.9.0.1", "192.0.2.6")->routed);
	run("ip route del unreachable 192.0.2.0/24");
	run("ip -6 route del default");
	/* An IPv4 route over an IPv6 neighbour (RFC 8950). */
	run("ip route add 192.0.2.0/24 via inet6 fd09::2 dev v0");
	assert_true(becomes(3, true, true));
	assert_memory_equal(dp_path(3)->header, peer_mac, 6);
	assert_int_equal(dp_path(3)->family, 4);
	run("ip route del 192.0.2.0/24");
}

static void many_share_a_hop(void **state)
{
	const uint8_t other[6] = {2, 0, 0, 0, 9, 9};

	run("ip route add 192.0.2.0/24 via 10.9.0.2");
	for (uint32_t e = 0; e < 60; e++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%u", e + 1);
		want(e, "10.9.0.1", text);
	}
	assert_true(becomes(0, true, true));
	for (uint32_t e = 0; e < 60; e += 2)
		dp_route_drop(e);
	/* The neighbour changes its link address. */
	run("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:09:09 dev v0 nud reachable");
	assert_true(mac_becomes(59, other));
	for (uint32_t e = 1; e < 60; e += 2)
		assert_memory_equal(dp_path(e)->header, other, 6);
	assert_null(dp_path(2));
	run("ip neigh del 10.9.0.2 dev v0");
	assert_true(mac_becomes(59, peer_mac)); // asked again
	run("ip route del 192.0.2.0/24");
}

static void a_neighbour_dies(void **state)
{
	want(3, "10.9.0.1", "10.9.0.2");
	assert_true(becomes(3, true, true));
	THERE("ip addr del 10.9.0.2/24 dev v1");
	run("ip neigh change 10.9.0.2 dev v0 nud stale");
	for (unsigned i = 0; i < 10; i++) {
		turn();
		assert_true(dp_path(3)->reachable); // stale is no reason
	}
	run("ip neigh change 10.9.0.2 dev v0 nud failed");
	assert_true(becomes(3, true, false));
	THERE("ip addr add 10.9.0.2/24 dev v1");
	assert_true(becomes(3, true, true));
}

static void over_lo(void **state)
{
	static const uint8_t zero[12];

	assert_true(want(3, "127.0.0.1", "127.0.0.1")->reachable);
	assert_memory_equal(dp_path(3)->header, zero, 12);
	assert_int_equal(dp_path(3)->port, LO);
	assert_true(want(4, "::1", "::1")->reachable);
	assert_int_equal(dp_path(4)->port, LO);
	/* A local client that talks to our other address comes over lo too. */
	assert_true(want(5, "10.9.0.1", "10.9.0.1")->reachable);
	assert_int_equal(dp_path(5)->port, LO);
}

static void point_to_point(void **state)
{
	struct sh_addr conf = addr("198.18.0.1", 0);

	dp_route_close();
	open_all(&conf, 1);
	assert_true(want(3, "198.18.0.1", "198.18.0.2")->reachable);
	assert_int_equal(dp_path(3)->port, FAR);
	assert_int_equal(dp_path(3)->mtu, 1400);
	assert_int_equal(want(4, "10.9.0.1", "10.9.0.2")->port, VETH);
}

static void odd_pairs(void **state)
{
	struct sh_addr none = {0}, v4 = addr("10.9.0.1", 1), v6 = addr("fd09::2", 1);

	dp_route_want(7, &none, &none);
	dp_route_publish();
	assert_null(dp_path(7));
	dp_route_want(7, &v4, &v6); // of two families
	dp_route_publish();
	assert_null(dp_path(7));
	want(7, "10.9.0.1", "10.9.0.2");
	dp_route_want(7, &v4, &none); // the endpoint lost its pair
	dp_route_publish();
	assert_null(dp_path(7));
	assert_false(want(7, "10.9.0.1", "224.0.0.5")->routed);
	assert_false(want(7, "10.9.0.1", "10.9.0.255")->routed);
}

static void the_link_goes_down(void **state)
{
	want(3, "10.9.0.1", "10.9.0.2");
	assert_true(becomes(3, true, true));
	run("ip link set v0 down");
	assert_true(becomes(3, false, false));
	run("ip link set v0 up");
	assert_true(becomes(3, true, true));
}

/* ---- namespaces ---- */

static void read_mac(const char *text, uint8_t mac[6])
{
	assert_int_equal(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
	                        &mac[3], &mac[4], &mac[5]),
	                 6);
}

static int build(void **state)
{
	peer = netns_hold();
	run("ip link set lo up");
	run("ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 address "
	    "02:00:00:00:00:02 netns %d",
	    peer);
	read_mac("02:00:00:00:00:01", our_mac);
	read_mac("02:00:00:00:00:02", peer_mac);
	run("ip addr add 10.9.0.1/24 dev v0");
	run("ip addr add fd09::1/64 dev v0 nodad");
	run("ip link set v0 up");
	THERE("ip addr add 10.9.0.2/24 dev v1");
	THERE("ip addr add fd09::2/64 dev v1 nodad");
	THERE("ip link set v1 up");
	return 0;
}

static int clean(void **state)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(addresses),
	    TEST(a_neighbour),
	    TEST(an_ipv6_neighbour),
	    TEST(nobody_answers),
	    TEST(gateways_come_and_go),
	    TEST(many_share_a_hop),
	    TEST(a_neighbour_dies),
	    TEST(over_lo),
	    TEST(point_to_point),
	    TEST(odd_pairs),
	    TEST(the_link_goes_down),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		printf("skipped: needs root\n");
		return SKIP;
	}
	return cmocka_run_group_tests_name("route", tests, build, clean);
}
