/* The dataplane's receiver of commands, over a ring that the fuzzer writes: records of any type,
 * flags and length, or ring memory as it comes. Input: a mode byte, then records of {type, flags,
 * length (2)} and body; a length of 0xffff stands for the type's own. After each record what must
 * always hold is looked at, and the owners' work is done. A hello is sent first unless mode says
 * otherwise. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "dataplane/command.h"
#include "dataplane/event.h"
#include "dataplane/speaker.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/group.h"
#include "dataplane/table/table.h"
#include "shared/log.h"
#include "shared/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENDPOINTS = 8, TRACKS = 8, SUBS = 16, WORKERS = 2, CAPACITY = 16384, BODY = 4096 };
enum { MODE_NO_HELLO = 1, MODE_RAW_RING = 2, MODE_LAZY = 4 };

static struct dp_worker workers[WORKERS];
static uint16_t sizes[SH_MSG_TYPES_MAX];
static _Alignas(64) uint8_t ring_mem[CAPACITY + 4096], event_mem[CAPACITY + 4096];
static struct sh_ring_end in, out, events, daemon_events;

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void do_ops(void *arg)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		const struct dp_op *op;

		while ((op = dp_ops_peek(dp_table_ops(w)))) {
			if (op->type == DP_OP_FORGET_ENDPOINT)
				dp_tuple_clear(&workers[w], op->index);
			else if (op->type == DP_OP_REKEY)
				dp_table_rekey(op->index, op->arg);
			dp_ops_done(dp_table_ops(w));
		}
	}
}

static uint64_t now_ns = 1000000000;

static void hello(void *arg, struct sh_msg_e_hello *m)
{
	m->version = SH_MSG_VERSION;
	m->pid = 1;
	m->workers = WORKERS;
	m->epoch = m->slab_epoch = 1;
	m->max_endpoints = ENDPOINTS;
	m->max_tracks = TRACKS;
	m->max_subs = SUBS;
	m->base_port = 10000;
	sh_msg_sizes(m->size);
}

static int reply(void *arg, unsigned type, const void *body, uint32_t len)
{
	return dp_event_reply(type, body, len);
}

static void inject(void *arg, uint32_t endpoint, const void *data, uint32_t len)
{
	require(endpoint < ENDPOINTS && len >= 1 && len <= SH_PACKET_MAX);
	require(dp_slabs.endpoint[endpoint].state == SH_LIVE);
	dp_event_dtls(endpoint, data, len);
}

static void applied(void *arg, bool full)
{
	if (full)
		dp_event_forget();
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		dp_event_endpoint(i);
	now_ns += 700000000;
	for (uint32_t i = 0; i < TRACKS; i++) { // everybody talks, more or less
		dp_slabs.track[i].level = (uint8_t)(now_ns >> (i + 20) & 127);
		dp_slabs.track[i].media[0].last_at_ns = now_ns;
	}
	dp_speakers_tick(now_ns);
	for (uint32_t i = 0; i < TRACKS; i++)
		if (dp_slabs.track[i].state == SH_LIVE)
			dp_event_watch(i, now_ns);
}

static uint32_t length(const struct dp_fanout *f, uint32_t items)
{
	for (uint32_t i = 0; f && i < f->n; i++)
		require(f->sub[i] < items);
	return f ? f->n : 0;
}

/* Lists hold the live entries, each once; references lead to live entries of that generation. */
static void check_tables(void)
{
	uint32_t n[3] = {0}, fans = 0, members = 0;
	bool rtx;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		const struct sh_endpoint *e = &dp_slabs.endpoint[i];

		n[1] += length(dp_endpoint_tracks(i), TRACKS);
		n[2] += length(dp_endpoint_subs(i), SUBS);
		if (e->state != SH_LIVE)
			continue;
		n[0]++;
		require(e->set.worker < WORKERS);
		require(dp_endpoint_by_ufrag(e->set.ufrag, e->set.ufrag_len) == (int)i);
	}
	for (unsigned w = 0; w < WORKERS; w++)
		n[0] -= length(dp_worker_endpoints(w), ENDPOINTS);
	for (uint32_t i = 0; i < TRACKS; i++) {
		const struct sh_msg_track_set *s = &dp_slabs.track[i].set;

		for (unsigned w = 0; w < WORKERS; w++)
			fans += length(dp_fanout(i, w), SUBS);
		if (dp_slabs.track[i].state != SH_LIVE)
			continue;
		members += s->group != 0;
		if (dp_slabs.track[i].source)
			require(dp_slabs.track[SH_ID_INDEX(dp_slabs.track[i].source)].follower == s->id);
		if (dp_slabs.track[i].follower)
			require(dp_slabs.track[SH_ID_INDEX(dp_slabs.track[i].follower)].source == s->id);
		if (s->flags & SH_TRACK_SLOT)
			continue;
		n[1]--;
		require(dp_slabs.endpoint[SH_ID_INDEX(s->endpoint)].state == SH_LIVE);
		require(dp_slabs.endpoint[SH_ID_INDEX(s->endpoint)].set.id == s->endpoint);
	}
	for (uint32_t i = 0; i < SUBS; i++) {
		const struct sh_msg_sub_set *s = &dp_slabs.sub[i].set;

		if (dp_slabs.sub[i].state != SH_LIVE)
			continue;
		n[2]--;
		fans--;
		require(dp_slabs.track[SH_ID_INDEX(s->track)].state == SH_LIVE);
		require(dp_slabs.track[SH_ID_INDEX(s->track)].set.id == s->track);
		require(dp_slabs.endpoint[SH_ID_INDEX(s->endpoint)].state == SH_LIVE);
		require(dp_sub_by_ssrc(SH_ID_INDEX(s->endpoint), s->ssrc, &rtx) == (int)i && !rtx);
	}
	require(n[0] == 0 && n[1] == 0 && n[2] == 0 && fans == 0);
	for (uint32_t i = 0; i < dp_groups(); i++) {
		const struct dp_group *g = dp_group_at(i);

		members -= g->audio.n + g->video.n;
		for (unsigned k = 0; k < g->audio_slots; k++)
			members -= g->audio_slot[k] != 0;
		for (unsigned k = 0; k < g->video_slots; k++)
			members -= g->video_slot[k] != 0;
	}
	require(members == 0);
}

/* What we say is well-formed. */
static void read_events(void)
{
	static _Alignas(8) uint8_t body[BODY];
	struct sh_rec hdr;

	while (sh_ring_take(&daemon_events, &hdr, body, sizeof(body)) == 0) {
		require(sh_msg_direction(hdr.type) == 'E');
		require(sh_msg_check(hdr.type, body, hdr.len) == 0);
	}
}

static bool take_all(struct dp_command *c, bool lazy)
{
	static _Alignas(8) uint8_t body[BODY];
	struct sh_rec hdr;
	int err;

	while ((err = sh_ring_take(&in, &hdr, body, sizeof(body))) != -EAGAIN) {
		if (err == -EMSGSIZE)
			continue;
		if (err || dp_command_take(c, &hdr, body) != 0)
			return false;
		check_tables();
		if (!lazy) {
			dp_reap_all();
			dp_event_flush();
			read_events();
		}
	}
	return true;
}

static void put(unsigned type, unsigned flags, const void *body, uint32_t len)
{
	void *p = sh_ring_reserve(&out, (uint16_t)type, (uint16_t)flags, len);

	if (!p)
		return;
	memcpy(p, body, len);
	sh_ring_commit(&out);
}

static void records(struct dp_command *c, unsigned mode, const uint8_t *data, size_t size)
{
	while (size >= 4) {
		unsigned type = data[0], flags = data[1];
		uint32_t len = (uint32_t)data[2] | (uint32_t)data[3] << 8;
		uint8_t body[BODY] = {0};

		data += 4;
		size -= 4;
		if (len == 0xffff)
			len = type < SH_MSG_TYPES_MAX ? sizes[type] : 0;
		len = len < BODY ? len : BODY;
		memcpy(body, data, len < size ? len : size);
		put(type, flags, body, len);
		data += len < size ? len : size;
		size -= len < size ? len : size;
		if (!take_all(c, mode & MODE_LAZY))
			return;
	}
}

/* Head, tail and records as the fuzzer wants them. */
static void raw_ring(struct dp_command *c, unsigned mode, const uint8_t *data, size_t size)
{
	struct sh_ring *r = in.ring;
	uint64_t head = 0;

	if (size < 8)
		return;
	memcpy(&head, data, 8);
	data += 8;
	size -= 8;
	memcpy(r->data, data, size < CAPACITY ? size : CAPACITY);
	atomic_store(&r->head, (head & 0xffff) < CAPACITY ? head & 0xffff : head);
	take_all(c, mode & MODE_LAZY);
}

static void start(void)
{
	struct dp_table_cfg cfg = {
	    .workers = WORKERS, .backend = dp_srtp_backend_find("libsrtp2"), .wait = do_ops};
	char path[64];
	bool created;

	sh_log_levels("error");
	sh_msg_sizes(sizes);
	snprintf(path, sizeof(path), "/tmp/fuzz_commands.%d", getpid());
	require(sh_slabs_create(&dp_slabs, path, ENDPOINTS, TRACKS, SUBS, &created) == 0);
	unlink(path);
	require(dp_table_init(&cfg) == 0 && dp_event_init() == 0 && dp_speakers_init() == 0);
	for (unsigned w = 0; w < WORKERS; w++)
		workers[w].index = w;
}

/* Nothing of the last input may be left. */
static void empty(struct dp_command *c)
{
	struct sh_msg_commit all = {.txn = 1, .full = 1};
	struct sh_msg_committed done;

	dp_stage_begin(1);
	dp_stage_commit(&all, &done);
	require(done.error == 0);
	dp_reap_all();
	check_tables();
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		require(dp_slabs.endpoint[i].state == SH_FREE && !dp_session(i));
	dp_event_link(NULL);
	dp_command_end(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dp_command_h h = {
	    .hello = hello, .reply = reply, .inject = inject, .applied = applied};
	static bool started;
	struct sh_msg_c_hello m = {.version = SH_MSG_VERSION, .pid = 1, .epoch = 5};
	struct dp_command c;
	unsigned mode;

	if (!started)
		start();
	started = true;
	if (size == 0)
		return 0;
	memset(ring_mem, 0, sizeof(ring_mem));
	memset(event_mem, 0, sizeof(event_mem));
	require(sh_ring_attach(&in, ring_mem, CAPACITY) == 0 &&
	        sh_ring_attach(&out, ring_mem, CAPACITY) == 0);
	require(sh_ring_attach(&events, event_mem, CAPACITY) == 0 &&
	        sh_ring_attach(&daemon_events, event_mem, CAPACITY) == 0);
	mode = data[0];
	dp_command_init(&c, &h);
	dp_event_link(&events);
	sh_msg_sizes(m.size);
	if (!(mode & MODE_NO_HELLO)) {
		put(SH_MSG_C_HELLO, 0, &m, sizeof(m));
		require(take_all(&c, false));
	}
	if (mode & MODE_RAW_RING) {
		memset(ring_mem, 0, sizeof(ring_mem));
		require(sh_ring_attach(&in, ring_mem, CAPACITY) == 0);
		raw_ring(&c, mode, data + 1, size - 1);
	} else {
		records(&c, mode, data + 1, size - 1);
	}
	empty(&c);
	return 0;
}
