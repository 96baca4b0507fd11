#include "dataplane/table/table.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include "dataplane/map.h"
#include "dataplane/table/priv.h"

struct dp_ops *dp_table_ops(unsigned worker)
{
	return dp_tb.ops[worker];
}

/* Expanded keys: not in core dumps, not in a child. full: how many are in use when the slabs are. */
static int pool_init(struct pool *pool, uint32_t size, uint32_t full, size_t each)
{
	size_t bytes = size * each;

	pool->v = dp_map(bytes, full * each);
	if (!pool->v)
		return -ENOMEM;
	madvise(pool->v, bytes, MADV_DONTDUMP);
	madvise(pool->v, bytes, MADV_WIPEONFORK);
	pool->each = each;
	pool->size = size;
	pool->free = malloc(size * sizeof(*pool->free));
	return pool->free ? 0 : -ENOMEM;
}

static void pool_free(struct pool *pool)
{
	if (pool->v)
		munmap(pool->v, pool->size * pool->each);
	free(pool->free);
}

/* Old sessions wait for quiescence while new ones are made. */
static int keys_init(uint32_t endpoints, uint32_t tracks)
{
	uint32_t n = endpoints + endpoints / 4 + 64;
	int err = pool_init(&dp_tb.sessions, n, endpoints, sizeof(struct dp_srtp_session));

	if (err)
		return err;
	return pool_init(&dp_tb.ears, n, tracks < endpoints ? tracks : endpoints,
	                 sizeof(struct dp_srtp_rx));
}

/* Twice as many paths as endpoints: a gateway's new link address replaces all of them while workers
 * look at the old ones. */
static int peers_init(uint32_t endpoints)
{
	size_t paths = 2 * (size_t)endpoints + 64;

	dp_tb.peer_bytes = endpoints * sizeof(*dp_peers);
	dp_tb.path_bytes = paths * sizeof(*dp_tb.paths);
	dp_peers = dp_map(dp_tb.peer_bytes, dp_tb.peer_bytes);
	dp_tb.paths = dp_map(dp_tb.path_bytes, endpoints * sizeof(*dp_tb.paths));
	if (!dp_peers || !dp_tb.paths)
		return -ENOMEM;
	dp_tb.path_count = (uint32_t)paths;
	return 0;
}

static int lists_init(void)
{
	const uint32_t *n = dp_tb.count;
	int err = dp_lists_init(&dp_tb.fan, n[DP_KIND_TRACK] * dp_tb.cfg.workers, n[DP_KIND_SUB]);

	if (!err)
		err = dp_lists_init(&dp_tb.tracks, n[DP_KIND_ENDPOINT], n[DP_KIND_TRACK]);
	if (!err)
		err = dp_lists_init(&dp_tb.subs, n[DP_KIND_ENDPOINT], n[DP_KIND_SUB]);
	return err ? err : dp_lists_init(&dp_tb.owned, dp_tb.cfg.workers, n[DP_KIND_ENDPOINT]);
}

static int workers_init(uint32_t seed)
{
	int err = 0;

	for (unsigned w = 0; w < dp_tb.cfg.workers && !err; w++) {
		dp_tb.ops[w] = aligned_alloc(64, sizeof(struct dp_ops));
		if (!dp_tb.ops[w])
			return -ENOMEM;
		memset(dp_tb.ops[w], 0, sizeof(struct dp_ops));
		err = tuples_init(w, dp_tb.count[DP_KIND_ENDPOINT], seed + w);
	}
	return err;
}

int dp_table_init(const struct dp_table_cfg *cfg)
{
	uint32_t *n = dp_tb.count;
	uint32_t seed;
	int err;

	if (cfg->workers < 1 || cfg->workers > SH_MAX_WORKERS || !cfg->wait || !dp_slabs.head)
		return -EINVAL;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	memset(&dp_tb, 0, sizeof(dp_tb));
	dp_tb.cfg = *cfg;
	n[DP_KIND_ENDPOINT] = dp_slabs.endpoints;
	n[DP_KIND_TRACK] = dp_slabs.tracks;
	n[DP_KIND_SUB] = dp_slabs.subs;
	dp_tb.keyframe = calloc(n[DP_KIND_TRACK], 1);
	err = dp_tb.keyframe ? peers_init(n[DP_KIND_ENDPOINT]) : -ENOMEM;
	for (unsigned k = 0; k < DP_KINDS && !err; k++) {
		dp_tb.over[k] = calloc(n[k], sizeof(*dp_tb.over[k]));
		err = dp_tb.over[k] ? 0 : -ENOMEM;
	}
	if (!err)
		err = dp_chain_init(&dp_tb.ufrag, n[DP_KIND_ENDPOINT], seed);
	if (!err)
		err = dp_chain_init(&dp_tb.ssrc, 2 * n[DP_KIND_SUB], seed);
	if (!err)
		err = lists_init();
	if (!err)
		err = groups_init(n[DP_KIND_TRACK], seed);
	if (!err)
		err = keys_init(n[DP_KIND_ENDPOINT], n[DP_KIND_TRACK]);
	if (!err)
		err = workers_init(seed);
	if (err)
		dp_table_free();
	return err;
}

void dp_table_free(void)
{
	dp_stage_abort();
	reap_free();
	for (uint32_t i = 0; dp_peers && i < dp_tb.count[DP_KIND_ENDPOINT]; i++)
		dp_path_set(i, NULL);
	reap_free();
	for (uint32_t i = 0; dp_peers && i < dp_tb.count[DP_KIND_ENDPOINT]; i++)
		if (dp_session(i))
			dp_srtp_session_wipe(dp_tb.cfg.backend, dp_session(i));
	pool_free(&dp_tb.sessions);
	pool_free(&dp_tb.ears);
	for (unsigned w = 0; w < SH_MAX_WORKERS; w++) {
		tuples_free(w);
		free(dp_tb.ops[w]);
	}
	dp_lists_free(&dp_tb.fan);
	dp_lists_free(&dp_tb.tracks);
	dp_lists_free(&dp_tb.subs);
	dp_lists_free(&dp_tb.owned);
	dp_chain_free(&dp_tb.ufrag);
	dp_chain_free(&dp_tb.ssrc);
	groups_free();
	for (unsigned k = 0; k < DP_KINDS; k++)
		free(dp_tb.over[k]);
	if (dp_peers)
		munmap(dp_peers, dp_tb.peer_bytes);
	if (dp_tb.paths)
		munmap(dp_tb.paths, dp_tb.path_bytes);
	dp_peers = NULL;
	free(dp_tb.keyframe);
	free(dp_tb.touched.v);
	memset(&dp_tb, 0, sizeof(dp_tb));
}

/* ---- attach ---- */

/* The whole SRTP state of an endpoint begins anew with its keys (RFC 5764 §3: a DTLS association is
 * a new context). Sequence numbers go on, roll-over counters restart at 0. Owner worker, between
 * two walks. */
static void restart_tx(uint64_t *index, uint64_t *offset)
{
	uint64_t old = *index;

	*index &= 0xffff;
	if (offset)
		*offset -= old - *index;
}

void dp_table_rekey(uint32_t endpoint, struct dp_srtp_session *session)
{
	struct sh_endpoint *ep = &dp_slabs.endpoint[endpoint];
	const struct dp_fanout *tracks = dp_endpoint_tracks(endpoint),
	                       *subs = dp_endpoint_subs(endpoint);

	for (uint32_t i = 0; tracks && i < tracks->n; i++) {
		struct sh_track *t = &dp_slabs.track[tracks->sub[i]];

		for (unsigned l = 0; l < SH_MAX_LAYERS; l++) {
			memset(&t->media[l].crypto, 0, sizeof(t->media[l].crypto));
			memset(&t->rtx[l].crypto, 0, sizeof(t->rtx[l].crypto));
		}
	}
	for (uint32_t i = 0; subs && i < subs->n; i++) {
		struct sh_sub *s = &dp_slabs.sub[subs->sub[i]];

		restart_tx(&s->tx_index, &s->seq_offset);
		restart_tx(&s->rtx_index, NULL);
	}
	memset(ep->srtcp_rx, 0, sizeof(ep->srtcp_rx));
	ep->srtcp_tx_index = 0;
	session_publish(endpoint, session);
}

static bool id_fits(enum dp_kind kind, uint32_t index)
{
	sh_id id = slab_id(kind, index);

	return SH_ID_INDEX(id) == index && SH_ID_GEN(id) != 0;
}

static bool live_id(enum dp_kind kind, sh_id id)
{
	uint32_t index = SH_ID_INDEX(id);

	return index < dp_tb.count[kind] && slab_live(kind, index) && slab_id(kind, index) == id;
}

static bool adopt_endpoint(uint32_t i, struct dp_edits *owned)
{
	struct sh_endpoint *ep = &dp_slabs.endpoint[i];
	struct dp_srtp_session *s = NULL;
	int err;

	if (!id_fits(DP_KIND_ENDPOINT, i) || ep->set.worker >= dp_tb.cfg.workers ||
	    sh_msg_check(SH_MSG_ENDPOINT_SET, &ep->set, sizeof(ep->set)) != 0 ||
	    dp_endpoint_by_ufrag(ep->set.ufrag, ep->set.ufrag_len) >= 0)
		return false;
	if (ep->keys.profile != SH_SRTP_NONE) {
		if (ep->keys.id != ep->set.id ||
		    sh_msg_check(SH_MSG_ENDPOINT_KEYS, &ep->keys, sizeof(ep->keys)) != 0)
			return false;
		s = session_take(&ep->keys, &err);
		if (!s)
			return false;
	}
	if (dp_edit_add(owned, ep->set.worker, i, true) != 0) {
		session_drop(s);
		return false;
	}
	session_publish(i, s);
	index_link_endpoint(i);
	if (ep->remote.family == 4 || ep->remote.family == 6)
		tuples_insert(ep->set.worker, i, &ep->remote);
	return true;
}

static bool adopt_track(uint32_t i, struct dp_edits *tracks)
{
	const struct sh_msg_track_set *s = &dp_slabs.track[i].set;

	if (!id_fits(DP_KIND_TRACK, i) || sh_msg_check(SH_MSG_TRACK_SET, s, sizeof(*s)) != 0)
		return false;
	if (s->flags & SH_TRACK_SLOT) {
		if (group_slot(s->group, s->kind, s->slot) >= 0)
			return false;
	} else if (!live_id(DP_KIND_ENDPOINT, s->endpoint) ||
	           dp_edit_add(tracks, SH_ID_INDEX(s->endpoint), i, true) != 0) {
		return false;
	}
	group_add(i);
	return true;
}

static bool adopt_sub(uint32_t i, struct dp_edits *subs, struct dp_edits *fan)
{
	const struct sh_msg_sub_set *s = &dp_slabs.sub[i].set;
	uint32_t endpoint = SH_ID_INDEX(s->endpoint);
	bool rtx;

	if (!id_fits(DP_KIND_SUB, i) || sh_msg_check(SH_MSG_SUB_SET, s, sizeof(*s)) != 0 ||
	    !live_id(DP_KIND_ENDPOINT, s->endpoint) || !live_id(DP_KIND_TRACK, s->track) ||
	    s->ssrc == 0 || s->ssrc == s->rtx_ssrc ||
	    dp_sub_by_ssrc(endpoint, s->ssrc, &rtx) >= 0 ||
	    (s->rtx_ssrc && dp_sub_by_ssrc(endpoint, s->rtx_ssrc, &rtx) >= 0))
		return false;
	if (dp_edit_add(subs, endpoint, i, true) != 0 ||
	    dp_edit_add(fan,
	                SH_ID_INDEX(s->track) * dp_tb.cfg.workers +
	                    dp_slabs.endpoint[endpoint].set.worker,
	                i, true) != 0)
		return false;
	index_link_sub(i);
	return true;
}

static int publish_all(struct dp_edits *owned, struct dp_edits *tracks, struct dp_edits *subs,
                       struct dp_edits *fan)
{
	int err = dp_lists_prepare(&dp_tb.owned, owned, false);

	if (!err)
		err = dp_lists_prepare(&dp_tb.tracks, tracks, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.subs, subs, false);
	if (!err)
		err = dp_lists_prepare(&dp_tb.fan, fan, false);
	if (err)
		return err;
	dp_lists_publish(&dp_tb.owned, owned, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.tracks, tracks, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.subs, subs, &dp_tb.garbage);
	dp_lists_publish(&dp_tb.fan, fan, &dp_tb.garbage);
	for (uint32_t i = 0; i < dp_tb.count[DP_KIND_ENDPOINT]; i++)
		session_listen(i, dp_session(i));
	return 0;
}

/* Everything but LIVE and FREE was caught half-way by the end of the last dataplane. An entry is
 * looked up by others only after it was adopted, and each kind refers to those before it. */
int dp_table_rebuild(struct dp_table_report *report)
{
	struct dp_edits owned = {0}, tracks = {0}, subs = {0}, fan = {0};
	uint32_t *adopted[] = {&report->endpoints, &report->tracks, &report->subs};
	int err;

	memset(report, 0, sizeof(*report));
	for (unsigned kind = 0; kind < DP_KINDS; kind++) {
		for (uint32_t i = 0; i < dp_tb.count[kind]; i++) {
			bool ok;

			if (atomic_load(slab_state(kind, i)) == SH_FREE)
				continue;
			ok = slab_live(kind, i) &&
			     (kind == DP_KIND_ENDPOINT ? adopt_endpoint(i, &owned)
			      : kind == DP_KIND_TRACK  ? adopt_track(i, &tracks)
			                               : adopt_sub(i, &subs, &fan));
			if (!ok)
				slab_wipe(kind, i);
			report->dropped += !ok;
			*adopted[kind] += ok;
		}
	}
	groups_settle();
	err = publish_all(&owned, &tracks, &subs, &fan);
	dp_edits_free(&owned);
	dp_edits_free(&tracks);
	dp_edits_free(&subs);
	dp_edits_free(&fan);
	return err;
}
