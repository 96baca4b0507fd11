/* The steering program frame by frame, with BPF_PROG_TEST_RUN: verdict and counter of each. Needs
 * root. */
#include "ebpf/steer_test.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <cmocka.h>

enum { EXTS = 10, SKIPPED = 77, V4 = 4, V6 = 6 };
enum { HOP = 0, ROUTING = 43, FRAGMENT = 44, DSTOPTS = 60, AUTH = 51 };

/* A frame by what is unusual about it; the zero shape, but for family, is a plain RTP datagram to
 * us. */
struct shape {
	const char *name;
	int family;          // V4 or V6, or an ethertype
	int tags;            // VLAN tags
	uint16_t outer_tpid; // 0: 0x8100
	int options;         // IPv4: 32-bit words of options
	uint8_t ext[EXTS];   // IPv6 extension headers, in order
	int exts;
	int ext_units;     // length of each, 8 octets, besides the first 8
	int segments_left; // of routing headers
	uint16_t frag;     // IPv4 flags and offset
	uint8_t proto;     // 0: UDP
	int port;          // 0: T_PORT; -1: 0
	int payload;       // octets; 0: 20, -1: none
	uint8_t first;     // first payload octet; 0: 0x80 (RTP), see stun
	bool stun;         // first octet is 0
	int bad_ihl, bad_version, bad_total, bad_udp_len; // added to the right value
	int trailer;                                      // octets after the IP packet
	const char *src, *dst;
	/* expected */
	int verdict; // 0: XDP_PASS
	enum steer_stat stat;
};

struct frame {
	uint8_t b[2048];
	size_t n;
};

static int xsk; // on lo, queue 0

static void put(struct frame *f, const void *p, size_t n)
{
	assert_true(f->n + n <= sizeof(f->b));
	memcpy(f->b + f->n, p, n);
	f->n += n;
}

static void put16(struct frame *f, unsigned v)
{
	put(f, (uint8_t[]){v >> 8, v}, 2);
}

static void put_ip(struct frame *f, int family, const char *text, const char *fallback)
{
	uint8_t ip[16];

	assert_int_equal(inet_pton(family == V4 ? AF_INET : AF_INET6, text ? text : fallback, ip),
	                 1);
	put(f, ip, family == V4 ? 4 : 16);
}

static void build_link(struct frame *f, const struct shape *s)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

	put(f, macs, sizeof(macs));
	for (int i = 0; i < s->tags; i++) {
		put16(f, i == 0 && s->outer_tpid ? s->outer_tpid : 0x8100);
		put16(f, 100 + i);
	}
	put16(f, s->family == V4 ? 0x0800 : s->family == V6 ? 0x86dd : s->family);
}

static void build_ip4(struct frame *f, const struct shape *s, unsigned inner)
{
	unsigned words = 5 + s->options;

	put(f, (uint8_t[]){(4 + s->bad_version) << 4 | (words + s->bad_ihl), 0}, 2);
	put16(f, words * 4 + inner + s->bad_total);
	put16(f, 1);
	put16(f, s->frag);
	put(f, (uint8_t[]){64, s->proto ? s->proto : IPPROTO_UDP, 0, 0}, 4);
	put_ip(f, V4, s->src, "198.51.100.7");
	put_ip(f, V4, s->dst, "192.0.2.1");
	for (int i = 0; i < s->options; i++)
		put(f, (uint8_t[]){1, 1, 1, 0}, 4); // NOPs, end of list
}

static void build_ip6(struct frame *f, const struct shape *s, unsigned inner)
{
	unsigned ext_len = (s->ext_units + 1) * 8, last = s->proto ? s->proto : IPPROTO_UDP;

	put(f, (uint8_t[]){(6 + s->bad_version) << 4, 0, 0, 0}, 4);
	put16(f, s->exts * ext_len + inner + s->bad_total);
	put(f, (uint8_t[]){s->exts ? s->ext[0] : last, 64}, 2);
	put_ip(f, V6, s->src, "2001:db8:7::7");
	put_ip(f, V6, s->dst, "2001:db8::1");
	for (int i = 0; i < s->exts; i++) {
		uint8_t ext[8 * 256] = {i + 1 < s->exts ? s->ext[i + 1] : last, s->ext_units};

		if (s->ext[i] == ROUTING)
			ext[3] = s->segments_left;
		put(f, ext, ext_len);
	}
}

static void build(struct frame *f, const struct shape *s)
{
	unsigned payload = s->payload < 0 ? 0 : s->payload ? s->payload : 20;
	uint8_t data[1500] = {s->stun ? 0 : s->first ? s->first : 0x80};

	f->n = 0;
	build_link(f, s);
	if (s->family == V4)
		build_ip4(f, s, 8 + payload);
	else if (s->family == V6)
		build_ip6(f, s, 8 + payload);
	put16(f, 40000);
	put16(f, s->port < 0 ? 0 : s->port ? s->port : T_PORT);
	put16(f, 8 + payload + s->bad_udp_len);
	put16(f, 0);
	put(f, data, payload);
	for (int i = 0; i < s->trailer; i++)
		put(f, "", 1);
}

/* One run; asserts that exactly one counter moved, by one, and gives which. */
static int run(const struct t_prog *p, const uint8_t *data, size_t n, enum steer_stat *stat)
{
	struct xdp_md ctx = {.data_end = n, .ingress_ifindex = if_nametoindex("lo")};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = n, .ctx_in = &ctx,
	            .ctx_size_in = sizeof(ctx));
	uint64_t before[STEER_STAT_COUNT], after[STEER_STAT_COUNT];
	unsigned moved = 0;

	t_counters(p, before);
	assert_int_equal(bpf_prog_test_run_opts(p->prog_fd, &opts), 0);
	t_counters(p, after);
	for (unsigned i = 0; i < STEER_STAT_COUNT; i++) {
		moved += after[i] - before[i];
		if (after[i] != before[i])
			*stat = i;
	}
	assert_int_equal(moved, 1);
	return opts.retval;
}

static void expect(const struct t_prog *p, const struct shape *s)
{
	int want = s->verdict ? s->verdict : XDP_PASS, got;
	enum steer_stat stat = STEER_STAT_COUNT;
	struct frame f;

	build(&f, s);
	got = run(p, f.b, f.n, &stat);
	if (got != want || stat != s->stat)
		fail_msg("%s: verdict %d, counted as %s; expected %d, %s", s->name, got,
		         xdp_steer_stat_name[stat], want, xdp_steer_stat_name[s->stat]);
}

static void load_with_socket(struct t_prog *p, const struct xdp_steer_cfg *cfg)
{
	uint32_t queue = 0;

	t_load(p, cfg);
	assert_int_equal(bpf_map_update_elem(p->xsks_fd, &queue, &xsk, 0), 0);
}

#define STEERED     .verdict = XDP_REDIRECT, .stat = STEER_STAT_steered
#define PASSED(why) .stat = STEER_STAT_##why

static const struct shape shapes[] = {
    {"v4", V4, STEERED},
    {"v6", V6, STEERED},
    {"v4 last port", V4, .port = T_PORT + T_PORTS - 1, STEERED},
    {"v4 port above", V4, .port = T_PORT + T_PORTS, PASSED(passed)},
    {"v4 port below", V4, .port = T_PORT - 1, PASSED(passed)},
    {"v4 port 0", V4, .port = -1, PASSED(passed)},
    {"v4 port 65535", V4, .port = 65535, PASSED(passed)},
    {"v6 wrong port", V6, .port = 53, PASSED(passed)},
    {"v4 vlan", V4, .tags = 1, STEERED},
    {"v6 vlan", V6, .tags = 1, STEERED},
    {"v4 qinq", V4, .tags = 2, .outer_tpid = 0x88a8, STEERED},
    {"v6 qinq", V6, .tags = 2, .outer_tpid = 0x88a8, STEERED},
    {"v4 two 8100 tags", V4, .tags = 2, STEERED},
    {"v4 three tags", V4, .tags = 3, PASSED(passed)},
    {"v4 tcp", V4, .proto = IPPROTO_TCP, PASSED(passed)},
    {"v6 tcp", V6, .proto = IPPROTO_TCP, PASSED(passed)},
    {"v4 icmp", V4, .proto = IPPROTO_ICMP, PASSED(passed)},
    {"v6 icmp", V6, .proto = IPPROTO_ICMPV6, PASSED(passed)},
    {"v4 udp-lite", V4, .proto = IPPROTO_UDPLITE, PASSED(passed)},
    {"arp", 0x0806, PASSED(passed)},
    {"802.3 length", 46, PASSED(passed)},
    {"v4 options, one word", V4, .options = 1, STEERED},
    {"v4 options, ten words", V4, .options = 10, STEERED},
    {"v4 options in vlan", V4, .options = 3, .tags = 1, STEERED},
    {"v4 don't fragment", V4, .frag = 0x4000, STEERED},
    {"v4 first fragment", V4, .frag = 0x2000, PASSED(fragment_passed)},
    {"v4 middle fragment", V4, .frag = 0x2010, PASSED(fragment_passed)},
    {"v4 last fragment", V4, .frag = 0x0010, PASSED(fragment_passed)},
    {"v4 tcp fragment", V4, .frag = 0x2000, .proto = IPPROTO_TCP, PASSED(passed)},
    {"v6 fragment", V6, .ext = {FRAGMENT}, .exts = 1, PASSED(fragment_passed)},
    {"v6 hop, fragment", V6, .ext = {HOP, FRAGMENT}, .exts = 2, PASSED(fragment_passed)},
    {"v6 hop-by-hop", V6, .ext = {HOP}, .exts = 1, STEERED},
    {"v6 destination options", V6, .ext = {DSTOPTS}, .exts = 1, STEERED},
    {"v6 long options", V6, .ext = {DSTOPTS}, .exts = 1, .ext_units = 100, STEERED},
    {"v6 three", V6, .ext = {HOP, DSTOPTS, ROUTING}, .exts = 3, STEERED},
    {"v6 segments left", V6, .ext = {ROUTING}, .exts = 1, .segments_left = 1,
     PASSED(routed_passed)},
    {"v6 authentication", V6, .ext = {AUTH}, .exts = 1, PASSED(passed)},
    {"v6 seven", V6, .ext = {60, 60, 60, 60, 60, 60, 60}, .exts = 7, STEERED},
    {"v6 eight", V6, .ext = {60, 60, 60, 60, 60, 60, 60, 60}, .exts = 8, PASSED(passed)},
    {"v6 no next header", V6, .proto = 59, PASSED(passed)},
    {"v4 padded frame", V4, .payload = 1, .trailer = 17, STEERED},
    {"v6 padded frame", V6, .payload = 1, .trailer = 17, STEERED},
    {"v4 full size", V4, .payload = 1472, STEERED},
    {"v4 no payload", V4, .payload = -1, STEERED},
    {"v4 header length 4", V4, .bad_ihl = -1, PASSED(malformed_passed)},
    {"v4 header length 0", V4, .bad_ihl = -5, PASSED(malformed_passed)},
    {"v4 header beyond the packet", V4, .bad_ihl = 10, .payload = 4, PASSED(malformed_passed)},
    {"v4 version 5", V4, .bad_version = 1, PASSED(malformed_passed)},
    {"v6 version 4", V6, .bad_version = -2, PASSED(malformed_passed)},
    {"v4 total too long", V4, .bad_total = 1, PASSED(malformed_passed)},
    {"v4 total cuts udp header", V4, .bad_total = -21, PASSED(malformed_passed)},
    {"v4 total cuts ip header", V4, .bad_total = -29, PASSED(malformed_passed)},
    {"v6 length too long", V6, .bad_total = 1, PASSED(malformed_passed)},
    {"v6 length cuts udp header", V6, .bad_total = -21, PASSED(malformed_passed)},
    {"v6 extension beyond packet", V6, .ext = {60}, .exts = 1, .ext_units = 5, .bad_total = -30,
     PASSED(malformed_passed)},
    {"v4 udp length 7", V4, .bad_udp_len = -21, PASSED(malformed_passed)},
    {"v4 udp length 0", V4, .bad_udp_len = -28, PASSED(malformed_passed)},
    {"v4 udp length too long", V4, .bad_udp_len = 1, PASSED(malformed_passed)},
    {"v4 udp length into the trailer", V4, .bad_udp_len = 1, .trailer = 8,
     PASSED(malformed_passed)},
    {"v4 udp shorter than ip", V4, .bad_udp_len = -4, STEERED},
};

static void steers_by_shape(void **state)
{
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	load_with_socket(&p, &cfg);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		expect(&p, &shapes[i]);
	t_unload(&p);
}

/* Cut anywhere, a frame no longer fits its own lengths, and is the kernel's to refuse. */
static void passes_truncated(void **state)
{
	static const struct shape whole[] = {
	    {"v4", V4, STEERED},
	    {"v4 options, vlan", V4, .options = 10, .tags = 1, STEERED},
	    {"v6", V6, STEERED},
	    {"v6 extensions, qinq", V6, .tags = 2, .ext = {HOP, DSTOPTS}, .exts = 2, STEERED},
	};
	struct xdp_steer_cfg cfg = t_cfg();
	enum steer_stat stat = 0;
	struct t_prog p;
	struct frame f;

	load_with_socket(&p, &cfg);
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		expect(&p, &whole[i]);
		build(&f, &whole[i]);
		for (size_t n = 14; n < f.n; n++) {
			assert_int_equal(run(&p, f.b, n, &stat), XDP_PASS);
			assert_int_equal(stat, STEER_STAT_malformed_passed);
		}
	}
	t_unload(&p);
}

/* Nothing an attacker writes into the first 90 octets may redirect to, or drop at, another port or
 * protocol. */
static void survives_garbage(void **state)
{
	struct xdp_steer_cfg cfg = t_cfg();
	enum steer_stat stat = 0;
	unsigned seed = 1;
	struct t_prog p;
	struct frame f;

	load_with_socket(&p, &cfg);
	for (int i = 0; i < 3000; i++) {
		static const struct shape from[] = {{"", V4, .options = 2},
		                                    {"", V6, .tags = 1},
		                                    {"", V6, .ext = {HOP, ROUTING}, .exts = 2}};
		int verdict;

		build(&f, &from[i % 3]);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			f.b[12 + (size_t)rand_r(&seed) % (f.n - 12)] = rand_r(&seed);
		verdict = run(&p, f.b, f.n, &stat);
		assert_true(verdict == XDP_PASS || verdict == XDP_REDIRECT);
		assert_int_equal(verdict == XDP_REDIRECT, stat == STEER_STAT_steered);
	}
	t_unload(&p);
}

static void filters_destinations(void **state)
{
	static const struct shape steps[] = {
	    {"first", V4, .dst = "192.0.2.1", STEERED},
	    {"second", V4, .dst = "192.0.2.9", STEERED},
	    {"another", V4, .dst = "192.0.2.2", PASSED(passed)},
	    {"unused slot", V4, .dst = "0.0.0.0", PASSED(passed)},
	    {"v6", V6, .dst = "2001:db8::1", STEERED},
	    {"v6 another", V6, .dst = "2001:db8::2", PASSED(passed)},
	    {"v6 unused slot", V6, .dst = "::", PASSED(passed)},
	};
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.addrs = 3;
	for (int i = 0; i < 3; i++)
		cfg.addr[i].family = i == 1 ? 6 : 4;
	inet_pton(AF_INET, "192.0.2.1", cfg.addr[0].ip);
	inet_pton(AF_INET6, "2001:db8::1", cfg.addr[1].ip);
	inet_pton(AF_INET, "192.0.2.9", cfg.addr[2].ip);
	load_with_socket(&p, &cfg);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		expect(&p, &steps[i]);
	t_unload(&p);

	cfg.addrs = 1; // with IPv4 only, no IPv6 is ours
	load_with_socket(&p, &cfg);
	expect(&p, &(struct shape){"v6 without v6 address", V6, PASSED(passed)});
	t_unload(&p);
}

static void limits_by_source(void **state)
{
	const struct shape stun = {"stun", V4, .stun = true, STEERED};
	const struct shape over = {"stun over", V4, .stun = true, .verdict = XDP_DROP,
	                           .stat = STEER_STAT_stun_limited};
	const struct shape junk = {"junk", V4, .first = 0xff, STEERED};
	const struct shape junk_over = {"junk over", V4, .first = 0xff, .verdict = XDP_DROP,
	                                .stat = STEER_STAT_unknown_limited};
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.stun = (struct xdp_steer_rate){1, 5};
	cfg.unknown = (struct xdp_steer_rate){1, 2};
	load_with_socket(&p, &cfg);
	for (int i = 0; i < 5; i++)
		expect(&p, &stun);
	for (int i = 0; i < 5; i++)
		expect(&p, &over);
	for (int i = 0; i < 2; i++)
		expect(&p, &junk);
	expect(&p, &junk_over);
	expect(&p, &(struct shape){"empty is unknown", V4, .payload = -1, .verdict = XDP_DROP,
	                           .stat = STEER_STAT_unknown_limited});
	/* Neither its media nor anyone else's STUN suffers. */
	for (int i = 0; i < 20; i++)
		expect(&p, &(struct shape){"rtp", V4, STEERED});
	expect(&p, &(struct shape){"dtls", V4, .first = 22, STEERED});
	expect(&p,
	       &(struct shape){"other source", V4, .stun = true, .src = "198.51.100.8", STEERED});
	expect(&p, &(struct shape){"other port", V4, .stun = true, .port = 53, PASSED(passed)});
	t_unload(&p);
}

static void limits_v6_by_prefix(void **state)
{
	struct shape stun = {"v6", V6, .stun = true, .src = "2001:db8:7::1", STEERED};
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.stun = (struct xdp_steer_rate){1, 1};
	load_with_socket(&p, &cfg);
	expect(&p, &stun);
	stun.src = "2001:db8:7:1::1";
	expect(&p, &stun);
	stun = (struct shape){"same /64",          V6,
	                      .stun = true,        .src = "2001:db8:7::ffff:1",
	                      .verdict = XDP_DROP, .stat = STEER_STAT_stun_limited};
	expect(&p, &stun);
	t_unload(&p);

	cfg.v6_prefix = 128;
	load_with_socket(&p, &cfg);
	stun = (struct shape){"/128", V6, .stun = true, .src = "2001:db8:7::1", STEERED};
	expect(&p, &stun);
	stun.src = "2001:db8:7::2";
	expect(&p, &stun);
	t_unload(&p);
}

static void refills(void **state)
{
	struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
	const struct shape stun = {"stun", V4, .stun = true, STEERED};
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.stun = (struct xdp_steer_rate){5, 1};
	load_with_socket(&p, &cfg);
	expect(&p, &stun);
	expect(&p, &(struct shape){"over", V4, .stun = true, .verdict = XDP_DROP,
	                           .stat = STEER_STAT_stun_limited});
	nanosleep(&pause, NULL); // 1.5 tokens; the bucket holds one
	expect(&p, &stun);
	expect(&p, &(struct shape){"over again", V4, .stun = true, .verdict = XDP_DROP,
	                           .stat = STEER_STAT_stun_limited});
	t_unload(&p);
}

/* RFC 7983 §7, every first octet: sent twice from a source of its own, with room for one. */
static void classifies_every_first_byte(void **state)
{
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.stun = cfg.unknown = (struct xdp_steer_rate){1, 1};
	load_with_socket(&p, &cfg);
	for (int b = 0; b < 256; b++) {
		char src[20];
		struct shape s = {"first byte",   V4,         .first = b,
		                  .stun = b == 0, .src = src, STEERED};

		snprintf(src, sizeof(src), "198.51.100.%d", b);
		expect(&p, &s);
		if (b <= 3)
			s.stat = STEER_STAT_stun_limited;
		else if (!(b >= 20 && b <= 63) && !(b >= 64 && b <= 79) && !(b >= 128 && b <= 191))
			s.stat = STEER_STAT_unknown_limited;
		if (s.stat != STEER_STAT_steered)
			s.verdict = XDP_DROP;
		expect(&p, &s);
	}
	t_unload(&p);
}

static void without_socket_drops_nothing(void **state)
{
	struct xdp_steer_cfg cfg = t_cfg();
	struct t_prog p;

	cfg.stun = cfg.unknown = (struct xdp_steer_rate){1, 1};
	t_load(&p, &cfg);
	for (int i = 0; i < 5; i++) {
		expect(&p, &(struct shape){"rtp", V4, PASSED(no_socket_passed)});
		expect(&p, &(struct shape){"stun", V6, .stun = true, PASSED(no_socket_passed)});
		expect(&p, &(struct shape){"junk", V4, .first = 0xff, PASSED(no_socket_passed)});
	}
	t_unload(&p);
}

static void refuses_bad_configuration(void **state)
{
	const char *path = "/tmp/steer_test.refused";
	struct xdp_steer_cfg cfg;

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		cfg = t_cfg();                                                                     \
		change;                                                                            \
		assert_int_equal(xdp_steer_write_object(path, &cfg), -EINVAL);                     \
	} while (0)
	REFUSED(cfg.base_port = 0);
	REFUSED(cfg.ports = 0);
	REFUSED(cfg.base_port = 65535);
	REFUSED(cfg.v6_prefix = 0);
	REFUSED(cfg.v6_prefix = 129);
	REFUSED(cfg.addrs = SH_MAX_ADDRS + 1);
	REFUSED(cfg.addrs = 1); // family 0
	REFUSED(cfg.stun.rate = 10);
	REFUSED((cfg.stun = (struct xdp_steer_rate){1000001, 1}));
	REFUSED((cfg.unknown = (struct xdp_steer_rate){1, 1000001}));
	cfg = t_cfg();
	assert_int_equal(xdp_steer_write_object("/nonexistent/steer.o", &cfg), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steers_by_shape),
	    cmocka_unit_test(passes_truncated),
	    cmocka_unit_test(survives_garbage),
	    cmocka_unit_test(filters_destinations),
	    cmocka_unit_test(limits_by_source),
	    cmocka_unit_test(limits_v6_by_prefix),
	    cmocka_unit_test(refills),
	    cmocka_unit_test(classifies_every_first_byte),
	    cmocka_unit_test(without_socket_drops_nothing),
	    cmocka_unit_test(refuses_bad_configuration),
	};
	int failed;

	if (!t_enter_namespace()) {
		fprintf(stderr, "skipped: needs root, to make a network namespace and load BPF\n");
		return SKIPPED;
	}
	xsk = t_socket("lo", 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	t_socket_close();
	return failed;
}
