/* What the nodes do, with packets of no content: fanout and rewrite choose and number, pace holds
 * back, probe pads, rtcp_in takes feedback and requests for retransmission. */
#include "tests/sim/sim.h"
#include <stdlib.h>

enum {
	PAYLOAD_MAX = 1130,
	PAD_BYTES = 255 + SIM_HEAD,
	ALLOC_MS = 200,
	KEY_EVERY_MS = 300,
	PUBLISHER_MS = 20
};

void sim_ask_key(struct sim *s, uint32_t track, uint32_t layer)
{
	struct sim_track *t = &s->track[track];

	if (t->asked_ns[layer] && s->now_ns - t->asked_ns[layer] < KEY_EVERY_MS * SIM_MS)
		return;
	t->asked_ns[layer] = s->now_ns;
	t->key_ns[layer] = s->now_ns + PUBLISHER_MS * SIM_MS;
}

static void leave(struct sim *s, struct sim_peer *p, struct sim_pkt *k)
{
	k->twcc = p->twcc_seq++;
	dp_bwe_sent(&p->bwe, k->twcc, k->bytes, s->now_ns);
	dp_pacer_sent(&p->pacer, k->bytes, s->now_ns);
	if (k->flags & SIM_PAD)
		p->pad_bytes += k->bytes;
	else if (k->flags & SIM_RTX)
		p->rtx_bytes += k->bytes;
	else
		p->video_bytes += k->bytes;
	sim_down(s, p, k);
}

static void drain(struct sim *s, struct sim_peer *p)
{
	while (p->head != p->tail && dp_pacer_room(&p->pacer, s->now_ns)) {
		struct sim_pkt *k = &p->queue[p->head++ % SIM_QUEUE];

		p->queued_bytes -= k->bytes;
		if (p->view[k->track].want == DP_ALLOC_NONE)
			continue;
		leave(s, p, k);
	}
}

static void send(struct sim *s, struct sim_peer *p, struct sim_pkt k)
{
	if (k.flags & SIM_AUDIO) {
		leave(s, p, &k);
		return;
	}
	if (p->tail - p->head == SIM_QUEUE)
		abort(); // 250 ms of 5 Mb/s are 150 packets
	if (k.flags & SIM_RTX)
		p->queue[--p->head % SIM_QUEUE] = k; // before all that waits
	else
		p->queue[p->tail++ % SIM_QUEUE] = k;
	p->queued_bytes += k.bytes;
	drain(s, p);
}

/* Which layer goes on: a switch of quality at a key frame only, up in frame rate at the start of a
 * pattern. */
static bool chosen(struct sim *s, struct sim_view *v, const struct sim_track *t, uint32_t track,
                   uint32_t layer, uint32_t temporal, bool key)
{
	uint32_t low = t->svc ? 0 : v->want;

	if (v->want == DP_ALLOC_NONE) {
		v->layer = DP_ALLOC_NONE;
		return false;
	}
	if (v->layer != v->want && layer == low) {
		if (key)
			v->layer = v->want;
		else if (t->svc && v->layer != DP_ALLOC_NONE && v->want < v->layer)
			v->layer = v->want; // fewer spatial layers: at any frame
		else
			sim_ask_key(s, track, low);
	}
	if (v->layer == DP_ALLOC_NONE || (t->svc ? layer > v->layer : layer != v->layer))
		return false;
	if (v->want_temporal < v->temporal || !temporal)
		v->temporal = v->want_temporal;
	return temporal <= v->temporal;
}

void sim_forward(struct sim *s, uint32_t track, uint32_t layer, uint32_t temporal, bool key,
                 uint32_t bytes)
{
	const struct sim_track *t = &s->track[track];
	uint32_t of = (bytes + PAYLOAD_MAX - 1) / PAYLOAD_MAX;

	for (struct sim_peer *p = s->peer; p < s->peer + s->peers; p++) {
		struct sim_view *v = &p->view[track];

		if (t->kind == SH_KIND_VIDEO && !chosen(s, v, t, track, layer, temporal, key))
			continue;
		v->frame++;
		p->frames_sent += t->kind == SH_KIND_VIDEO;
		for (uint32_t i = 0; i < of; i++) {
			struct sim_pkt k = {
			    .seq = ++v->seq,
			    .frame = v->frame,
			    .of = (uint16_t)of,
			    .track = (uint8_t)track,
			    .layer = (uint8_t)layer,
			    .temporal = (uint8_t)temporal,
			    .bytes = (uint16_t)((bytes - i * PAYLOAD_MAX > PAYLOAD_MAX
			                             ? PAYLOAD_MAX
			                             : bytes - i * PAYLOAD_MAX) +
			                        SIM_HEAD),
			    .flags =
			        (t->kind == SH_KIND_AUDIO ? SIM_AUDIO : 0) | (key ? SIM_KEY : 0),
			};

			v->history[k.seq % SIM_HISTORY] = k;
			v->resent_ns[k.seq % SIM_HISTORY] = 0;
			send(s, p, k);
		}
	}
}

uint64_t sim_alloc_fill(const struct sim *s, const struct sim_peer *p,
                        struct dp_alloc_sub sub[SIM_TRACKS])
{
	for (uint32_t i = 0; i < s->tracks; i++) {
		const struct sim_track *t = &s->track[i];

		sub[i] = (struct dp_alloc_sub){
		    .kind = t->kind,
		    .active = (uint8_t)((1u << t->layers) - 1),
		    .temporals = t->temporals,
		    .svc = t->svc,
		    .max_layer = SH_MAX_LAYERS - 1,
		    .max_temporal = SH_MAX_TEMPORAL - 1,
		    .layer = p->view[i].want,
		    .temporal = p->view[i].want_temporal,
		    .rate_bps = t->rate,
		    .key_bytes = t->key_bytes,
		    .speaker = p->speaker == i + 1,
		};
		__builtin_memcpy(sub[i].height, t->height, sizeof(t->height));
	}
	return s->tracks;
}

static void allocate(struct sim *s, struct sim_peer *p)
{
	struct dp_alloc_sub sub[SIM_TRACKS];

	sim_alloc_fill(s, p, sub);
	p->alloc.unproven = dp_bwe_unproven(&p->bwe, s->now_ns);
	p->alloc.dare = dp_bwe_may_dare(&p->bwe, !p->no_padding, s->now_ns);
	dp_alloc_run(&p->alloc, sub, s->tracks, p->bwe.estimate_bps, p->bwe.loss, s->now_ns);
	if (p->alloc.dared)
		dp_bwe_dared(&p->bwe, s->now_ns);
	for (uint32_t i = 0; i < s->tracks; i++) {
		struct sim_view *v = &p->view[i];

		v->want = sub[i].want_layer;
		v->want_temporal = sub[i].want_temporal;
	}
	dp_bwe_needs(&p->bwe, p->alloc.allocated_bps, p->alloc.wanted_bps);
	p->bwe.changed = 0;
	p->alloc_ns = s->now_ns;
}

void sim_sfu_tick(struct sim *s, struct sim_peer *p)
{
	uint32_t pad;

	dp_bwe_tick(&p->bwe, s->now_ns);
	if (p->bwe.changed || s->now_ns - p->alloc_ns >= ALLOC_MS * SIM_MS)
		allocate(s, p);
	dp_pacer_rate(&p->pacer, dp_bwe_pace_bps(&p->bwe, s->now_ns), p->queued_bytes, s->now_ns);
	drain(s, p);
	if (s->now_ns / SIM_MS % 5 || p->no_padding)
		return;
	for (pad = dp_bwe_probe(&p->bwe, s->now_ns); pad;
	     pad -= pad < PAD_BYTES ? pad : PAD_BYTES) {
		struct sim_pkt k = {.bytes = PAD_BYTES, .flags = SIM_PAD};

		p->bwe.probe_bytes += k.bytes;
		leave(s, p, &k);
	}
}

static void resend(struct sim *s, struct sim_peer *p, uint32_t track, const struct dp_rtcp_fb *fb,
                   uint64_t now_ns)
{
	struct sim_view *v = &p->view[track];
	struct dp_rtcp_nack_iter it;
	uint16_t seq;

	if (dp_rtcp_nack_first(&it, fb))
		return;
	while (dp_rtcp_nack_next(&it, &seq)) {
		uint32_t at = dp_seq_extend(v->seq, seq) % SIM_HISTORY;
		struct sim_pkt k = v->history[at];

		/* asked for again before the last one can have arrived */
		if ((uint16_t)k.seq != seq || !k.bytes ||
		    (v->resent_ns[at] && now_ns - v->resent_ns[at] < p->bwe.rtt_us * 1000ull))
			continue;
		v->resent_ns[at] = now_ns;
		k.flags |= SIM_RTX;
		send(s, p, k);
	}
}

void sim_sfu_rtcp(struct sim *s, struct sim_peer *p, const uint8_t *data, uint32_t len,
                  uint64_t now_ns)
{
	struct dp_rtcp_iter it;
	struct dp_rtcp_pkt k;

	if (dp_rtcp_first(&it, data, len, DP_RTCP_RSIZE))
		abort();
	while (dp_rtcp_next(&it, &k)) {
		struct dp_rtcp_twcc t;
		struct dp_rtcp_fb fb;

		if (dp_rtcp_fb(&fb, &k))
			abort();
		if (k.type == DP_RTCP_RTPFB && k.count == DP_RTCP_RTPFB_TWCC) {
			if (dp_rtcp_twcc(&t, &fb))
				abort();
			dp_bwe_feedback(&p->bwe, &t, now_ns);
		} else if (k.type == DP_RTCP_RTPFB) {
			resend(s, p, fb.media, &fb, now_ns);
		} else if (p->view[fb.media].layer != DP_ALLOC_NONE) {
			sim_ask_key(s, fb.media,
			            s->track[fb.media].svc ? 0 : p->view[fb.media].layer);
		}
	}
}
