/* Events under back-pressure: nothing that must arrive is lost, what is newest is what is told, and
 * commands wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <cmocka.h>
#include "dataplane/command.h"
#include "dataplane/event.h"
#include "dataplane/speaker.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/group.h"
#include "dataplane/table/table.h"
#include "shared/log.h"
#include "shared/msg.h"

enum { ENDPOINTS = 256, CAPACITY = 4096 };

static _Alignas(64) uint8_t mem[CAPACITY + 4096];
static struct sh_ring_end tx, rx;
static char path[64];
static unsigned injected;
static union {
	_Alignas(8) uint8_t bytes[4096];
	struct sh_msg_committed committed;
	struct sh_msg_endpoint_state endpoint;
	struct sh_msg_track_state track;
	struct sh_msg_packet packet;
	struct sh_msg_speakers speakers;
	struct sh_msg_track_watch watch;
} body;

static void no_wait(void *arg)
{
}

static uint64_t counter(enum sh_stat s)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v[s];
}

static int setup(void **state)
{
	struct dp_table_cfg cfg = {
	    .workers = 1, .backend = dp_srtp_backend_find("libsrtp2"), .wait = no_wait};
	bool created;

	snprintf(path, sizeof(path), "/tmp/event_test.%d", getpid());
	assert_int_equal(sh_slabs_create(&dp_slabs, path, ENDPOINTS, 8, 8, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	dp_slabs.head->workers = 1;
	assert_int_equal(dp_event_init(), 0);
	memset(mem, 0, sizeof(mem));
	assert_int_equal(sh_ring_attach(&tx, mem, CAPACITY), 0);
	assert_int_equal(sh_ring_attach(&rx, mem, CAPACITY), 0);
	dp_event_link(&tx);
	injected = 0;
	return 0;
}

static int teardown(void **state)
{
	dp_event_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	return unlink(path);
}

/* Type of the next event, 0: none. */
static unsigned next(void)
{
	struct sh_rec hdr;

	if (sh_ring_take(&rx, &hdr, body.bytes, sizeof(body)) != 0)
		return 0;
	assert_int_equal(sh_msg_check(hdr.type, body.bytes, hdr.len), 0);
	return hdr.type;
}

static struct sh_endpoint *alive(uint32_t i)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[i];

	e->set.id = SH_ID(i, 1u);
	e->local = (struct sh_addr){.family = 4, .port = 10000, .ip = {127, 0, 0, 1}};
	e->remote =
	    (struct sh_addr){.family = 4, .port = (uint16_t)(5000 + i), .ip = {127, 0, 0, 1}};
	e->ice = SH_ICE_CONNECTED;
	e->state = SH_LIVE;
	return e;
}

static void states_are_told_once(void **state)
{
	struct sh_endpoint *e = alive(3);

	dp_event_endpoint(3);
	dp_event_endpoint(3);
	assert_true(dp_event_flush());
	assert_int_equal(next(), SH_MSG_ENDPOINT_STATE);
	assert_int_equal(body.endpoint.id, e->set.id);
	assert_int_equal(body.endpoint.remote.port, 5003);
	assert_int_equal(next(), 0);
	dp_event_endpoint(3);
	assert_true(dp_event_flush());
	assert_int_equal(next(), 0);
	e->ice = SH_ICE_DISCONNECTED;
	dp_event_endpoint(3);
	e->ice = SH_ICE_CONNECTED; // and back before it was told: there is no news
	dp_event_endpoint(3);
	dp_event_flush();
	while (next())
		assert_int_equal(body.endpoint.ice, SH_ICE_CONNECTED);
	/* Another generation in the slot, that has nothing to tell; one that has. */
	e->set.id = SH_ID(3u, 2u);
	e->ice = SH_ICE_NEW;
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(next(), 0);
	e->ice = SH_ICE_CONNECTED;
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(next(), SH_MSG_ENDPOINT_STATE);
	dp_event_forget();
	dp_event_endpoint(3);
	dp_event_flush();
	assert_int_equal(next(), SH_MSG_ENDPOINT_STATE);
	/* One that went before it was told. */
	e->ice = SH_ICE_DISCONNECTED;
	dp_event_endpoint(3);
	e->state = SH_DEAD;
	assert_true(dp_event_flush());
	assert_int_equal(next(), 0);
	dp_event_endpoint(ENDPOINTS); // out of range
}

static void tracks(void **state)
{
	struct sh_track *t = &dp_slabs.track[2];

	t->set.id = SH_ID(2u, 1u);
	t->state = SH_LIVE;
	dp_event_track(2, 5000000000);
	dp_event_flush();
	assert_int_equal(next(), 0); // silent since ever
	t->media[1].ssrc = 77;
	t->media[1].last_at_ns = 5000000000;
	dp_event_track(2, 5000000001);
	dp_event_flush();
	assert_int_equal(next(), SH_MSG_TRACK_STATE);
	assert_int_equal(body.track.layer_active, 2);
	assert_int_equal(body.track.ssrc[1], 77);
	dp_event_track(2, 5900000000);
	dp_event_flush();
	assert_int_equal(next(), 0);
	dp_event_track(2, 6000000000); // a second without a packet
	dp_event_flush();
	assert_int_equal(next(), SH_MSG_TRACK_STATE);
	assert_int_equal(body.track.layer_active, 0);
}

static void a_full_ring_delays_states(void **state)
{
	unsigned told = 0;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		alive(i);
		dp_event_endpoint(i);
	}
	assert_false(dp_event_flush());
	assert_true(counter(SH_STAT_events_full) > 0);
	assert_false(dp_event_blocked()); // commands may go on
	/* What changed while it waited is told as it is now. */
	dp_slabs.endpoint[ENDPOINTS - 1].ice = SH_ICE_DISCONNECTED;
	for (unsigned rounds = 0; rounds < 100; rounds++) {
		while (next() == SH_MSG_ENDPOINT_STATE) {
			assert_int_equal(SH_ID_INDEX(body.endpoint.id), told);
			assert_int_equal(body.endpoint.ice, told == ENDPOINTS - 1
			                                        ? SH_ICE_DISCONNECTED
			                                        : SH_ICE_CONNECTED);
			told++;
		}
		dp_event_flush();
	}
	assert_int_equal(told, ENDPOINTS);
	assert_true(dp_event_flush());
}

static void dtls_comes_after_states_or_not_at_all(void **state)
{
	uint8_t data[1200] = {22, 0xfe, 0xfd};
	unsigned packets = 0;

	alive(1);
	dp_event_endpoint(1);
	assert_true(dp_event_dtls(1, data, 100));
	assert_int_equal(next(), SH_MSG_ENDPOINT_STATE);
	assert_int_equal(next(), SH_MSG_RX_DTLS);
	assert_int_equal(body.packet.endpoint, SH_ID(1u, 1u));
	assert_int_equal(body.packet.len, 100);
	while (dp_event_dtls(1, data, sizeof(data)))
		packets++;
	assert_in_range(packets, 1, 3);
	assert_int_equal(counter(SH_STAT_drop_punt_full), 1);
	for (unsigned i = 0; i < packets; i++)
		assert_int_equal(next(), SH_MSG_RX_DTLS);
	assert_int_equal(next(), 0);
	assert_false(dp_event_dtls(1, data, 0));
	assert_false(dp_event_dtls(1, data, SH_PACKET_MAX + 1));
	assert_false(dp_event_dtls(2, data, 10)); // no such endpoint
	assert_false(dp_event_dtls(ENDPOINTS, data, 10));
	dp_event_link(NULL);
	assert_false(dp_event_dtls(1, data, 10)); // nobody listens
}

static void answers_wait_in_order(void **state)
{
	struct sh_msg_committed m = {0};
	uint64_t sent = 0, got = 0;

	while (!dp_event_blocked()) {
		m.txn = ++sent;
		assert_int_equal(dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m)), 0);
	}
	for (unsigned i = 0; i < 10; i++) {
		m.txn = ++sent;
		assert_int_equal(dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m)), 0);
	}
	do {
		while (next() == SH_MSG_COMMITTED)
			assert_int_equal(body.committed.txn, ++got);
		dp_event_flush();
	} while (got < sent);
	assert_false(dp_event_blocked());
	assert_int_equal(next(), 0);
	/* A daemon that goes takes its answers along. */
	while (!dp_event_blocked())
		dp_event_reply(SH_MSG_COMMITTED, &m, sizeof(m));
	dp_event_link(NULL);
	assert_false(dp_event_blocked());
	assert_true(dp_event_flush());
}

/* ---- the receiver ---- */

static void hello(void *arg, struct sh_msg_e_hello *m)
{
	m->version = SH_MSG_VERSION;
	m->pid = 1;
	m->epoch = m->slab_epoch = 1;
	m->workers = 1;
	m->base_port = 10000;
	m->max_endpoints = ENDPOINTS;
	m->max_tracks = m->max_subs = 8;
	sh_msg_sizes(m->size);
}

static int reply(void *arg, unsigned type, const void *data, uint32_t len)
{
	return dp_event_reply(type, data, len);
}

static void inject(void *arg, uint32_t endpoint, const void *data, uint32_t len)
{
	injected++;
}

static void applied(void *arg, bool full)
{
}

static int give(struct dp_command *c, unsigned type, unsigned flags, const void *data, uint32_t len)
{
	static _Alignas(8) uint8_t buf[4096];
	struct sh_rec hdr = {.len = len, .type = (uint16_t)type, .flags = (uint16_t)flags};

	memcpy(buf, data, len);
	int err = dp_command_take(c, &hdr, buf);
	if (type == SH_MSG_ENDPOINT_KEYS)
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(buf[i], 0); // wiped, accepted or not
	return err;
}

static void commands(void **state)
{
	static const struct dp_command_h h = {
	    .hello = hello, .reply = reply, .inject = inject, .applied = applied};
	struct sh_msg_c_hello m = {.version = SH_MSG_VERSION + 1, .pid = 1, .epoch = 9};
	struct sh_msg_begin b = {.txn = 1};
	struct sh_msg_commit cm = {.txn = 1, .records = 1};
	struct sh_msg_endpoint_keys k = {.id = 1, .profile = SH_SRTP_AEAD_AES_128_GCM};
	struct sh_msg_packet p = {.endpoint = SH_ID(1u, 1u), .len = 5};
	struct dp_command c;

	sh_log_levels("error");
	sh_msg_sizes(m.size);
	dp_command_init(&c, &h);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), -EPROTO);   // before the hello
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), -EPROTO); // of another version
	m.version = SH_MSG_VERSION;
	m.size[SH_MSG_TRACK_SET]++;
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), -EPROTO); // of another build
	sh_msg_sizes(m.size);
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), 0);
	assert_int_equal(next(), SH_MSG_E_HELLO);
	/* A second one is a mistake, and no reason to part. */
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), 0);
	assert_int_equal(counter(SH_STAT_records_refused), 1);
	/* Keys without the flag that has them wiped from the ring. */
	memset(k.rx.bytes, 1, 28);
	memset(k.tx.bytes, 2, 28);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	assert_int_equal(give(&c, SH_MSG_ENDPOINT_KEYS, 0, &k, sizeof(k)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMIT, 0, &cm, sizeof(cm)), 0);
	assert_int_equal(next(), SH_MSG_COMMITTED);
	assert_int_equal(body.committed.error, -EINVAL);
	assert_int_equal(counter(SH_STAT_commits_refused), 1);
	/* Staged records without BEGIN; an event; a length that is not the type's. */
	assert_int_equal(give(&c, SH_MSG_ENDPOINT_KEYS, SH_REC_SECRET, &k, sizeof(k)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMITTED, 0, &k, sizeof(struct sh_msg_committed)), 0);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, 7), 0);
	assert_int_equal(counter(SH_STAT_records_refused), 5);
	/* Packets: to a live endpoint only. */
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 0);
	assert_int_equal(counter(SH_STAT_drop_inject_unknown), 1);
	alive(1);
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 1);
	p.endpoint = SH_ID(1u, 2u);
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 1);
	/* Key frames: every layer of a live track. */
	dp_slabs.track[2].set.id = SH_ID(2u, 1u);
	dp_slabs.track[2].set.layers = 3;
	dp_slabs.track[2].state = SH_LIVE;
	struct sh_msg_keyframe kf = {.track = SH_ID(2u, 1u)};
	assert_int_equal(give(&c, SH_MSG_KEYFRAME, 0, &kf, sizeof(kf)), 0);
	assert_int_equal(dp_keyframe_take(2), 7);
	kf.track = SH_ID(2u, 9u);
	assert_int_equal(give(&c, SH_MSG_KEYFRAME, 0, &kf, sizeof(kf)), 0);
	assert_int_equal(dp_keyframe_take(2), 0);
	/* An empty transaction is applied, and its daemon remembered. */
	cm.records = 0;
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMIT, 0, &cm, sizeof(cm)), 0);
	assert_int_equal(next(), SH_MSG_COMMITTED);
	assert_int_equal(body.committed.error, 0);
	assert_int_equal(dp_slabs.head->daemon_epoch, 9);
	/* What was begun ends with the daemon. */
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	dp_command_end(&c);
	assert_false(dp_stage_open());
	dp_slabs.track[2].state = SH_FREE;
	dp_slabs.endpoint[1].state = SH_FREE;
}

/* ---- who speaks, and what is watched ---- */

static uint64_t txn = 100;
static void apply(unsigned type, const void *m, uint32_t len)
{
	struct sh_msg_commit c = {.txn = ++txn, .records = 1};
	struct sh_msg_committed done;

	assert_int_equal(sh_msg_check(type, m, len), 0);
	dp_stage_begin(c.txn);
	dp_stage_record(type, m, len);
	dp_stage_commit(&c, &done);
	assert_int_equal(done.error, 0);
}

static void add_endpoint(uint32_t i, uint32_t owner)
{
	struct sh_msg_endpoint_set m = {.id = SH_ID(i, 1u), .ufrag_len = 4, .pwd_len = 24, .owner = owner};

	memset(m.ufrag, 'a' + (int)i, 4);
	memset(m.pwd, 'p', 24);
	apply(SH_MSG_ENDPOINT_SET, &m, sizeof(m));
}

static void add_track(uint32_t i, sh_id endpoint, enum sh_kind kind, uint8_t flags, uint8_t at)
{
	bool slot = flags & SH_TRACK_SLOT;
	struct sh_msg_track_set m = {
	    .id = SH_ID(i, 1u),
	    .endpoint = endpoint,
	    .group = 4,
	    .kind = kind,
	    .layers = kind == SH_KIND_AUDIO ? 1 : SH_MAX_LAYERS,
	    .flags = flags,
	    .slot = at,
	};

	for (unsigned k = 0; k < SH_MAX_PTS; k++)
		m.pt[k] = (struct sh_track_pt){.pt = 255, .apt_slot = 255};
	m.pt[0] = (struct sh_track_pt){
	    .pt = 96,
	    .codec = kind == SH_KIND_AUDIO ? SH_CODEC_OPUS : SH_CODEC_VP8,
	    .apt_slot = 255,
	    .clock_hz = kind == SH_KIND_AUDIO ? 48000 : 90000};
	for (unsigned l = 0; kind == SH_KIND_VIDEO && !slot && l < SH_MAX_LAYERS; l++) {
		m.layer[l].rid_len = 1;
		m.layer[l].rid[0] = (uint8_t)('q' + l);
	}
	apply(SH_MSG_TRACK_SET, &m, sizeof(m));
}

static void add_sub(uint32_t i, uint32_t track, uint32_t endpoint, uint8_t flags)
{
	struct sh_msg_sub_set m = {.id = SH_ID(i, 1u),
	                           .track = SH_ID(track, 1u),
	                           .endpoint = SH_ID(endpoint, 1u),
	                           .ssrc = 1 + i,
	                           .flags = flags,
	                           .max_layer = 2};

	memset(m.pt, 255, sizeof(m.pt));
	apply(SH_MSG_SUB_SET, &m, sizeof(m));
}

static void speak(uint32_t track, uint64_t *now, unsigned ms)
{
	for (unsigned t = 0; t < ms; t += DP_SPEAKERS_MS) {
		*now += DP_SPEAKERS_MS * 1000000ull;
		for (uint32_t i = 0; i < 2; i++) {
			dp_slabs.track[i].level = i == track ? 30 : 127;
			dp_slabs.track[i].media[0].last_at_ns = *now;
		}
		dp_speakers_tick(*now);
	}
	assert_true(dp_event_flush());
}

/* The next event of the group; what is watched is another matter. */
static unsigned next_speakers(void)
{
	unsigned type;

	do
		type = next();
	while (type == SH_MSG_TRACK_WATCH);
	return type;
}

/* Two who publish audio (0, 1) and video (2, 3), a slot of each kind (4, 5). */
static void speakers(void **state)
{
	uint64_t now = 10000000000;
	struct sh_msg_speakers last = {0};

	assert_int_equal(dp_speakers_init(), 0);
	add_endpoint(0, 100);
	add_endpoint(1, 101);
	for (uint32_t i = 0; i < 4; i++)
		add_track(i, SH_ID(i % 2, 1u), i < 2 ? SH_KIND_AUDIO : SH_KIND_VIDEO, SH_TRACK_FOLLOW, 0);
	add_track(4, 0, SH_KIND_AUDIO, SH_TRACK_SLOT, 0);
	add_track(5, 0, SH_KIND_VIDEO, SH_TRACK_SLOT, 0);
	assert_true(dp_speakers_any());
	speak(2, &now, 100); // nobody
	assert_int_equal(next_speakers(), SH_MSG_SPEAKERS);
	assert_int_equal(body.speakers.group, 4);
	assert_int_equal(body.speakers.dominant, 0);
	assert_int_equal(body.speakers.audio_slots, 1);
	assert_int_equal(body.speakers.audio[0], SH_ID(0u, 1u)); // first come
	assert_int_equal(body.speakers.video[0], SH_ID(2u, 1u));
	assert_int_equal(next_speakers(), 0);
	speak(1, &now, 2500);
	while (next_speakers())
		last = body.speakers;
	assert_int_equal(last.dominant, SH_ID(1u, 1u));
	assert_int_equal(last.audio[0], SH_ID(1u, 1u));
	assert_int_equal(last.video[0], SH_ID(3u, 1u)); // of the same owner
	speak(1, &now, 2000);
	assert_int_equal(next_speakers(), 0); // no news
	dp_event_link(NULL); // the daemon dies; others speak
	speak(0, &now, 3000);
	dp_event_link(&tx);
	dp_event_forget();
	dp_speakers_replay();
	assert_true(dp_event_flush());
	assert_int_equal(next_speakers(), SH_MSG_SPEAKERS);
	assert_int_equal(body.speakers.dominant, SH_ID(0u, 1u));
	assert_int_equal(body.speakers.video[0], SH_ID(2u, 1u));
	assert_int_equal(next_speakers(), 0);
	dp_speakers_free();
}

static unsigned watched(uint32_t track, uint64_t now)
{
	dp_event_watch(track, now);
	assert_true(dp_event_flush());
	return next() == SH_MSG_TRACK_WATCH ? body.watch.layers : 99;
}

static void watches(void **state)
{
	const uint64_t s = 1000000000;

	assert_int_equal(dp_speakers_init(), 0);
	add_endpoint(0, 100);
	add_endpoint(1, 101);
	add_track(2, SH_ID(0u, 1u), SH_KIND_VIDEO, SH_TRACK_FOLLOW, 0);
	add_track(5, 0, SH_KIND_VIDEO, SH_TRACK_SLOT, 0);
	assert_int_equal(watched(2, 10 * s), 99); // nobody's, but that may be new
	assert_int_equal(watched(2, 14 * s), 99);
	assert_int_equal(watched(2, 15 * s), 0);
	assert_int_equal(watched(2, 25 * s), 99); // told
	add_sub(1, 2, 1, 0);
	assert_int_equal(watched(2, 26 * s), 7); // at once
	dp_slabs.sub[1].want_layer = dp_slabs.sub[1].ideal_layer = 1;
	assert_int_equal(watched(2, 27 * s), 99);
	dp_slabs.sub[1].ideal_layer = 2; // bandwidth is missing, not the wish
	assert_int_equal(watched(2, 40 * s), 99);
	dp_slabs.sub[1].ideal_layer = 1;
	assert_int_equal(watched(2, 41 * s), 99);
	assert_int_equal(watched(2, 46 * s), 3);
	add_sub(1, 2, 1, SH_SUB_PAUSED);
	assert_int_equal(watched(2, 50 * s), 99);
	assert_int_equal(watched(2, 56 * s), 0);
	add_sub(2, 5, 0, 0); // by way of a slot, but of its own owner
	dp_slot_set(5, 2);
	assert_int_equal(watched(2, 57 * s), 99);
	add_sub(3, 5, 1, 0);
	assert_int_equal(watched(2, 58 * s), 7);
	dp_event_forget(); // another daemon
	assert_true(dp_event_flush());
	assert_int_equal(next(), SH_MSG_TRACK_WATCH);
	assert_int_equal(body.watch.layers, 7);
	assert_int_equal(watched(2, 59 * s), 99);
	dp_speakers_free();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(states_are_told_once),      TEST(tracks),
	    TEST(a_full_ring_delays_states), TEST(dtls_comes_after_states_or_not_at_all),
	    TEST(answers_wait_in_order),     TEST(commands),
	    TEST(speakers),                  TEST(watches),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
