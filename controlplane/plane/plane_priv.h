/* Between the files of plane/. */
#pragma once
#include <sys/queue.h>
#include "controlplane/plane/plane.h"
#include "shared/link.h"
#include "shared/log.h"

#define SUBSYS "plane"

enum cp_link_state { CP_LINK_DOWN, CP_LINK_WELCOME, CP_LINK_HELLO, CP_LINK_UP };
enum cp_entry_queue {
	CP_Q_NONE,
	CP_Q_DIRTY, // plane.dirty[what]: for the next transaction
	CP_Q_TODO,  // txn.todo[what]: of this transaction, not yet in the ring
	CP_Q_DONE,  // txn.done: in the ring, unanswered
	CP_Q_DELS,  // plane.dels: dying, for the next transaction
	CP_Q_GONE,  // txn.gone: dying, of this transaction; its record in the ring or not yet
};
enum { CP_DIRTY_SET = 1, CP_DIRTY_KEYS = 2 };
enum { CP_NO_RECORD = 0xffffffffu };

/* One object of the desired state. In exactly one queue. */
struct cp_entry {
	sh_id id;
	uint8_t what;
	uint8_t queue; // enum cp_entry_queue
	uint8_t dirty; // what is to be sent
	uint8_t sent;  // what this transaction carries of it
	bool set;      // there is a body
	bool keyed;    // endpoint: there are keys
	bool known;    // the dataplane acknowledged it
	bool unsure;   // dying: it was in an unanswered transaction
	bool silent;   // dying: goes without a record of its own (with its parent, or by the sweep)
	bool dying;
	bool refused;
	uint8_t retries;
	uint32_t at, keys_at; // record numbers in this transaction
	TAILQ_ENTRY(cp_entry) link;
	LIST_HEAD(, cp_entry) tracks, subs; // of an endpoint; subs: of a track too
	LIST_ENTRY(cp_entry) by_endpoint, by_track;
	union {
		struct {
			struct sh_msg_endpoint_set set;
			struct sh_msg_endpoint_keys keys;
		} endpoint;
		struct sh_msg_track_set track;
		struct sh_msg_sub_set sub;
	} body;
};
TAILQ_HEAD(cp_entries, cp_entry);

/* An index of one kind: who has it, or its place in the queue of free ones. */
struct cp_slot {
	struct cp_entry *entry;
	uint32_t prev, next; // free list; CP_NO_SLOT ends
	uint16_t gen;        // last one given out
	bool free;
};
enum { CP_NO_SLOT = 0xffffffffu };

struct cp_ids {
	struct cp_slot *slot;
	uint32_t cap;                // slots allocated
	uint32_t high;               // slots ever used
	uint32_t limit;              // the dataplane's size
	uint32_t first, last, frees; // free list
	uint32_t live;
};

enum cp_txn_state {
	CP_TXN_IDLE,
	CP_TXN_BEGIN,   // nothing of it in the ring yet
	CP_TXN_WRITING, // BEGIN is; COMMIT not yet
	CP_TXN_WAITING, // COMMITTED is awaited
};
struct cp_txn {
	enum cp_txn_state state;
	uint64_t number, applied; // the newest one; the newest that was
	uint32_t records;
	bool full;
	struct cp_entries todo[SH_DEL_SUB + 1];
	struct cp_entries done, gone;
	struct cp_entry *next_gone; // first of gone without its record; NULL: all have
};

/* A record that is not state, waiting for room. */
struct cp_waiting {
	STAILQ_ENTRY(cp_waiting) link;
	uint16_t type;
	uint32_t len;
	uint8_t body[];
};
enum { CP_WAITING_MAX = 1024 };

struct cp_plane {
	struct cp_plane_conf conf;
	char path[108];
	struct cp_plane_handlers on;
	void *arg;
	enum cp_link_state state;
	bool started;
	bool need_full;
	struct sh_link link;
	struct sh_msg_e_hello hello;
	uint64_t last_slab_epoch; // 0: none seen
	uint64_t now_ns, retry_at_ns, deadline_ns, hold_until_ns;
	char last_reason[160]; // of the outage, so that it is logged once
	struct cp_ids ids[SH_DEL_SUB + 1];
	struct cp_entries dirty[SH_DEL_SUB + 1];
	struct cp_entries dels;
	struct cp_txn txn;
	STAILQ_HEAD(, cp_waiting) waiting;
	uint32_t n_waiting;
	struct cp_plane_counts counts;
};

/* id.c */
void cp_ids_init(struct cp_plane *p);
void cp_ids_close(struct cp_plane *p);
/* Generations go on from those of the state file at path. Without one they start at random. 0 or
 * -errno. */
int cp_ids_learn(struct cp_plane *p, const char *path);
/* The live (not dying) object of that name, or NULL. */
struct cp_entry *cp_ids_find(const struct cp_plane *p, unsigned what, sh_id id);
/* Wipes and frees; its index goes behind the other free ones. Not in a queue any more. */
void cp_ids_release(struct cp_plane *p, struct cp_entry *e);

/* desired.c */
void cp_entry_unqueue(struct cp_plane *p, struct cp_entry *e);
void cp_entry_dirty(struct cp_plane *p, struct cp_entry *e, unsigned bits);
/* It and what hangs on it: not to be sent. */
void cp_entry_refuse(struct cp_plane *p, struct cp_entry *e);
/* A new peer: everything is to be told, the dead by not being named. */
void cp_desired_replay(struct cp_plane *p);

/* txn.c */
void cp_txn_init(struct cp_plane *p);
void cp_txn_committed(struct cp_plane *p, const struct sh_msg_committed *m);
bool cp_txn_put(struct cp_plane *p, unsigned type, const void *body, uint32_t len);
void cp_waiting_drop(struct cp_plane *p);
bool cp_txn_pending(const struct cp_plane *p);

/* event.c */
void cp_event_drain(struct cp_plane *p);
/* One event as it came from the ring: body is private memory, 8-aligned. Anything may be in it. */
void cp_event_receive(struct cp_plane *p, unsigned type, const void *body, uint32_t len);

/* plane.c */
void cp_link_down(struct cp_plane *p, const char *reason, uint64_t retry_ns);
void cp_link_up(struct cp_plane *p);
