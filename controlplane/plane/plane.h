/* The daemon's side of the rings: what should be true in the dataplane, told in transactions until
 * it is; and what the dataplane says, as callbacks. Nothing here knows of calls, and nothing here
 * waits.
 *
 * Objects are named by what (SH_DEL_ENDPOINT, SH_DEL_TRACK, SH_DEL_SUB) and sh_id. An id is
 * allocated, set any number of times, and deleted; the last message of each is the desired state.
 * Setting never fails for lack of room or of a dataplane: it is kept, sent when it can be, and
 * replayed to a dataplane that restarts. One thread. Callbacks may call anything here but
 * cp_plane_free(). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "shared/msg.h"

struct cp_plane;

struct cp_plane_conf {
	const char *rundir; // where dataplane.sock and dataplane.state are
	uid_t peer; // the dataplane may run as this user, as root or as we do; (uid_t)-1: no other
	uint64_t epoch; // random, not 0: this daemon's run
	/* Watch fd for reading, and call cp_plane_on_readable() then; or stop (before it is
	 * closed). */
	void (*watch)(int fd, bool on, void *arg);
	void *watch_arg;
};

/* Any may be NULL. Pointers live until the handler returns. */
struct cp_plane_handlers {
	/* The hello was good, the replay is on its way. slabs_new: the dataplane came with empty
	 * slabs, so ICE and whatever keys we do not hold are to be made anew. */
	void (*up)(const struct sh_msg_e_hello *hello, bool slabs_new, void *arg);
	void (*down)(const char *reason, void *arg);
	void (*endpoint_state)(const struct sh_msg_endpoint_state *m, void *arg);
	void (*rx_dtls)(sh_id endpoint, const uint8_t *data, size_t len, void *arg);
	void (*track_state)(const struct sh_msg_track_state *m, void *arg);
	void (*track_watch)(const struct sh_msg_track_watch *m, void *arg);
	void (*speakers)(const struct sh_msg_speakers *m, void *arg);
	/* Ids in it may be gone. */
	void (*quality)(const struct sh_msg_quality *m, void *arg);
	/* The dataplane will not have this object (-errno). It is kept, with what hangs on it, but
	 * not sent again until it is set to something else or the dataplane restarts. */
	void (*refused)(unsigned what, sh_id id, int error, void *arg);
};

/* Counted since start, for metrics. */
struct cp_plane_counts {
	uint64_t commits, commits_refused, records, replays, connects;
	uint64_t ring_full; // flushes that had to stop in the middle
	uint64_t packets,
	    packets_dropped; // injected; dropped: no dataplane, or more than 1,024 waiting
	uint64_t events, events_stale,
	    events_bad;                   // stale: of ids that are gone (normal); bad: malformed
	uint32_t endpoints, tracks, subs; // desired now
};

int cp_plane_alloc(struct cp_plane **out, const struct cp_plane_conf *conf);
/* Tells what was set until now, then closes the link for good: what is deleted from here on, while the daemon takes itself
 * apart, the dataplane never hears of, so its media goes on. No handler is called. */
void cp_plane_stop(struct cp_plane *p);
/* The same, if it was not called; and frees. */
void cp_plane_free(struct cp_plane *p);
void cp_plane_handle(struct cp_plane *p, const struct cp_plane_handlers *h, void *arg);
/* Begin to connect. Before it, a daemon that restarts claims and sets what it still knows: the
 * first commit removes from the dataplane whatever was not named. */
void cp_plane_start(struct cp_plane *p, uint64_t now_ns);

void cp_plane_on_readable(struct cp_plane *p, int fd);
/* Reconnects, continues what a full ring held up. Returns the ns after which it wants to be called
 * again. */
uint64_t cp_plane_tick(struct cp_plane *p, uint64_t now_ns);
/* The same answer at any other time: a turn may have lost the link or filled the ring, and then it
 * is sooner. */
uint64_t cp_plane_wait(const struct cp_plane *p, uint64_t now_ns);
/* Once at the end of each loop turn: all that was set since goes in one transaction. While one is
 * unanswered, the next one gathers. */
void cp_plane_flush(struct cp_plane *p);

/* The transaction that tells the dataplane of this object as it was set last. 0: it knows, or will not have it, or there
 * is none. */
uint64_t cp_plane_ticket(const struct cp_plane *p, unsigned what, sh_id id);
/* Was it applied? Always true while no dataplane is linked: there is nobody to wait for. */
bool cp_plane_told(const struct cp_plane *p, uint64_t ticket);

bool cp_plane_up(const struct cp_plane *p);
/* What the dataplane last said of itself: workers, base_port, addresses, sizes. Never NULL; all
 * zero before. */
const struct sh_msg_e_hello *cp_plane_hello(const struct cp_plane *p);
void cp_plane_counts(const struct cp_plane *p, struct cp_plane_counts *out);

/* A new id. 0, -ENOSPC (as many as the dataplane has room for), -ENOMEM. */
int cp_plane_id_new(struct cp_plane *p, unsigned what, sh_id *id);
/* Take over an id of the daemon's last run. 0, -EEXIST, -EINVAL, -ENOMEM. */
int cp_plane_id_claim(struct cp_plane *p, unsigned what, sh_id id);
/* Gives back an id that was never set (one that was, is deleted). */
void cp_plane_id_free(struct cp_plane *p, unsigned what, sh_id id);

/* All: 0, -EINVAL (malformed, or a fixed field differs), -ESTALE (no such id, or gone), -ENOENT
 * (what it hangs on is not set), -ERANGE (no such worker). */
int cp_plane_endpoint_set(struct cp_plane *p, const struct sh_msg_endpoint_set *m);
/* Copied, and wiped when the endpoint goes. */
int cp_plane_endpoint_keys(struct cp_plane *p, const struct sh_msg_endpoint_keys *m);
int cp_plane_track_set(struct cp_plane *p, const struct sh_msg_track_set *m);
int cp_plane_sub_set(struct cp_plane *p, const struct sh_msg_sub_set *m);
/* With all that hangs on it, as in the dataplane; their ids are given back. -ESTALE: gone already
 * (harmless). */
int cp_plane_del(struct cp_plane *p, unsigned what, sh_id id);

/* Not state, so not replayed. 0, -EINVAL, -ENOTCONN, -ENOBUFS. Copied. */
int cp_plane_tx_packet(struct cp_plane *p, sh_id endpoint, const uint8_t *data, size_t len);
int cp_plane_keyframe(struct cp_plane *p, sh_id track);
