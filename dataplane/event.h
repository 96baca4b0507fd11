/* Events to the daemon, with back-pressure: answers are kept in order, states are kept as "changed"
 * and read from the slab when there is room, DTLS datagrams are dropped. Control thread; no DPDK.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/ring.h"

/* Tables are there. 0, -ENOMEM. */
int dp_event_init(void);
void dp_event_free(void);
/* A new link's event ring, or NULL: nobody listens, what was kept is forgotten. */
void dp_event_link(struct sh_ring_end *tx);
/* An answer; never lost while the link lives, but for want of memory (-ENOMEM: the link must be
 * closed). */
int dp_event_reply(unsigned type, const void *body, uint32_t len);
/* The entry may have changed: an event when it differs from what was last said. */
void dp_event_endpoint(uint32_t index);
/* A layer is active when it had a packet in the second before now_ns. */
void dp_event_track(uint32_t index, uint64_t now_ns);
/* The group's dominant speaker or the sources of its slots changed; index: dp_group_index(). */
void dp_event_speakers(uint32_t group);
/* The layers of a video track that are watched may have changed. More of them are told at once, fewer when it has
 * stayed so for DP_UNWATCHED_NS. */
void dp_event_watch(uint32_t track, uint64_t now_ns);
#define DP_UNWATCHED_NS UINT64_C(5000000000)
/* What was said is forgotten, so that the next look at an entry that has something to tell says it
 * again. */
void dp_event_forget(void);
/* data[len] from the endpoint's validated address. false: dropped, counted. */
bool dp_event_dtls(uint32_t endpoint, const void *data, uint32_t len);
/* Only when nothing else waits and half of the ring stays free for it. false: dropped; its rows are counted, unless
 * nobody listens. */
struct sh_msg_quality;
bool dp_event_quality(const struct sh_msg_quality *m);
/* Puts what was kept. true: nothing is left. Then wake the reader. */
bool dp_event_flush(void);
/* Answers wait: take no more commands. */
bool dp_event_blocked(void);
