#include "dataplane/dataplane_world.h"
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "ebpf/xdp_steer.h"
#include "tests/fakes/netns.h"

struct dut dut = {
    .workers = 1,
    .link = SH_LINK_CLOSED,
    .device = "lo",
    .media_text = "127.0.0.1",
    .browser_text = "127.0.0.1",
    .where = "lo",
};
union dut_body dut_body;

static char set_rundir[96], set_workers[32];
static const char *set_ports = "ports=[{kind: af_xdp, interface: lo}]";

/* ---- the process ---- */

void dut_nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* The driver and the libraries under it do not give everything back; we do (in a build with
 * sanitizers). */
static void excuse_libraries(void)
{
	char path[128], options[192];
	FILE *f;

	snprintf(path, sizeof(path), "%s/lsan", dut.rundir);
	snprintf(options, sizeof(options), "suppressions=%s:print_suppressions=0", path);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("leak:libxdp\nleak:libbpf\n", f);
	fclose(f);
	setenv("LSAN_OPTIONS", options, 1);
}

void dut_spawn(void)
{
	dut.pid = fork();
	assert_true(dut.pid >= 0);
	if (dut.pid == 0) {
		execl(dut.binary, dut.binary, "--set", set_rundir, "--set", "hugepages=off",
		      "--set", "mbufs=16384", "--set", "log=warn", "--set", set_workers, "--set",
		      set_ports, NULL);
		_exit(127);
	}
}

int dut_finish(int sig)
{
	int status = 0;

	kill(dut.pid, sig);
	assert_int_equal(waitpid(dut.pid, &status, 0), dut.pid);
	dut.pid = 0;
	return status;
}

bool dut_attached(void)
{
	struct xdp_steer_info info;

	assert_int_equal(xdp_steer_query(&info, if_nametoindex(dut.device)), 0);
	return info.mode != XDP_STEER_NONE;
}

/* ---- the daemon ---- */

void dut_put(struct sh_link *l, unsigned type, const void *body, uint32_t len)
{
	void *p = sh_ring_reserve(&l->tx, (uint16_t)type, sh_msg_flags(type), len);

	assert_non_null(p);
	memcpy(p, body, len);
	sh_ring_commit(&l->tx);
	sh_link_wake(l);
}

bool dut_event(struct sh_link *l, unsigned type, int ms)
{
	struct sh_rec hdr;

	for (; ms > 0; ms -= 5) {
		while (sh_ring_take(&l->rx, &hdr, dut_body.bytes, sizeof(dut_body)) == 0) {
			assert_int_equal(sh_msg_check(hdr.type, dut_body.bytes, hdr.len), 0);
			if (hdr.type == type)
				return true;
		}
		dut_nap();
	}
	return false;
}

void dut_join(struct sh_link *l)
{
	struct sh_msg_c_hello m = {
	    .version = SH_MSG_VERSION, .pid = (uint32_t)getpid(), .epoch = 42};
	char path[128], why[128] = "";
	int err = -1;

	snprintf(path, sizeof(path), "%s/%s", dut.rundir, SH_LINK_SOCKET);
	for (unsigned i = 0; i < START_MS / 5; i++) {
		err = sh_link_connect(l, path);
		if (!err)
			break;
		dut_nap();
	}
	assert_int_equal(err, 0);
	do {
		struct pollfd p = {.fd = l->sock, .events = POLLIN};

		poll(&p, 1, WAIT_MS);
		err = sh_link_welcomed(l, (uid_t)-1, why, sizeof(why));
	} while (err == -EAGAIN);
	if (err)
		fail_msg("welcome: %s", why);
	sh_msg_sizes(m.size);
	dut_put(l, SH_MSG_C_HELLO, &m, sizeof(m));
	assert_true(dut_event(l, SH_MSG_E_HELLO, WAIT_MS));
	dut.hello = dut_body.hello;
}

int dut_commit(struct sh_link *l, bool full)
{
	struct sh_msg_begin b = {.txn = ++dut.txn};
	struct sh_msg_commit c = {.txn = dut.txn, .records = 1, .full = full};
	struct sh_msg_endpoint_set e = {.id = EP,
	                                .worker = (uint8_t)(dut.workers - 1),
	                                .ufrag_len = 8,
	                                .pwd_len = 24,
	                                .rtcp_ssrc = 7,
	                                .cname_len = 1};

	memcpy(e.ufrag, UFRAG, 8);
	memcpy(e.pwd, PWD, 24);
	e.cname[0] = 'x';
	dut_put(l, SH_MSG_BEGIN, &b, sizeof(b));
	dut_put(l, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	dut_put(l, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(dut_event(l, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_equal(dut_body.committed.txn, dut.txn);
	return dut_body.committed.error;
}

/* ---- where it runs ---- */

int dut_shell(const char *fmt, ...)
{
	char cmd[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static void build_veth(void)
{
	dut.device = "v0";
	set_ports = "ports=[{kind: af_xdp, interface: v0}]";
	dut.peer = netns_hold();
	assert_int_equal(dut_shell("ip link add v0 type veth peer name v1 netns %d", dut.peer), 0);
	assert_int_equal(
	    dut_shell("ip addr add 10.8.0.1/24 dev v0 && ip addr add fd08::1/64 dev v0 nodad && "
	              "ip link set v0 up"),
	    0);
	assert_int_equal(dut_shell("nsenter -t %d -n sh -c 'ip addr add 10.8.0.2/24 dev v1 && "
	                           "ip addr add fd08::2/64 dev v1 nodad && ip link set v1 up'",
	                           dut.peer),
	                 0);
}

int dut_begin(void **state)
{
	snprintf(dut.rundir, sizeof(dut.rundir), "/tmp/dataplane_test.%d", getpid());
	snprintf(set_workers, sizeof(set_workers), "workers=%u", dut.workers);
	snprintf(set_rundir, sizeof(set_rundir), "rundir=%s", dut.rundir);
	mkdir(dut.rundir, 0755);
	excuse_libraries();
	if (strcmp(dut.where, "lo") != 0) {
		dut.media_text = "10.8.0.1";
		dut.browser_text = "10.8.0.2";
	}
	if (strcmp(dut.where, "veth") == 0)
		build_veth();
	if (strcmp(dut.where, "tap") == 0) {
		dut.device = "cs0";
		set_ports = "ports=[{kind: pci, pci: \"net_tap7,iface=wire0\", interface: cs0}]";
		dut.peer = netns_hold();
	} else {
		browser_open();
	}
	dut_spawn();
	return 0;
}

/* What the dataplane counted, for whoever looks into a failure. */
static void print_counters(void)
{
	struct sh_slabs slabs;
	char path[128];

	sh_state_path(path, sizeof(path), dut.rundir);
	if (sh_slabs_open(&slabs, path) != 0)
		return;
	for (unsigned i = 0; i < SH_STAT_COUNT; i++) {
		uint64_t n = slabs.head->stats[0].v[i] + slabs.head->stats[1].v[i] +
		             slabs.head->stats[SH_MAX_WORKERS].v[i];

		if (n)
			print_message("# %s %llu\n", sh_stat_info[i].name, (unsigned long long)n);
	}
	sh_slabs_close(&slabs);
}

int dut_end(void **state)
{
	char cmd[128];

	print_counters();

	if (dut.pid > 0)
		dut_finish(SIGKILL);
	if (dut.peer) {
		kill(dut.peer, SIGKILL);
		waitpid(dut.peer, NULL, 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dut.rundir);
	return system(cmd);
}
