#include "bench/forward.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <urcu-qsbr.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include "bench/bench.h"
#include "dataplane/clock.h"
#include "dataplane/node/node.h"
#include "dataplane/port.h"
#include "dataplane/run.h"
#include "dataplane/stun/stun.h"
#include "dataplane/table/table.h"
#include "shared/log.h"

enum {
	MBUFS = 32768, // the default of callstack-dataplane
	MEMORY_MB = 192,
	RECORDS = 3000, // a transaction
	PUB_PT = 96,
	PUB_RTX = 97,
	SUB_PT = 102,
	SUB_RTX = 103,
};

static struct {
	struct rte_mempool *pool;
	const struct dp_srtp_backend *backend;
	struct fwd_shape shape;
	struct fwd_layout layout;
	uint64_t txn, bytes;
	uint64_t stopped; // end of the last turn
	uint32_t records;
	int raw;         // packet socket at the other end of a veth; 0: none
	bool connected;  // peers are; from here on publishers send
	uint32_t *place; // a permutation of the subscriptions: who is whose subscriber
} world;

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "bench_forward: ");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

const struct dp_srtp_backend *fwd_backend(void)
{
	return world.backend;
}

struct rte_mempool *fwd_pool(void)
{
	return world.pool;
}

/* ---- peers ---- */

void fwd_keys(uint32_t endpoint, uint16_t profile, struct sh_srtp_secret *from_peer,
              struct sh_srtp_secret *to_peer)
{
	unsigned n = dp_srtp_key_len(profile) + dp_srtp_salt_len(profile);
	uint64_t seed = endpoint * UINT64_C(2654435761) + 1;

	memset(from_peer, 0, sizeof(*from_peer));
	memset(to_peer, 0, sizeof(*to_peer));
	for (unsigned i = 0; i < n; i++) {
		from_peer->bytes[i] = (uint8_t)bench_random(&seed);
		to_peer->bytes[i] = (uint8_t)bench_random(&seed);
	}
}

struct sh_addr fwd_addr(uint32_t endpoint)
{
	return (struct sh_addr){
	    .family = 4,
	    .port = 40000,
	    .ip = {10, (uint8_t)(endpoint >> 16), (uint8_t)(endpoint >> 8), (uint8_t)endpoint}};
}

struct sh_addr fwd_local(void)
{
	return (struct sh_addr){.family = 4, .port = FWD_PORT, .ip = {192, 0, 2, 1}};
}

static void ufrag(uint32_t endpoint, uint8_t out[8])
{
	char text[16];

	snprintf(text, sizeof(text), "u%07u", endpoint);
	memcpy(out, text, 8);
}

static const char password[] = "apasswordof24characters+";

/* ---- configuration ---- */

static void commit(void)
{
	struct sh_msg_commit c = {.txn = world.txn, .records = world.records};
	struct sh_msg_committed done;

	if (!dp_stage_open())
		return;
	dp_stage_commit(&c, &done);
	if (done.error)
		die("record %u of a transaction: %s", done.record, strerror(-done.error));
	world.records = 0;
	dp_reap_all();
}

static void record(unsigned type, const void *body, uint32_t len)
{
	if (!dp_stage_open())
		dp_stage_begin(++world.txn);
	if (sh_msg_check(type, body, len) != 0)
		die("a malformed %s", sh_msg_name(type));
	dp_stage_record(type, body, len);
	if (++world.records >= RECORDS)
		commit();
}

static sh_id id_of(uint32_t index)
{
	return SH_ID(index, 1u);
}

static void add_endpoint(uint32_t i)
{
	struct sh_msg_endpoint_set s = {
	    .id = id_of(i),
	    .ufrag_len = 8,
	    .pwd_len = 24,
	    .ext_id = {[SH_EXT_MID] = 1,
	               [SH_EXT_ABS_SEND_TIME] = 2,
	               [SH_EXT_TWCC] = 3,
	               [SH_EXT_AUDIO_LEVEL] = 4},
	    .rtcp_ssrc = 0x70000000u + i,
	    .cname_len = 9,
	    .cname = "callstack",
	    .flags = world.shape.links ? SH_EP_TWCC : 0,
	};
	struct sh_msg_endpoint_keys k = {.id = s.id, .profile = world.layout.profile};

	ufrag(i, s.ufrag);
	memcpy(s.pwd, password, 24);
	record(SH_MSG_ENDPOINT_SET, &s, sizeof(s));
	fwd_keys(i, k.profile, &k.rx, &k.tx);
	record(SH_MSG_ENDPOINT_KEYS, &k, sizeof(k));
}

static uint8_t put_mid(uint8_t mid[SH_MID_MAX], unsigned number)
{
	char text[SH_MID_MAX];
	int n = snprintf(text, sizeof(text), "%u", number);

	memcpy(mid, text, (size_t)n);
	return (uint8_t)n;
}

static void add_track(uint32_t i)
{
	struct fwd_track t;
	struct sh_msg_track_set s = {.id = id_of(i), .layers = 1, .layer[0].ssrc = fwd_ssrc(i)};
	bool audio;

	world.layout.track(i, &t);
	audio = t.payload <= FWD_AUDIO_MAX;
	s.endpoint = id_of(t.endpoint);
	s.kind = audio ? SH_KIND_AUDIO : SH_KIND_VIDEO;
	s.flags = audio ? 0 : SH_TRACK_NACK | SH_TRACK_PLI;
	s.mid_len = put_mid(s.mid, t.mid);

	for (unsigned k = 0; k < SH_MAX_PTS; k++)
		s.pt[k] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	s.pt[0] = (struct sh_track_pt){PUB_PT, audio ? SH_CODEC_OPUS : SH_CODEC_VP8, 255, 0,
	                               audio ? 48000 : 90000};
	if (!audio)
		s.pt[1] = (struct sh_track_pt){PUB_RTX, SH_CODEC_RTX, 0, 0, 90000};
	record(SH_MSG_TRACK_SET, &s, sizeof(s));
}

static void add_sub(uint32_t i)
{
	struct sh_msg_sub_set s = {.id = id_of(i), .ssrc = 0x20000000u + i};
	struct fwd_sub b;
	bool audio;

	world.layout.sub(i, &b);
	audio = b.payload <= FWD_AUDIO_MAX;
	s.track = id_of(b.track);
	s.endpoint = id_of(b.endpoint);
	s.rtx_ssrc = audio ? 0 : 0x30000000u + i;
	s.flags = audio ? 0 : SH_SUB_NACK;
	s.mid_len = put_mid(s.mid, b.mid);
	memset(s.pt, 255, sizeof(s.pt));
	s.pt[0] = SUB_PT;
	if (!audio)
		s.pt[1] = SUB_RTX;
	record(SH_MSG_SUB_SET, &s, sizeof(s));
}

static void fill_tables(void)
{
	const struct fwd_layout *s = &world.layout;

	for (uint32_t i = 0; i < s->endpoints; i++)
		add_endpoint(i);
	commit();
	for (uint32_t i = 0; i < s->tracks; i++)
		add_track(i);
	commit();
	for (uint32_t i = 0; i < s->subs; i++)
		add_sub(i);
	commit();
}

/* ---- frames ---- */

/* Onto the wire: the kernel carries them to the other end before this returns. */
static void send_raw(const uint8_t *const *frame, const uint16_t *len, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (send(world.raw, frame[i], len[i], 0) != len[i])
			die("the other end of the veth: %s", strerror(errno));
}

void fwd_inject(const uint8_t *const *frame, const uint16_t *len, unsigned n)
{
	struct rte_mbuf *m[DP_BURST];

	if (world.raw > 0 && world.connected) {
		send_raw(frame, len, n);
		return;
	}

	for (unsigned at = 0; at < n; at += DP_BURST) {
		unsigned k = RTE_MIN(n - at, (unsigned)DP_BURST);

		if (rte_pktmbuf_alloc_bulk(world.pool, m, k))
			die("no packet buffers");
		for (unsigned i = 0; i < k; i++) {
			memcpy(rte_pktmbuf_mtod(m[i], void *), frame[at + i], len[at + i]);
			m[i]->data_len = len[at + i];
			m[i]->pkt_len = len[at + i];
		}
		// a net_ring port gives back what it was given
		if (rte_eth_tx_burst(dp_ports[FWD_ETH_RING].eth, 0, m, (uint16_t)k) != k)
			die("the receive queue is full");
	}
}

static uint16_t stun_frame(uint32_t endpoint, uint8_t *frame)
{
	static const uint8_t txid[12] = "transaction";
	struct sh_addr from = fwd_addr(endpoint), to = fwd_local();
	uint8_t user[16], be[8] = {0}, *ip = frame + 14;
	struct dp_stun_out o;
	int len;

	memset(frame, 0, FWD_HEAD);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2\x08", 13);
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11", 10);
	memcpy(ip + 12, from.ip, 4);
	memcpy(ip + 16, to.ip, 4);
	dp_put16(ip + 20, from.port);
	dp_put16(ip + 22, to.port);
	dp_stun_begin(&o, frame + FWD_HEAD, 512, DP_STUN_BINDING_REQUEST, txid);
	ufrag(endpoint, user);
	memcpy(user + 8, ":theirs", 7);
	dp_stun_put(&o, DP_STUN_USERNAME, user, 15);
	dp_stun_put(&o, DP_STUN_PRIORITY, be, 4);
	dp_stun_put(&o, DP_STUN_ICE_CONTROLLING, be, 8);
	dp_stun_put(&o, DP_STUN_USE_CANDIDATE, NULL, 0);
	dp_stun_put_integrity(&o, (const uint8_t *)password, 24);
	dp_stun_put_fingerprint(&o);
	len = dp_stun_end(&o);
	if (len < 0)
		die("a check does not fit");
	dp_put16(ip + 2, (uint16_t)(28 + len));
	dp_put16(ip + 24, (uint16_t)(8 + len));
	return (uint16_t)(FWD_HEAD + len);
}

/* What control does when it hears of a nominated address. */
static void add_path(uint32_t endpoint)
{
	const struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_path *path = dp_path_new();
	uint8_t *ip;

	if (!path)
		die("no memory");
	memcpy(path->header, "\2\0\0\0\0\2\2\0\0\0\0\1\x08\0", 14);
	ip = path->header + 14;
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x11\0\0", 12);
	memcpy(ip + 12, e->local.ip, 4);
	memcpy(ip + 16, e->remote.ip, 4);
	dp_put16(ip + 20, e->local.port);
	dp_put16(ip + 22, e->remote.port);
	path->len = FWD_HEAD;
	path->l2_len = 14;
	path->l3_len = 20;
	path->family = 4;
	path->port = dp_ports[world.layout.link ? FWD_ETH_LINK : FWD_ETH_NULL].eth;
	path->mtu = 1500;
	path->reachable = path->routed = true;
	dp_path_set(endpoint, path);
}

static void drain_punt(void)
{
	void *m;

	while (!rte_ring_dequeue(dp_workers[0]->punt, &m))
		if (!dp_punt_is_note(m))
			rte_pktmbuf_free(m);
}

static void connect_all(void)
{
	static uint8_t frame[FWD_FRAME];
	const uint8_t *at = frame;
	unsigned n = world.layout.endpoints;

	world.connected = false;

	for (uint32_t i = 0; i < n; i++) {
		uint16_t len = stun_frame(i, frame);

		fwd_inject(&at, &len, 1);
		dp_worker_turn(0);
		if (dp_slabs.endpoint[i].ice != SH_ICE_CONNECTED)
			die("endpoint %u did not connect", i);
		add_path(i);
		if (i % 512 == 0)
			drain_punt();
	}
	for (unsigned i = 0; i < 64; i++) // answers to checks came back through the ring
		dp_worker_turn(0);
	world.connected = true;
}

/* Two rounds of packets: subscriptions begin with a key frame, history and trackers are made. */
static void warm_up(void)
{
	unsigned tracks = fwd_tracks(&world.shape);
	uint64_t before = fwd_stat(SH_STAT_rtp_out);

	for (unsigned done = 0; done < 2 * tracks;) {
		unsigned n = RTE_MIN(2 * tracks - done, (unsigned)FWD_CHUNK);

		fwd_feed_make(n, 0);
		for (unsigned at = 0; at < n; at += DP_BURST) {
			fwd_inject(fwd_feed_frames() + at, fwd_feed_lens() + at,
			           RTE_MIN(n - at, (unsigned)DP_BURST));
			dp_worker_turn(0);
		}
		done += n;
	}
	drain_punt();
	if (world.shape.memif || world.shape.af_xdp)
		return;
	if (fwd_stat(SH_STAT_rtp_out) - before != 2ull * world.shape.subs)
		die("of %u packets %llu came out in the warm-up", 2 * world.shape.subs,
		    (unsigned long long)(fwd_stat(SH_STAT_rtp_out) - before));
}

/* ---- life ---- */

static uint64_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void open_port(const struct dp_conf_port *conf)
{
	struct dp_port_params p = {
	    .conf = conf,
	    .pool = world.pool,
	    .workers = 1,
	    .base_port = FWD_PORT,
	    .rundir = "/tmp",
	};
	int err = dp_port_open(&p);

	if (err)
		die("port %u: %s", dp_port_count, strerror(-err));
}

static int open_raw(const char *peer)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(peer)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); // receives nothing

	if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("%s: %s", peer, strerror(errno));
	return fd;
}

static void open_link(const struct fwd_start *s)
{
	static struct dp_conf_port link;

	if (s->memif) {
		link = (struct dp_conf_port){.kind = DP_PORT_MEMIF, .role = DP_MEMIF_SERVER};
		snprintf(link.socket, sizeof(link.socket), "%s", s->memif);
	} else {
		link = (struct dp_conf_port){.kind = DP_PORT_AF_XDP};
		snprintf(link.interface, sizeof(link.interface), "%s", s->interface);
		world.raw = open_raw(s->peer);
	}
	open_port(&link);
}

void fwd_start(const struct fwd_start *s)
{
	static const struct dp_conf_port ring = {.kind = DP_PORT_RING},
	                                 null = {.kind = DP_PORT_NULL};
	char lcores[32], mem[16], file[64];
	char *argv[] = {"bench_forward",
	                "--no-huge",
	                "--no-shconf",
	                "--no-pci",
	                "--no-telemetry",
	                "--iova-mode=va",
	                "--log-level=*:error",
	                "-m",
	                mem,
	                lcores,
	                file,
	                NULL};

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", s->cpu);
	snprintf(mem, sizeof(mem), "%d", MEMORY_MB);
	snprintf(file, sizeof(file), "--file-prefix=%s", s->prefix);
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		die("EAL: %s", rte_strerror(rte_errno));
	dp_clock_update(rte_get_tsc_hz());
	world.backend = dp_srtp_backend_find("ipsec_mb");
	if (!world.backend)
		die("no ipsec_mb on this CPU");
	world.pool = dp_pool_new("packets", MBUFS, s->interface != NULL);
	if (!world.pool)
		die("packet buffers: %s", rte_strerror(rte_errno));
	open_port(&ring);
	open_port(&null);
	if (s->memif || s->interface)
		open_link(s);
	dp_nodes_config.consent_s = 86400;   // nobody renews it here
	dp_nodes_config.history_video = 512; // as callstack-dataplane is configured
	dp_nodes_config.history_audio = 128;
	dp_nodes_config.bwe_min_kbps = 1000000; // nobody tells what arrives
	dp_nodes_config.bwe_start_kbps = dp_nodes_config.bwe_max_kbps = 1000000;
}

static void make_place(void)
{
	uint64_t seed = 7;

	if (!world.place)
		world.place = bench_memory(FWD_SUBS_MAX * sizeof(*world.place));
	for (uint32_t i = 0; i < world.shape.subs; i++)
		world.place[i] = i;
	for (uint32_t i = world.shape.subs; i > 1; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % i), t = world.place[i - 1];

		world.place[i - 1] = world.place[j];
		world.place[j] = t;
	}
}

static void wait_turn(void *arg)
{
	dp_worker_turn(0);
}

static void open_slabs(void)
{
	char path[] = "/dev/shm/bench_forward_XXXXXX";
	const struct fwd_layout *s = &world.layout;
	int fd = mkstemp(path), err;
	bool created;

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
	unlink(path);
	err = sh_slabs_create(&dp_slabs, path, s->endpoints, s->tracks, s->subs, &created);
	unlink(path);
	if (err)
		die("slabs: %s", strerror(-err));
	dp_slabs.head->base_port = FWD_PORT;
	dp_slabs.head->workers = 1;
}

void fwd_open_layout(const struct fwd_layout *layout)
{
	struct dp_table_cfg cfg = {.workers = 1, .backend = world.backend, .wait = wait_turn};
	struct dp_run_params run = {
	    .workers = 1,
	    .base_port = FWD_PORT,
	    .poll = DP_POLL_BUSY,
	    .pool = world.pool,
	    .backend = world.backend,
	};
	int err;

	world.layout = *layout;
	dp_clock_update(rte_get_tsc_hz()); // real time again
	world.bytes = resident();
	open_slabs();
	err = dp_table_init(&cfg);
	if (!err)
		err = dp_workers_init(&run);
	if (err)
		die("%s", strerror(-err));
	if (!layout->link)
		dp_workers[0]->n_ports = 1; // nothing comes in but through the ring
	dp_worker_enter(0);
	fill_tables();
	connect_all();
	world.stopped = bench_ticks();
}

static void shape_track(uint32_t i, struct fwd_track *out)
{
	*out = (struct fwd_track){i, world.shape.payload, 0};
}

static void shape_sub(uint32_t i, struct fwd_sub *out)
{
	uint32_t tracks = fwd_tracks(&world.shape);

	*out = (struct fwd_sub){world.place[i] % tracks, tracks + i, world.shape.payload, 0};
}

void fwd_open(const struct fwd_shape *shape)
{
	const struct fwd_layout layout = {
	    .profile = shape->profile,
	    .link = shape->memif || shape->af_xdp,
	    .endpoints = fwd_endpoints(shape),
	    .tracks = fwd_tracks(shape),
	    .subs = shape->subs,
	    .track = shape_track,
	    .sub = shape_sub,
	};

	world.shape = *shape;
	fwd_feed_open(shape);
	make_place();
	fwd_open_layout(&layout);
	warm_up();
	world.stopped = bench_ticks();
	world.bytes = resident() - world.bytes;
}

uint64_t fwd_bytes(void)
{
	return world.bytes;
}

void fwd_close_layout(void)
{
	dp_worker_leave(0);
	dp_workers_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	memset(&dp_slabs, 0, sizeof(dp_slabs));
}

void fwd_close(void)
{
	fwd_close_layout();
	fwd_feed_close();
}

uint64_t fwd_turn_at(uint64_t tsc)
{
	uint64_t t, mono, ntp;

	dp_clock_read(tsc, &mono, &ntp);
	t = bench_ticks();
	dp_clock.mono_ns = mono;
	dp_clock.ntp = ntp;
	dp_clock.tsc = t;
	dp_worker_turn(0);
	world.stopped = bench_ticks();
	return world.stopped - t;
}

uint64_t fwd_turn(void)
{
	return fwd_turn_at(world.stopped);
}

/* ---- counters ---- */

uint64_t fwd_stat(unsigned stat)
{
	return dp_workers[0]->stat[stat];
}

uint64_t fwd_drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		if (sh_stat_info[i].kind == SH_STAT_KIND_DROP)
			sum += fwd_stat(i);
	return sum;
}

void fwd_drops_print(const uint64_t *before)
{
	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		if (sh_stat_info[i].kind == SH_STAT_KIND_DROP && fwd_stat(i) != before[i])
			fprintf(stderr, "  dropped: %s %llu\n", sh_stat_info[i].name,
			        (unsigned long long)(fwd_stat(i) - before[i]));
}
