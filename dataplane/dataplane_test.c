/* callstack-dataplane as a process: it is started on lo of a network namespace of its own,
 * commanded over the link as the daemon does, and spoken to from a UDP socket as a browser does. It
 * is killed, restarted and stopped, and the daemon comes and goes. Usage: dataplane_test
 * PATH-OF-callstack-dataplane WORKERS lo|veth|tap; the endpoint is the last worker's, so with two,
 * lo's one queue is another's and everything is handed over. On veth the browser is in another
 * namespace, over IPv4 and IPv6; tap is a NIC with two queues under DPDK and its kernel twin, the
 * wire's end in the other namespace. Needs root; skipped without. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ebpf/xdp_steer.h"
#include "shared/link.h"
#include "shared/msg.h"
#include "shared/state.h"

enum { SKIP = 77, START_MS = 30000, WAIT_MS = 10000, NOTHING_MS = 300, BASE = 10000 };
#define UFRAG "abcd1234"
#define PWD   "0123456789abcdefghijklmn"

static const char *binary;
static char rundir[64], set_rundir[96], set_workers[32];
static unsigned workers = 1;
static pid_t pid;
static struct sh_link daemon_link = SH_LINK_CLOSED;
static struct sh_msg_e_hello hello;
static uint64_t txn;
static const sh_id EP = SH_ID(3u, 1u);

static const char *set_ports = "ports=[{kind: af_xdp, interface: lo}]";
static const char *device = "lo";
static const char *media_text = "127.0.0.1", *browser_text = "127.0.0.1";
static const char *where = "lo";
static pid_t peer; // the browser's namespace; 0: ours

/* ---- the process ---- */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* The driver and the libraries under it do not give everything back; we do (in a build with
 * sanitizers). */
static void excuse_libraries(void)
{
	char path[128], options[192];
	FILE *f;

	snprintf(path, sizeof(path), "%s/lsan", rundir);
	snprintf(options, sizeof(options), "suppressions=%s:print_suppressions=0", path);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("leak:libxdp\nleak:libbpf\n", f);
	fclose(f);
	setenv("LSAN_OPTIONS", options, 1);
}

static void spawn(void)
{
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(binary, binary, "--set", set_rundir, "--set", "hugepages=off", "--set",
		      "mbufs=16384", "--set", "log=warn", "--set", set_workers, "--set", set_ports,
		      NULL);
		_exit(127);
	}
}

static int finish(int sig)
{
	int status = 0;

	kill(pid, sig);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	pid = 0;
	return status;
}

static bool program_attached(void)
{
	struct xdp_steer_info info;

	assert_int_equal(xdp_steer_query(&info, if_nametoindex(device)), 0);
	return info.mode != XDP_STEER_NONE;
}

/* ---- the daemon ---- */

static void put(struct sh_link *l, unsigned type, const void *body, uint32_t len)
{
	void *p = sh_ring_reserve(&l->tx, (uint16_t)type, sh_msg_flags(type), len);

	assert_non_null(p);
	memcpy(p, body, len);
	sh_ring_commit(&l->tx);
	sh_link_wake(l);
}

static union {
	_Alignas(8) uint8_t bytes[4096];
	struct sh_msg_e_hello hello;
	struct sh_msg_committed committed;
	struct sh_msg_endpoint_state endpoint;
	struct sh_msg_packet packet;
} body;

/* The next event of that type into `body`; others are passed over. */
static bool event(struct sh_link *l, unsigned type, int ms)
{
	struct sh_rec hdr;

	for (; ms > 0; ms -= 5) {
		while (sh_ring_take(&l->rx, &hdr, body.bytes, sizeof(body)) == 0) {
			assert_int_equal(sh_msg_check(hdr.type, body.bytes, hdr.len), 0);
			if (hdr.type == type)
				return true;
		}
		nap();
	}
	return false;
}

static void join(struct sh_link *l)
{
	struct sh_msg_c_hello m = {
	    .version = SH_MSG_VERSION, .pid = (uint32_t)getpid(), .epoch = 42};
	char path[128], why[128] = "";
	int err = -1;

	snprintf(path, sizeof(path), "%s/%s", rundir, SH_LINK_SOCKET);
	for (unsigned i = 0; i < START_MS / 5; i++) {
		err = sh_link_connect(l, path);
		if (!err)
			break;
		nap();
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
	put(l, SH_MSG_C_HELLO, &m, sizeof(m));
	assert_true(event(l, SH_MSG_E_HELLO, WAIT_MS));
	hello = body.hello;
}

static int commit_endpoint(struct sh_link *l, bool full)
{
	struct sh_msg_begin b = {.txn = ++txn};
	struct sh_msg_commit c = {.txn = txn, .records = 1, .full = full};
	struct sh_msg_endpoint_set e = {.id = EP,
	                                .worker = (uint8_t)(workers - 1),
	                                .ufrag_len = 8,
	                                .pwd_len = 24,
	                                .rtcp_ssrc = 7,
	                                .cname_len = 1};

	memcpy(e.ufrag, UFRAG, 8);
	memcpy(e.pwd, PWD, 24);
	e.cname[0] = 'x';
	put(l, SH_MSG_BEGIN, &b, sizeof(b));
	put(l, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	put(l, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(event(l, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_equal(body.committed.txn, txn);
	return body.committed.error;
}

/* ---- the browser ---- */

static int browser = -1;
static struct sockaddr_storage media;
static socklen_t media_len;

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (unsigned i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
	}
	return ~c;
}

static size_t attr(uint8_t *m, size_t at, uint16_t type, const void *v, uint16_t len)
{
	m[at] = (uint8_t)(type >> 8);
	m[at + 1] = (uint8_t)type;
	m[at + 2] = (uint8_t)(len >> 8);
	m[at + 3] = (uint8_t)len;
	memset(m + at + 4, 0, (len + 3u) & ~3u);
	memcpy(m + at + 4, v, len);
	at += 4 + ((len + 3u) & ~3u);
	m[2] = (uint8_t)((at - 20) >> 8);
	m[3] = (uint8_t)(at - 20);
	return at;
}

/* A check of a controlling agent that nominates (RFC 8445 §7.1). */
static size_t stun_check(uint8_t *m, const char *pwd)
{
	static const char user[] = UFRAG ":peer";
	const uint8_t zero[20] = {0}, priority[4] = {0x6e, 0, 1, 0xff},
	              tie[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t mac[20], fp[4];
	unsigned len = sizeof(mac);
	uint32_t crc;
	size_t n = 20;

	memset(m, 0, 20);
	m[1] = 1;
	memcpy(m + 4, "\x21\x12\xa4\x42", 4);
	for (unsigned i = 8; i < 20; i++)
		m[i] = (uint8_t)random();
	n = attr(m, n, 0x0006, user, sizeof(user) - 1);
	n = attr(m, n, 0x0024, priority, 4);
	n = attr(m, n, 0x802a, tie, 8);
	n = attr(m, n, 0x0025, zero, 0);
	attr(m, n, 0x0008, zero, 20); // the length that the HMAC covers
	HMAC(EVP_sha1(), pwd, (int)strlen(pwd), m, n, mac, &len);
	n = attr(m, n, 0x0008, mac, 20);
	attr(m, n, 0x8028, zero, 4);
	crc = crc32_of(m, n) ^ 0x5354554eu;
	fp[0] = (uint8_t)(crc >> 24);
	fp[1] = (uint8_t)(crc >> 16);
	fp[2] = (uint8_t)(crc >> 8);
	fp[3] = (uint8_t)crc;
	return attr(m, n, 0x8028, fp, 4);
}

static void say(const void *p, size_t n)
{
	assert_int_equal(sendto(browser, p, n, 0, (struct sockaddr *)&media, media_len), n);
}

static ssize_t hear(void *buf, size_t size, int ms)
{
	struct pollfd p = {.fd = browser, .events = POLLIN};

	return poll(&p, 1, ms) > 0 ? recv(browser, buf, size, 0) : -1;
}

static socklen_t sockaddr_of(struct sockaddr_storage *out, const char *text, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

/* A socket belongs to the namespace that it was made in. */
static void open_browser(void)
{
	struct sockaddr_storage a;
	socklen_t len = sockaddr_of(&a, browser_text, 0);
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = -1;
	char path[64];

	if (browser >= 0)
		close(browser);
	if (peer) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", peer);
		there = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(setns(there, CLONE_NEWNET), 0);
		close(there);
	}
	browser = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(browser, (struct sockaddr *)&a, len), 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	media_len = sockaddr_of(&media, media_text, (uint16_t)(BASE + workers - 1));
}

/* The class of the answer: 0x101 success, 0x111 error, 0 none. */
static unsigned check(const char *pwd)
{
	uint8_t m[256], in[1500];
	size_t n = stun_check(m, pwd);
	ssize_t got;

	say(m, n);
	do
		got = hear(in, sizeof(in), WAIT_MS);
	while (got >= 20 && memcmp(in + 8, m + 8, 12) != 0);
	return got >= 20 ? in[0] << 8 | in[1] : 0;
}

/* A flight of the daemon's arrives, whatever came before it. */
static bool flight_arrives(struct sh_link *l, int ms)
{
	struct sh_msg_packet p = {.endpoint = EP, .len = 64};
	uint8_t in[1500];
	ssize_t n;

	for (unsigned i = 0; i < p.len; i++)
		p.data[i] = (uint8_t)random();
	p.data[0] = 22;
	put(l, SH_MSG_TX_PACKET, &p, sh_msg_packet_size(p.len));
	do
		n = hear(in, sizeof(in), ms);
	while (n > 0 && !(n == p.len && memcmp(in, p.data, p.len) == 0));
	return n == p.len;
}

static bool dtls_is_punted(struct sh_link *l)
{
	uint8_t rec[13 + 20] = {22, 0xfe, 0xfd};

	rec[12] = 20;
	for (unsigned i = 13; i < sizeof(rec); i++)
		rec[i] = (uint8_t)random();
	say(rec, sizeof(rec));
	return event(l, SH_MSG_RX_DTLS, WAIT_MS) && body.packet.endpoint == EP &&
	       body.packet.len == sizeof(rec) && memcmp(body.packet.data, rec, sizeof(rec)) == 0;
}

/* ---- tests, one story in order ---- */

static void starts_and_greets(void **state)
{
	join(&daemon_link);
	assert_int_equal(hello.workers, workers);
	assert_int_equal(hello.base_port, BASE);
	assert_int_equal(hello.max_endpoints, 4096);
	assert_in_range(hello.addrs, 1, SH_MAX_ADDRS);
	assert_int_equal(hello.addr[0].family, 4);
	assert_string_equal(inet_ntoa(*(struct in_addr *)hello.addr[0].ip), media_text);
	assert_true(program_attached());
}

static void one_daemon_at_a_time(void **state)
{
	struct sh_link other = SH_LINK_CLOSED;
	char path[128], why[128] = "";
	struct pollfd p;
	int err;

	snprintf(path, sizeof(path), "%s/%s", rundir, SH_LINK_SOCKET);
	assert_int_equal(sh_link_connect(&other, path), 0);
	p = (struct pollfd){.fd = other.sock, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	err = sh_link_welcomed(&other, (uid_t)-1, why, sizeof(why));
	assert_int_not_equal(err, 0);
	assert_true(why[0] != 0);
	sh_link_close(&other);
	assert_true(sh_link_alive(&daemon_link));
}

/* What the threads may do: control asks the kernel for neighbours, nobody else may do anything. */
static void has_few_rights(void **state)
{
	char path[300], line[256];
	struct dirent *e;
	unsigned threads = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		unsigned long long eff = 99, prm = 99;
		int nnp = 0;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, e->d_name);
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
		assert_int_equal(eff, atoi(e->d_name) == pid ? 1 << 12 : 0);
		assert_int_equal(prm, eff);
	}
	closedir(d);
	assert_in_range(threads, 1 + workers, 3 + workers);
}

static void check_and_talk(void)
{
	struct sh_addr local;

	assert_int_equal(sh_addr_parse(&local, media_text), 0);
	assert_int_equal(check("wrongwrongwrongwrongwrong"), 0x111);
	assert_int_equal(check(PWD), 0x101);
	assert_true(event(&daemon_link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(body.endpoint.id, EP);
	assert_int_equal(body.endpoint.ice, SH_ICE_CONNECTED);
	assert_int_equal(body.endpoint.local.port, BASE + workers - 1);
	assert_int_equal(body.endpoint.local.family, local.family);
	assert_memory_equal(body.endpoint.local.ip, local.ip, 16);
	/* Over veth the kernel resolves the neighbour first. */
	for (unsigned i = 0; i < 20 && !flight_arrives(&daemon_link, NOTHING_MS); i++)
		nap();
	assert_true(flight_arrives(&daemon_link, WAIT_MS));
	assert_true(dtls_is_punted(&daemon_link));
}

static void connects(void **state)
{
	assert_int_equal(commit_endpoint(&daemon_link, true), 0);
	assert_false(flight_arrives(&daemon_link, NOTHING_MS)); // nowhere to go yet
	check_and_talk();
}

/* From whichever source port, so over whichever queue. */
static void from_many_ports(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		open_browser();
		assert_int_equal(check(PWD), 0x101);
	}
	/* The way to the newest address may come a moment after the check's answer: DTLS sends again. */
	assert_true(flight_arrives(&daemon_link, WAIT_MS) || flight_arrives(&daemon_link, WAIT_MS));
}

static void moves_to_ipv6(void **state)
{
	media_text = "fd08::1";
	browser_text = "fd08::2";
	open_browser();
	while (event(&daemon_link, SH_MSG_ENDPOINT_STATE, 100))
		;
	check_and_talk();
	assert_int_equal(body.packet.len, 33);
}

static int shell(const char *fmt, ...)
{
	char cmd[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

/* The wire's end goes to the other namespace, the twin gets the address. */
static void starts_beside_a_tap(void **state)
{
	join(&daemon_link);
	assert_int_equal(shell("ip link set wire0 netns %d", peer), 0);
	assert_int_equal(shell("nsenter -t %d -n ip addr add 10.8.0.2/24 dev wire0", peer), 0);
	assert_int_equal(shell("nsenter -t %d -n ip link set wire0 up", peer), 0);
	assert_int_equal(shell("ip addr add 10.8.0.1/24 dev cs0"), 0);
	assert_int_equal(shell("ip link set cs0 up"), 0);
	open_browser();
}

/* What is not media goes between wire and kernel: ARP, then ICMP, both ways. */
static void the_kernel_answers(void **state)
{
	assert_int_equal(
	    shell("nsenter -t %d -n ping -q -c 3 -i 0.2 -W 5 10.8.0.1 > /dev/null", peer), 0);
	assert_int_equal(shell("ping -q -c 3 -i 0.2 -W 5 10.8.0.2 > /dev/null"), 0);
}

static void outlives_the_daemon(void **state)
{
	uint64_t epoch = hello.epoch;

	sh_link_close(&daemon_link);
	assert_int_equal(check(PWD), 0x101);
	join(&daemon_link);
	assert_int_equal(hello.epoch, epoch);
	assert_int_equal(hello.daemon_epoch, 42);
	assert_true(flight_arrives(&daemon_link, WAIT_MS));
	/* A replay, and the new daemon learns how things stand. */
	assert_int_equal(commit_endpoint(&daemon_link, true), 0);
	assert_true(event(&daemon_link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(body.endpoint.ice, SH_ICE_CONNECTED);
}

static void a_hostile_daemon_is_refused(void **state)
{
	static const uint8_t junk[4000];
	struct sh_msg_endpoint_set e = {.id = EP}; // malformed: no ufrag
	struct sh_msg_begin b = {.txn = ++txn};
	struct sh_msg_commit c = {.txn = txn, .records = 1};

	put(&daemon_link, SH_MSG_BEGIN, &b, sizeof(b));
	put(&daemon_link, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	put(&daemon_link, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(event(&daemon_link, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_not_equal(body.committed.error, 0);
	put(&daemon_link, 60, junk, sizeof(junk));    // no such type
	put(&daemon_link, SH_MSG_E_HELLO, junk, 100); // not a command
	assert_int_equal(commit_endpoint(&daemon_link, false), 0);
	/* Positions that cannot be: the link goes, the process and the call stay. */
	atomic_store(&daemon_link.tx.ring->head, 1ull << 40);
	sh_link_wake(&daemon_link);
	for (unsigned i = 0; i < WAIT_MS / 5 && sh_link_alive(&daemon_link); i++)
		nap();
	assert_false(sh_link_alive(&daemon_link));
	sh_link_close(&daemon_link);
	assert_int_equal(check(PWD), 0x101);
	join(&daemon_link);
}

static void is_killed_and_taken_over(void **state)
{
	uint64_t slab_epoch = hello.slab_epoch, epoch = hello.epoch;

	finish(SIGKILL);
	assert_false(program_attached()); // the kernel took it away
	sh_link_close(&daemon_link);
	spawn();
	join(&daemon_link);
	assert_int_equal(hello.slab_epoch, slab_epoch);
	assert_true(hello.epoch != epoch);
	/* No check and no command yet: address, path and keys come from the slabs. */
	for (unsigned i = 0; i < 100 && !flight_arrives(&daemon_link, NOTHING_MS); i++)
		nap();
	assert_true(flight_arrives(&daemon_link, WAIT_MS));
	assert_true(dtls_is_punted(&daemon_link));
	assert_int_equal(commit_endpoint(&daemon_link, true), 0);
	assert_int_equal(check(PWD), 0x101);
}

static void moves_to_another_address(void **state)
{
	open_browser(); // another port
	assert_int_equal(check(PWD), 0x101);
	assert_true(flight_arrives(&daemon_link, WAIT_MS));
	assert_true(event(&daemon_link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
}

static unsigned open_files(void)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
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

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
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
	struct sh_msg_begin b = {.txn = ++txn};
	struct sh_msg_commit c = {.txn = txn, .records = 3};
	struct sh_msg_del d = {.id = SH_ID(3u, n), .what = SH_DEL_ENDPOINT};
	struct sh_msg_endpoint_set e = {.id = SH_ID(3u, n + 1),
	                                .worker = (uint8_t)(workers - 1),
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
	put(&daemon_link, SH_MSG_BEGIN, &b, sizeof(b));
	put(&daemon_link, SH_MSG_DEL, &d, sizeof(d));
	put(&daemon_link, SH_MSG_ENDPOINT_SET, &e, sizeof(e));
	put(&daemon_link, SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
	put(&daemon_link, SH_MSG_COMMIT, &c, sizeof(c));
	assert_true(event(&daemon_link, SH_MSG_COMMITTED, WAIT_MS));
	assert_int_equal(body.committed.error, 0);
	assert_int_equal(check(PWD), 0x101);
	assert_true(event(&daemon_link, SH_MSG_ENDPOINT_STATE, WAIT_MS));
	assert_int_equal(body.endpoint.id, e.id);
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
		struct sh_msg_begin b = {.txn = ++txn};
		struct sh_msg_commit c = {.txn = txn, .full = 1};

		put(&daemon_link, SH_MSG_BEGIN, &b, sizeof(b));
		put(&daemon_link, SH_MSG_COMMIT, &c, sizeof(c));
		assert_true(event(&daemon_link, SH_MSG_COMMITTED, WAIT_MS));
	}
	sh_state_path(path, sizeof(path), rundir);
	assert_int_equal(sh_slabs_open(&slabs, path), 0);
	for (unsigned i = 0; i < WAIT_MS / 5 && slabs.endpoint[3].state != SH_FREE; i++)
		nap();
	assert_memory_equal(&slabs.endpoint[3], &zero, sizeof(zero));
	sh_slabs_close(&slabs);
	assert_int_not_equal(check(PWD), 0x101);
}

static unsigned long cpu_ticks(void)
{
	char path[64], buf[1024];
	unsigned long u = 0, s = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
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
	assert_int_equal(check(PWD), 0x101);
}

static void stops_cleanly(void **state)
{
	char path[128];
	int status = finish(SIGTERM);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	if (if_nametoindex(device))
		assert_false(program_attached());
	snprintf(path, sizeof(path), "%s/%s", rundir, SH_LINK_SOCKET);
	assert_int_equal(access(path, F_OK), -1);
	sh_link_close(&daemon_link);
}

/* ---- its own namespace ---- */

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

static void peer_namespace(void)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	peer = fork();
	if (peer == 0) {
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

static void build_veth(void)
{
	device = "v0";
	set_ports = "ports=[{kind: af_xdp, interface: v0}]";
	peer_namespace();
	assert_int_equal(shell("ip link add v0 type veth peer name v1 netns %d", peer), 0);
	assert_int_equal(
	    shell("ip addr add 10.8.0.1/24 dev v0 && ip addr add fd08::1/64 dev v0 nodad && "
	          "ip link set v0 up"),
	    0);
	assert_int_equal(shell("nsenter -t %d -n sh -c 'ip addr add 10.8.0.2/24 dev v1 && "
	                       "ip addr add fd08::2/64 dev v1 nodad && ip link set v1 up'",
	                       peer),
	                 0);
}

static int begin(void **state)
{
	snprintf(rundir, sizeof(rundir), "/tmp/dataplane_test.%d", getpid());
	snprintf(set_rundir, sizeof(set_rundir), "rundir=%s", rundir);
	mkdir(rundir, 0755);
	excuse_libraries();
	if (strcmp(where, "lo") != 0) {
		media_text = "10.8.0.1";
		browser_text = "10.8.0.2";
	}
	if (strcmp(where, "veth") == 0)
		build_veth();
	if (strcmp(where, "tap") == 0) {
		device = "cs0";
		set_ports = "ports=[{kind: pci, pci: \"net_tap7,iface=wire0\", interface: cs0}]";
		peer_namespace();
	} else {
		open_browser();
	}
	spawn();
	return 0;
}

/* What the dataplane counted, for whoever looks into a failure. */
static void print_counters(void)
{
	struct sh_slabs slabs;
	char path[128];

	sh_state_path(path, sizeof(path), rundir);
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

static int end(void **state)
{
	char cmd[128];

	print_counters();

	if (pid > 0)
		finish(SIGKILL);
	if (peer) {
		kill(peer, SIGKILL);
		waitpid(peer, NULL, 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", rundir);
	return system(cmd);
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
	binary = argv[1];
	workers = (unsigned)atoi(argv[2]);
	where = argv[3];
	snprintf(set_workers, sizeof(set_workers), "workers=%u", workers);
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || lo_up() < 0) {
		printf("skipped: needs root\n");
		return SKIP;
	}
	if (strcmp(where, "veth") == 0)
		return cmocka_run_group_tests_name("dataplane on veth", veth, begin, end);
	if (strcmp(where, "tap") == 0)
		return cmocka_run_group_tests_name("dataplane beside a TAP", tap, begin, end);
	return cmocka_run_group_tests_name("dataplane on lo", lo, begin, end);
}
