/* The worker's own state beside slab entries: made when an entry is first met, dropped when it is
 * another one. */
#include <rte_hash_crc.h>
#include <string.h>
#include "dataplane/node/layer.h"
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"

static void track_rt_clear(struct dp_worker *w, struct dp_track_rt *r, uint32_t index)
{
	struct dp_node *n = dp_node(w);

	for (unsigned l = 0; l < SH_MAX_LAYERS; l++) {
		if (r->hist[l])
			dp_history_forget(w, r->hist[l] - 1);
		if (r->nack[l])
			dp_pool_give(&n->nacks, r->nack[l] - 1);
	}
	dp_frames_forget(w, index);
	if (r->active_pos) {
		uint32_t last = n->active[--n->n_active];

		n->active[r->active_pos - 1] = last;
		n->track[last].active_pos = r->active_pos;
	}
	memset(r, 0, sizeof(*r));
}

struct dp_track_rt *dp_track_rt_renew(struct dp_worker *w, uint32_t index)
{
	struct dp_track_rt *r = &dp_node(w)->track[index];

	track_rt_clear(w, r, index);
	r->id = dp_slabs.track[index].set.id;
	return r;
}

struct dp_ep_rt *dp_ep_rt_renew(struct dp_worker *w, uint32_t index)
{
	struct dp_ep_rt *r = &dp_node(w)->ep[index];
	const struct dp_link *l = &dp_node(w)->link[index];

	dp_hear_stop(w, index);
	if (l->id && l->id != dp_slabs.endpoint[index].set.id)
		dp_link_drop(w, index);
	*r = (struct dp_ep_rt){.id = dp_slabs.endpoint[index].set.id};
	return r;
}

/* Of what a subscription's template depends on. */
static uint32_t conf_hash(const struct sh_sub *s, const struct sh_endpoint *e)
{
	struct {
		uint8_t ext_id[SH_EXT_COUNT], mid[SH_MID_MAX];
		uint8_t two_byte, mid_len, nack, rtx;
		uint32_t owner;
	} __rte_aligned(8) c = {
	    .two_byte = e->set.ext_two_byte,
	    .mid_len = s->set.mid_len,
	    .nack = s->set.flags & SH_SUB_NACK,
	    .rtx = !!s->set.rtx_ssrc,
	    .owner = e->set.owner,
	};

	memcpy(c.ext_id, e->set.ext_id, sizeof(c.ext_id));
	memcpy(c.mid, s->set.mid, sizeof(c.mid));
	return rte_hash_crc(&c, sizeof(c), 0);
}

void dp_sub_rt_check(struct dp_worker *w, uint32_t index)
{
	struct dp_sub_rt *r = &dp_node(w)->sub[index];
	const struct sh_sub *s = &dp_slabs.sub[index];

	if (r->id && r->conf != conf_hash(s, &dp_slabs.endpoint[SH_ID_INDEX(s->set.endpoint)]))
		r->id = 0;
}

/* Retransmission without RTX repeats a packet byte for byte under the same SRTP index (RFC 3711
 * §3.3.1 forbids anything else), so such a subscription carries no transport-wide number, which may
 * not repeat. */
struct dp_sub_rt *dp_sub_rt_renew(struct dp_worker *w, uint32_t index)
{
	struct dp_sub_rt *r = &dp_node(w)->sub[index];
	struct sh_sub *s = &dp_slabs.sub[index];
	const struct sh_endpoint *e = &dp_slabs.endpoint[SH_ID_INDEX(s->set.endpoint)];
	uint8_t ext_id[SH_EXT_COUNT];

	memset(r, 0, sizeof(*r));
	r->id = s->set.id;
	r->adopted = s->tx_index != 0;
	r->renumbered = s->pid_offset || s->frame_offset || s->tl0_offset || s->keyidx_offset;
	r->conf = conf_hash(s, e);
	r->owner = e->set.owner;
	memcpy(ext_id, e->set.ext_id, sizeof(ext_id));
	if ((s->set.flags & SH_SUB_NACK) && !s->set.rtx_ssrc)
		ext_id[SH_EXT_TWCC] = 0;
	dp_rtp_tmpl_init(&r->tmpl, ext_id, e->set.ext_two_byte, s->set.mid, s->set.mid_len);
	if (!s->tx_index) {
		s->layer = DP_LAYER_NONE;
		s->temporal = SH_MAX_TEMPORAL - 1;
	}
	if (!s->tx_index ||
	    s->want_layer == DP_LAYER_NONE) { // until bandwidth estimation says less
		s->want_layer = s->ideal_layer = SH_MAX_LAYERS - 1;
		s->want_temporal = SH_MAX_TEMPORAL - 1;
	}
	return r;
}

void dp_nodes_forget_endpoint(struct dp_worker *w, uint32_t index)
{
	const struct dp_fanout *subs = dp_endpoint_subs(index);

	dp_link_drop(w, index);
	dp_hear_stop(w, index);
	memset(&dp_node(w)->ep[index], 0, sizeof(struct dp_ep_rt));
	dp_node(w)->due_ms[index] = 0;
	for (uint32_t i = 0; subs && i < subs->n; i++)
		dp_nodes_forget_sub(w, subs->sub[i]);
}

void dp_nodes_forget_track(struct dp_worker *w, uint32_t index)
{
	track_rt_clear(w, &dp_node(w)->track[index], index);
}

void dp_nodes_forget_sub(struct dp_worker *w, uint32_t index)
{
	dp_node(w)->sub[index].id = 0;
}
