/* What the files of table/ share. */
#pragma once
#include <stdbool.h>
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/chain.h"
#include "dataplane/table/group.h"
#include "dataplane/table/list.h"
#include "dataplane/table/table.h"

/* What the open transaction says of a slab entry; valid when serial is the transaction's. */
struct overlay {
	uint32_t serial;
	uint32_t record; // position of the last record about it
	sh_id id;        // of `set`
	bool named;      // SET since the last DEL
	bool deleted;    // DEL of what the slab holds
	bool doomed;     // apply: is being removed
	const void *set; // staged body
	const struct sh_msg_endpoint_keys *keys;
};

struct touch {
	enum dp_kind kind;
	uint32_t index;
};

struct touches {
	struct touch *v;
	uint32_t n, cap;
};
int touches_add(struct touches *t, enum dp_kind kind, uint32_t index);

struct tuples;

/* A path on cache lines of its own: workers read one a packet. */
struct path_block {
	_Alignas(64) struct dp_path path;
	struct path_block *next; // of path_free or path_garbage
};

/* Things of one size, of which the first `used` were ever taken: pages of the rest cost nothing. */
struct pool {
	uint8_t *v;
	size_t each;
	uint32_t *free; // numbers of those given back
	uint32_t size, used, frees;
};

struct table {
	struct dp_table_cfg cfg;
	uint32_t count[DP_KINDS];
	/* indexes — control: rw, workers: ro */
	struct dp_lists fan;          // list = track * workers + worker
	struct dp_lists tracks, subs; // of an endpoint
	struct dp_lists owned;        // endpoints of a worker
	struct dp_chain ufrag;        // node = endpoint
	struct dp_chain ssrc;         // node = 2 * sub + (1: RTX)
	uint8_t *keyframe;            // by track; any worker: or, owner: exchange
	struct pool sessions;         // of struct dp_srtp_session
	struct pool ears;             // of struct dp_srtp_rx, for endpoints with tracks
	/* path pool */
	struct path_block *paths, *path_free, *path_garbage;
	uint32_t path_count, path_used;
	size_t path_bytes, peer_bytes;
	/* worker-private */
	struct tuples *tuples[SH_MAX_WORKERS];
	struct dp_ops *ops[SH_MAX_WORKERS];
	/* the open transaction */
	struct overlay *over[DP_KINDS];
	uint32_t serial;
	bool full;
	struct touches touched;
	/* removed */
	struct dp_garbage *garbage;
	struct touches dead, reaping;
	unsigned reap_stage;
	uint32_t reap_at;
};
extern struct table dp_tb;

/* Slab entries by kind. */
_Atomic uint8_t *slab_state(enum dp_kind kind, uint32_t index);
void slab_wipe(enum dp_kind kind, uint32_t index);
sh_id slab_id(enum dp_kind kind, uint32_t index);
unsigned slab_owner(enum dp_kind kind, uint32_t index); // worker that forgets it
static inline bool slab_live(enum dp_kind kind, uint32_t index)
{
	return atomic_load_explicit(slab_state(kind, index), memory_order_acquire) == SH_LIVE;
}

/* index.c */
void index_link_endpoint(uint32_t index);
void index_unlink_endpoint(uint32_t index);
void index_link_sub(uint32_t index);
void index_unlink_sub(uint32_t index);
uint32_t ufrag_hash(const uint8_t *ufrag, uint32_t len);
struct dp_srtp_session *session_take(const struct sh_msg_endpoint_keys *keys, int *error);
void session_drop(struct dp_srtp_session *s);
uint32_t session_number(const struct dp_srtp_session *s);
struct dp_srtp_session *session_of(uint32_t number);
/* Of an endpoint that has tracks: keys for what they bring are expanded. */
void session_listen(uint32_t endpoint, struct dp_srtp_session *s);
void session_publish(uint32_t endpoint, struct dp_srtp_session *s);
void path_unpublish(uint32_t endpoint);
void paths_free(void); // the removed ones, when no worker can see them any more

int overlay_touch(enum dp_kind kind, uint32_t index, uint32_t record, struct overlay **out);
/* stage.c: what the transaction makes of an entry. Live by id (generation included); *set is its
 * config. */
bool view_endpoint(sh_id id, const struct sh_msg_endpoint_set **set);
bool view_track(sh_id id, const struct sh_msg_track_set **set);
bool view_sub(sh_id id, const struct sh_msg_sub_set **set);
/* Id that an index has in the view, 0: none. */
sh_id view_id(enum dp_kind kind, uint32_t index);
static inline struct overlay *over(enum dp_kind kind, uint32_t index)
{
	struct overlay *o = &dp_tb.over[kind][index];

	return o->serial == dp_tb.serial ? o : NULL;
}

/* unique.c: 0 or -errno with the record at fault. */
int check_unique(uint32_t *record);

/* apply.c: 0 or -errno with the record at fault; nothing was changed then. */
int apply(uint32_t *record);

/* group.c */
int groups_init(uint32_t tracks, uint32_t seed);
void groups_free(void);
void group_add(uint32_t track); // LIVE, or about to be
void group_remove(uint32_t track);
void group_changed(uint32_t track);
/* Track that is the slot at that place, or -1. */
int group_slot(uint32_t number, unsigned kind, unsigned slot);
/* After a rebuild: sources and slots that do not belong together are parted. */
void groups_settle(void);

/* tuple.c */
int tuples_init(unsigned worker, uint32_t endpoints, uint32_t seed);
void tuples_free(unsigned worker);
void tuples_insert(unsigned worker, uint32_t endpoint, const struct sh_addr *remote);
/* reap.c */
void reap_free(void);
