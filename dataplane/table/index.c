#include "dataplane/table/priv.h"
#include "dataplane/table/rcu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

struct table dp_tb;
#ifdef __SANITIZE_THREAD__
char dp_rcu_edge;
#endif
struct dp_peer *dp_peers;
struct sh_slabs dp_slabs;

/* ---- slab entries by kind ---- */

_Atomic uint8_t *slab_state(enum dp_kind kind, uint32_t index)
{
	switch (kind) {
	case DP_KIND_ENDPOINT:
		return &dp_slabs.endpoint[index].state;
	case DP_KIND_TRACK:
		return &dp_slabs.track[index].state;
	default:
		return &dp_slabs.sub[index].state;
	}
}

sh_id slab_id(enum dp_kind kind, uint32_t index)
{
	switch (kind) {
	case DP_KIND_ENDPOINT:
		return dp_slabs.endpoint[index].set.id;
	case DP_KIND_TRACK:
		return dp_slabs.track[index].set.id;
	default:
		return dp_slabs.sub[index].set.id;
	}
}

unsigned slab_owner(enum dp_kind kind, uint32_t index)
{
	if (kind == DP_KIND_TRACK && (dp_slabs.track[index].set.flags & SH_TRACK_SLOT))
		return 0;
	if (kind == DP_KIND_TRACK)
		index = SH_ID_INDEX(dp_slabs.track[index].set.endpoint);
	else if (kind == DP_KIND_SUB)
		index = SH_ID_INDEX(dp_slabs.sub[index].set.endpoint);
	return dp_slabs.endpoint[index].set.worker;
}

/* Keys and state to zero, then FREE; a crash in between leaves it DEAD, and so wiped at the next
 * attach. */
void slab_wipe(enum dp_kind kind, uint32_t index)
{
	void *p;
	size_t n;

	switch (kind) {
	case DP_KIND_ENDPOINT:
		p = &dp_slabs.endpoint[index];
		n = sizeof(struct sh_endpoint);
		break;
	case DP_KIND_TRACK:
		p = &dp_slabs.track[index];
		n = sizeof(struct sh_track);
		break;
	default:
		p = &dp_slabs.sub[index];
		n = sizeof(struct sh_sub);
		break;
	}
	atomic_store_explicit(slab_state(kind, index), SH_DEAD, memory_order_release);
	sh_secret_wipe((uint8_t *)p + 4, n - 4);
	atomic_store_explicit(slab_state(kind, index), SH_FREE, memory_order_release);
}
_Static_assert(offsetof(struct sh_endpoint, set) == 4 && offsetof(struct sh_track, set) == 4 &&
                   offsetof(struct sh_sub, set) == 4,
               "the state and its padding come first");

/* ---- ufrag and SSRC ---- */

uint32_t ufrag_hash(const uint8_t *ufrag, uint32_t len)
{
	return dp_hash_bytes(ufrag, len, dp_tb.ufrag.seed);
}

static uint32_t endpoint_hash(uint32_t index)
{
	const struct sh_msg_endpoint_set *s = &dp_slabs.endpoint[index].set;

	return ufrag_hash(s->ufrag, s->ufrag_len);
}

void index_link_endpoint(uint32_t index)
{
	dp_chain_link(&dp_tb.ufrag, endpoint_hash(index), index);
}

void index_unlink_endpoint(uint32_t index)
{
	dp_chain_unlink(&dp_tb.ufrag, endpoint_hash(index), index);
}

int dp_endpoint_by_ufrag(const uint8_t *ufrag, uint32_t len)
{
	uint32_t i;

	if (len == 0 || len > SH_UFRAG_MAX)
		return -1;
	for (i = dp_chain_first(&dp_tb.ufrag, ufrag_hash(ufrag, len)); i != DP_CHAIN_END;
	     i = dp_chain_next(&dp_tb.ufrag, i)) {
		const struct sh_msg_endpoint_set *s = &dp_slabs.endpoint[i].set;

		if (s->ufrag_len == len && memcmp(s->ufrag, ufrag, len) == 0 &&
		    slab_live(DP_KIND_ENDPOINT, i))
			return (int)i;
	}
	return -1;
}

static uint32_t ssrc_hash(uint32_t endpoint, uint32_t ssrc)
{
	return dp_hash_mix(((uint64_t)endpoint << 32 | ssrc) + dp_tb.ssrc.seed);
}

void index_link_sub(uint32_t index)
{
	const struct sh_msg_sub_set *s = &dp_slabs.sub[index].set;
	uint32_t endpoint = SH_ID_INDEX(s->endpoint);

	dp_chain_link(&dp_tb.ssrc, ssrc_hash(endpoint, s->ssrc), 2 * index);
	if (s->rtx_ssrc)
		dp_chain_link(&dp_tb.ssrc, ssrc_hash(endpoint, s->rtx_ssrc), 2 * index + 1);
}

void index_unlink_sub(uint32_t index)
{
	const struct sh_msg_sub_set *s = &dp_slabs.sub[index].set;
	uint32_t endpoint = SH_ID_INDEX(s->endpoint);

	dp_chain_unlink(&dp_tb.ssrc, ssrc_hash(endpoint, s->ssrc), 2 * index);
	if (s->rtx_ssrc)
		dp_chain_unlink(&dp_tb.ssrc, ssrc_hash(endpoint, s->rtx_ssrc), 2 * index + 1);
}

int dp_sub_by_ssrc(uint32_t endpoint, uint32_t ssrc, bool *rtx)
{
	uint32_t node;

	for (node = dp_chain_first(&dp_tb.ssrc, ssrc_hash(endpoint, ssrc)); node != DP_CHAIN_END;
	     node = dp_chain_next(&dp_tb.ssrc, node)) {
		const struct sh_msg_sub_set *s = &dp_slabs.sub[node / 2].set;

		if ((node & 1 ? s->rtx_ssrc : s->ssrc) == ssrc &&
		    SH_ID_INDEX(s->endpoint) == endpoint && slab_live(DP_KIND_SUB, node / 2)) {
			*rtx = node & 1;
			return (int)(node / 2);
		}
	}
	return -1;
}

/* ---- sessions and paths ---- */

static void *pool_take(struct pool *p)
{
	uint32_t i = p->frees ? p->free[--p->frees] : p->used < p->size ? p->used++ : UINT32_MAX;

	return i == UINT32_MAX ? NULL : p->v + i * p->each;
}

static void pool_give(struct pool *p, const void *thing)
{
	p->free[p->frees++] = (uint32_t)((size_t)((const uint8_t *)thing - p->v) / p->each);
}

uint32_t session_number(const struct dp_srtp_session *s)
{
	return (uint32_t)(s - (const struct dp_srtp_session *)(void *)dp_tb.sessions.v);
}

struct dp_srtp_session *session_of(uint32_t number)
{
	return (struct dp_srtp_session *)(void *)dp_tb.sessions.v + number;
}

struct dp_srtp_session *session_take(const struct sh_msg_endpoint_keys *keys, int *error)
{
	struct dp_srtp_session *s;

	*error = -ENOMEM;
	s = pool_take(&dp_tb.sessions);
	if (!s)
		return NULL;
	*error = dp_srtp_session_init(dp_tb.cfg.backend, s, keys->profile, &keys->rx, &keys->tx);
	if (*error == 0)
		return s;
	session_drop(s);
	return NULL;
}

void session_drop(struct dp_srtp_session *s)
{
	struct dp_srtp_rx *ear;

	if (!s)
		return;
	ear = s->rx;
	dp_srtp_session_wipe(dp_tb.cfg.backend, s);
	pool_give(&dp_tb.sessions, s);
	if (ear)
		pool_give(&dp_tb.ears, ear);
}

void session_listen(uint32_t endpoint, struct dp_srtp_session *s)
{
	struct dp_srtp_rx *ear;

	if (!s || s->rx || !dp_endpoint_tracks(endpoint))
		return;
	ear = pool_take(&dp_tb.ears); // as many as sessions
	if (ear && !dp_srtp_session_receive(dp_tb.cfg.backend, s, ear))
		pool_give(&dp_tb.ears, ear);
}

void session_publish(uint32_t endpoint, struct dp_srtp_session *s)
{
	__atomic_store_n(&dp_peers[endpoint].session, s, __ATOMIC_RELEASE);
}

struct dp_path *dp_path_new(void)
{
	struct path_block *b;

	if (!dp_tb.path_free && dp_tb.path_used < dp_tb.path_count)
		return &dp_tb.paths[dp_tb.path_used++].path;
	if (!dp_tb.path_free && dp_tb.path_garbage) {
		dp_rcu_synchronize();
		paths_free();
	}
	b = dp_tb.path_free;
	if (!b)
		return NULL;
	dp_tb.path_free = b->next;
	memset(b, 0, sizeof(*b));
	return &b->path;
}

/* RFC 1071, of an even number of bytes, folded. */
static uint16_t sum_of(uint32_t sum, const uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i += 2) {
		uint16_t v;

		memcpy(&v, p + i, 2);
		sum += v;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void fill_sums(struct dp_path *p)
{
	static const uint8_t udp[2] = {0, 17};
	const uint8_t *ip = p->header + p->l2_len;
	bool v4 = p->family == 4;

	p->ip_sum = v4 ? sum_of(0, ip, p->l3_len) : 0;
	p->pseudo = sum_of(sum_of(0, udp, 2), ip + (v4 ? 12 : 8), v4 ? 8 : 32);
	if (!p->ol_flags)
		p->pseudo = sum_of(p->pseudo, ip + p->l3_len, 4);
}

void dp_path_set(uint32_t endpoint, struct dp_path *path)
{
	struct path_block *old = (struct path_block *)(uintptr_t)dp_path(endpoint);

	if (path)
		fill_sums(path);
	__atomic_store_n(&dp_peers[endpoint].path, path, __ATOMIC_RELEASE);
	if (!old)
		return;
	old->next = dp_tb.path_garbage;
	dp_tb.path_garbage = old;
}

void paths_free(void)
{
	while (dp_tb.path_garbage) {
		struct path_block *b = dp_tb.path_garbage;

		dp_tb.path_garbage = b->next;
		b->next = dp_tb.path_free;
		dp_tb.path_free = b;
	}
}

void path_unpublish(uint32_t endpoint)
{
	dp_path_set(endpoint, NULL);
}

/* ---- lists ---- */

const struct dp_fanout *dp_fanout(uint32_t track, unsigned worker)
{
	return dp_list_get(&dp_tb.fan, track * dp_tb.cfg.workers + worker);
}

uint32_t dp_fanout_workers(uint32_t track)
{
	uint32_t mask = 0;

	for (unsigned w = 0; w < dp_tb.cfg.workers; w++)
		mask |= dp_fanout(track, w) ? 1u << w : 0;
	return mask;
}

const struct dp_fanout *dp_endpoint_tracks(uint32_t endpoint)
{
	return dp_list_get(&dp_tb.tracks, endpoint);
}

const struct dp_fanout *dp_endpoint_subs(uint32_t endpoint)
{
	return dp_list_get(&dp_tb.subs, endpoint);
}

const struct dp_fanout *dp_worker_endpoints(unsigned worker)
{
	return dp_list_get(&dp_tb.owned, worker);
}

/* ---- key frames ---- */

void dp_keyframe_request(uint32_t track, unsigned layer)
{
	if (track < dp_tb.count[DP_KIND_TRACK] && layer < SH_MAX_LAYERS)
		__atomic_fetch_or(&dp_tb.keyframe[track], (uint8_t)(1u << layer), __ATOMIC_RELAXED);
}

uint32_t dp_keyframe_take(uint32_t track)
{
	if (__atomic_load_n(&dp_tb.keyframe[track], __ATOMIC_RELAXED) == 0)
		return 0;
	return __atomic_exchange_n(&dp_tb.keyframe[track], 0, __ATOMIC_RELAXED);
}
