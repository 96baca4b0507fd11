/* callstack-dataplane as a process: it is started on lo of a network namespace of its own,
 * commanded over the link as the daemon does, and spoken to from a UDP socket as a browser does. It
 * is killed, restarted and stopped, and the daemon comes and goes. Usage: dataplane_test
 * PATH-OF-callstack-dataplane WORKERS lo|veth|tap; the endpoint is the last worker's, so with two,
 * lo's one queue is another's and everything is handed over. On veth the browser is in another
 * namespace, over IPv4 and IPv6; tap is a NIC with two queues under DPDK and its kernel twin, the
 * wire's end in the other namespace. Needs root; skipped without. */
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/dataplane_world.h"

enum { SKIP = 77 };

/* ---- tests, one story in order ---- */

static void starts_and_greets(void **state)
{
	dut_join(&dut.link);
	assert_int_equal(dut.hello.workers, dut.workers);
	assert_int_equal(dut.hello.base_port, BASE);
	assert_int_equal(dut.hello.max_endpoints, 4096);
	assert_in_range(dut.hello.addrs, 1, SH_MAX_ADDRS);
	assert_int_equal(dut.hello.addr[0].family, 4);
	assert_string_equal(inet_ntoa(*(struct in_addr *)dut.hello.addr[0].ip), dut.media_text);
	assert_true(dut_attached());
}

static void one_daemon_at_a_time(void **state)
{
	struct sh_link other = SH_LINK_CLOSED;
	char path[128], why[128] = "";
	struct pollfd p;
	int err;

	snprintf(path, sizeof(path), "%s/%s", dut.rundir, SH_LINK_SOCKET);
	assert_int_equal(sh_link_connect(&other, path), 0);
	p = (struct pollfd){.fd = other.sock, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	err = sh_link_welcomed(&other, (uid_t)-1, why, sizeof(why));
	assert_int_not_equal(err, 0);
	assert_true(why[0] != 0);
	sh_link_close(&other);
	assert_true(sh_link_alive(&dut.link));
}

/* What the threads may do: control asks the kernel for neighbours, nobody else may do anything. */
static void has_few_rights(void **state)
{
	char path[300], line[256];
	struct dirent *e;
	unsigned threads = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", dut.pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		unsigned long long eff = 99, prm = 99;
		int nnp = 0;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", dut.pid, e->d_name);
		f = fopen(path, "re");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f)) {
			sscanf(line, "CapEff: %llx", &eff);
			sscanf(line, "CapPrm: %llx", &prm);
			sscanf(line, "NoNewPrivs: %d", &nnp);
		}
		fclose(f);
		threads++;
		assert_int_equal(nnp, 1);
		assert_int_equal(eff, atoi(e->d_name) == dut.pid ? 1 << 12 : 0);
		assert_int_equal(prm, eff);
	}
	closedir(d);
	assert_in_range(threads, 1 + dut.workers, 3 + dut.workers);
}

static void check_and_talk(void)
{
	struct sh_addr local;

	assert_int_equal(sh_addr_parse(&local, dut.media_text), 0);
	assert_int_equal(browser_check("wrongwrongwrongwrongwrong"), 0x111);
	assert_int_equal(browser_check(PWD), 0x101);
	assert_true(dut_event(&dut.link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(dut_body.endpoint.id, EP);
	assert_int_equal(dut_body.endpoint.ice, SH_ICE_CONNECTED);
	assert_int_equal(dut_body.endpoint.local.port, BASE + dut.workers - 1);
	assert_int_equal(dut_body.endpoint.local.family, local.family);
	assert_memory_equal(dut_body.endpoint.local.ip, local.ip, 16);
	/* Over veth the kernel resolves the neighbour first. */
	for (unsigned i = 0; i < 20 && !flight_arrives(&dut.link, NOTHING_MS); i++)
		dut_nap();
	assert_true(flight_arrives(&dut.link, WAIT_MS));
	assert_true(dtls_is_punted(&dut.link));
}

static void connects(void **state)
{
	assert_int_equal(dut_commit(&dut.link, true), 0);
	assert_false(flight_arrives(&dut.link, NOTHING_MS)); // nowhere to go yet
	check_and_talk();
}

/* From whichever source port, so over whichever queue. */
static void from_many_ports(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		browser_open();
		assert_int_equal(browser_check(PWD), 0x101);
	}
	/* The way to the newest address may come a moment after the check's answer: DTLS sends
	 * again. */
	assert_true(flight_arrives(&dut.link, WAIT_MS) || flight_arrives(&dut.link, WAIT_MS));
}

static void moves_to_ipv6(void **state)
{
	dut.media_text = "fd08::1";
	dut.browser_text = "fd08::2";
	browser_open();
	while (dut_event(&dut.link, SH_MSG_ENDPOINT_STATE, 100))
		;
	check_and_talk();
	assert_int_equal(dut_body.packet.len, 33);
}

/* The wire's end goes to the other namespace, the twin gets the address. */
static void starts_beside_a_tap(void **state)
{
	dut_join(&dut.link);
	assert_int_equal(dut_shell("ip link set wire0 netns %d", dut.peer), 0);
	assert_int_equal(dut_shell("nsenter -t %d -n ip addr add 10.8.0.2/24 dev wire0", dut.peer),
	                 0);
	assert_int_equal(dut_shell("nsenter -t %d -n ip link set wire0 up", dut.peer), 0);
	assert_int_equal(dut_shell("ip addr add 10.8.0.1/24 dev cs0"), 0);
	assert_int_equal(dut_shell("ip link set cs0 up"), 0);
	browser_open();
}

/* What is not media goes between wire and kernel: ARP, then ICMP, both ways. */
static void the_kernel_answers(void **state)
{
	assert_int_equal(
	    dut_shell("nsenter -t %d -n ping -q -c 3 -i 0.2 -W 5 10.8.0.1 > /dev/null", dut.peer),
	    0);
	assert_int_equal(dut_shell("ping -q -c 3 -i 0.2 -W 5 10.8.0.2 > /dev/null"), 0);
}

static void outlives_the_daemon(void **state)
{
	uint64_t epoch = dut.hello.epoch;

	sh_link_close(&dut.link);
	assert_int_equal(browser_check(PWD), 0x101);
	dut_join(&dut.link);
	assert_int_equal(dut.hello.epoch, epoch);
	assert_int_equal(dut.hello.daemon_epoch, 42);
	assert_true(flight_arrives(&dut.link, WAIT_MS));
	/* A replay, and the new daemon learns how things stand. */
	assert_int_equal(dut_commit(&dut.link, true), 0);
	assert_true(dut_event(&dut.link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(dut_body.endpoint.ice, SH_ICE_CONNECTED);
}

static void a_hostile_daemon_is_refused(void **state)
{
	static const uint8_t junk[4000];
	struct sh_msg_endpoint_set e = {.id = EP}; // malformed: no ufrag
	struct sh_msg_begin b = {.txn = ++dut.txn};
	struct sh_msg_commit c = {.txn = dut.txn, .records = 1};

	dut_put(&dut.link, SH_MSG_BEGIN, &b, sizeof(b));
	dut_put(&dut.link, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	dut_put(&dut.link, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(dut_event(&dut.link, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_not_equal(dut_body.committed.error, 0);
	dut_put(&dut.link, 60, junk, sizeof(junk));    // no such type
	dut_put(&dut.link, SH_MSG_E_HELLO, junk, 100); // not a command
	assert_int_equal(dut_commit(&dut.link, false), 0);
	/* Positions that cannot be: the link goes, the process and the call stay. */
	atomic_store(&dut.link.tx.ring->head, 1ull << 40);
	sh_link_wake(&dut.link);
	for (unsigned i = 0; i < WAIT_MS / 5 && sh_link_alive(&dut.link); i++)
		dut_nap();
	assert_false(sh_link_alive(&dut.link));
	sh_link_close(&dut.link);
	assert_int_equal(browser_check(PWD), 0x101);
	dut_join(&dut.link);
}

static void is_killed_and_taken_over(void **state)
{
	uint64_t slab_epoch = dut.hello.slab_epoch, epoch = dut.hello.epoch;

	dut_finish(SIGKILL);
	assert_false(dut_attached()); // the kernel took it away
	sh_link_close(&dut.link);
	dut_spawn();
	dut_join(&dut.link);
	assert_int_equal(dut.hello.slab_epoch, slab_epoch);
	assert_true(dut.hello.epoch != epoch);
	/* No check and no command yet: address, path and keys come from the slabs. */
	for (unsigned i = 0; i < 100 && !flight_arrives(&dut.link, NOTHING_MS); i++)
		dut_nap();
	assert_true(flight_arrives(&dut.link, WAIT_MS));
	assert_true(dtls_is_punted(&dut.link));
	assert_int_equal(dut_commit(&dut.link, true), 0);
	assert_int_equal(browser_check(PWD), 0x101);
}

static void moves_to_another_address(void **state)
{
	browser_open(); // another port
	assert_int_equal(browser_check(PWD), 0x101);
	assert_true(flight_arrives(&dut.link, WAIT_MS));
	assert_true(dut_event(&dut.link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
}

static unsigned open_files(void)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", dut.pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static long resident_kb(void)
{
	char path[64], line[128];
	long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", dut.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &kb);
	fclose(f);
	return kb;
}

/* The endpoint comes with keys, a check and a flight, and goes; each time in the same slot, with
 * the next generation. */
static void join_and_leave(unsigned n)
{
	struct sh_msg_begin b = {.txn = ++dut.txn};
	struct sh_msg_commit c = {.txn = dut.txn, .records = 3};
	struct sh_msg_del d = {.id = SH_ID(3u, n), .what = SH_DEL_ENDPOINT};
	struct sh_msg_endpoint_set e = {.id = SH_ID(3u, n + 1),
	                                .worker = (uint8_t)(dut.workers - 1),
	                                .ufrag_len = 8,
	                                .pwd_len = 24,
	                                .rtcp_ssrc = 7,
	                                .cname_len = 1};
	struct sh_msg_endpoint_keys k = {.id = e.id, .profile = SH_SRTP_AEAD_AES_128_GCM};

	memcpy(e.ufrag, UFRAG, 8);
	memcpy(e.pwd, PWD, 24);
	e.cname[0] = 'x';
	memset(k.rx.bytes, (int)n, 28);
	memset(k.tx.bytes, (int)n + 1, 28);
	dut_put(&dut.link, SH_MSG_BEGIN, &b, sizeof(b));
	dut_put(&dut.link, SH_MSG_DEL, &d, sizeof(d));
	dut_put(&dut.link, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	dut_put(&dut.link, SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
	dut_put(&dut.link, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(dut_event(&dut.link, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_equal(dut_body.committed.error, 0);
	assert_int_equal(browser_check(PWD), 0x101);
	assert_true(dut_event(&dut.link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(dut_body.endpoint.id, e.id);
}

static void comes_and_goes(void **state)
{
	enum { ROUNDS = 200, WARM = 20 };
	static const struct sh_endpoint zero;
	struct sh_slabs slabs;
	char path[128];
	unsigned files = 0, n;
	long kb __attribute__((unused)) = 0;

	for (n = 1; n <= ROUNDS; n++) {
		join_and_leave(n);
		if (n == WARM) {
			files = open_files();
			kb = resident_kb();
		}
	}
	assert_int_equal(open_files(), files);
#ifndef __SANITIZE_ADDRESS__ // which keeps what was freed; there leaks are found at the end
	assert_in_range(resident_kb() - kb + 4096, 0, 8192);
#endif
	/* And all goes: the slot is as if it had never been used. */
	{
		struct sh_msg_begin b = {.txn = ++dut.txn};
		struct sh_msg_commit c = {.txn = dut.txn, .full = 1};

		dut_put(&dut.link, SH_MSG_BEGIN, &b, sizeof(b));
		dut_put(&dut.link, SH_MSG_COMMIT, &c, sizeof(c));
		assert_true(dut_event(&dut.link, SH_MSG_COMMITTED, WAIT_MS));
	}
	sh_state_path(path, sizeof(path), dut.rundir);
	assert_int_equal(sh_slabs_open(&slabs, path), 0);
	for (unsigned i = 0; i < WAIT_MS / 5 && slabs.endpoint[3].state != SH_FREE; i++)
		dut_nap();
	assert_memory_equal(&slabs.endpoint[3], &zero, sizeof(zero));
	sh_slabs_close(&slabs);
	assert_int_not_equal(browser_check(PWD), 0x101);
}

static unsigned long cpu_ticks(void)
{
	char path[64], buf[1024];
	unsigned long u = 0, s = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", dut.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(buf, sizeof(buf), f));
	fclose(f);
	assert_int_equal(sscanf(strrchr(buf, ')') + 1,
	                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s),
	                 2);
	return u + s;
}

/* Adaptive polling: an idle dataplane leaves the machine alone. */
static void sleeps_when_idle(void **state)
{
	unsigned long before;

	nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 200000000}, NULL);
	before = cpu_ticks();
	nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
	assert_in_range(cpu_ticks() - before, 0, 20); // of 200: a tenth of a CPU
	assert_int_equal(browser_check(PWD), 0x101);
}

static void stops_cleanly(void **state)
{
	char path[128];
	int status = dut_finish(SIGTERM);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	if (if_nametoindex(dut.device))
		assert_false(dut_attached());
	snprintf(path, sizeof(path), "%s/%s", dut.rundir, SH_LINK_SOCKET);
	assert_int_equal(access(path, F_OK), -1);
	sh_link_close(&dut.link);
}

static int lo_up(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;

	ioctl(fd, SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	err = ioctl(fd, SIOCSIFFLAGS, &r);
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest lo[] = {
	    cmocka_unit_test(starts_and_greets),
	    cmocka_unit_test(one_daemon_at_a_time),
	    cmocka_unit_test(has_few_rights),
	    cmocka_unit_test(connects),
	    cmocka_unit_test(outlives_the_daemon),
	    cmocka_unit_test(a_hostile_daemon_is_refused),
	    cmocka_unit_test(is_killed_and_taken_over),
	    cmocka_unit_test(moves_to_another_address),
	    cmocka_unit_test(sleeps_when_idle),
	    cmocka_unit_test(comes_and_goes),
	    cmocka_unit_test(stops_cleanly),
	};
	const struct CMUnitTest veth[] = {
	    cmocka_unit_test(starts_and_greets), cmocka_unit_test(connects),
	    cmocka_unit_test(from_many_ports),   cmocka_unit_test(is_killed_and_taken_over),
	    cmocka_unit_test(moves_to_ipv6),     cmocka_unit_test(stops_cleanly),
	};
	const struct CMUnitTest tap[] = {
	    cmocka_unit_test(starts_beside_a_tap),
	    cmocka_unit_test(the_kernel_answers),
	    cmocka_unit_test(connects),
	    cmocka_unit_test(from_many_ports),
	    cmocka_unit_test(stops_cleanly),
	};

	if (argc < 4)
		return 2;
	dut.binary = argv[1];
	dut.workers = (unsigned)atoi(argv[2]);
	dut.where = argv[3];
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || lo_up() < 0) {
		printf("skipped: needs root\n");
		return SKIP;
	}
	if (strcmp(dut.where, "veth") == 0)
		return cmocka_run_group_tests_name("dataplane on veth", veth, dut_begin, dut_end);
	if (strcmp(dut.where, "tap") == 0)
		return cmocka_run_group_tests_name("dataplane beside a TAP", tap, dut_begin,
		                                   dut_end);
	return cmocka_run_group_tests_name("dataplane on lo", lo, dut_begin, dut_end);
}
