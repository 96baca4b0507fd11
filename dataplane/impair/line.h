/* A bad link and the packets on it: what wire.h says of each one's fate, kept until its time comes.
 * One direction of one worker. Pure but for the allocation at the start; packets are the caller's
 * pointers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct dp_line;
struct dp_wire_conf;

/* room: packets that may be on the way. NULL: no memory. */
struct dp_line *dp_line_new(const struct dp_wire_conf *conf, uint64_t seed, uint32_t room);
void dp_line_free(struct dp_line *l); // empty, or NULL
/* A packet of so many bytes: how many copies are to be put (0: it is lost, 1 or 2), and the time of
 * each. */
unsigned dp_line_fate(struct dp_line *l, uint32_t bytes, uint64_t now_ns, uint64_t out_ns[2]);
/* false: there is no room. */
bool dp_line_put(struct dp_line *l, void *packet, uint64_t out_ns);
/* The next one whose time has come, in the order of their times, and of putting at equal ones;
 * NULL: none. UINT64_MAX: any. */
void *dp_line_take(struct dp_line *l, uint64_t now_ns);
