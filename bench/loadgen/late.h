/* How late the generator itself is, and what made it so. Time is an argument; pure.
 *
 * The media thread's time is cut into turns, each of one kind. A turn of over LG_LATE_NS in most of
 * which the thread did not run (others had its CPU, or the host took it) is nobody's fault here: it
 * counts as off_cpu. To know that, the thread's CPU time is read for such turns and every
 * LG_LATE_BASE_NS. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LG_LATE_NS = 1000000, LG_LATE_BASE_NS = 5000000 };

#define LG_CAUSES(X)                                                                               \
	X(RECEIVE, "receive")     /* packets that came */                                          \
	X(HANDSHAKE, "handshake") /* DTLS and ICE among them */                                    \
	X(SEND, "send")           /* publishers' packets */                                        \
	X(TIMERS, "timers")       /* feedback, reports, checks */                                  \
	X(ASK, "ask")             /* new peers, and what the main thread asks for */               \
	X(OFF_CPU, "off_cpu")

enum lg_cause {
#define X(sym, word) LG_##sym,
	LG_CAUSES(X)
#undef X
	    LG_CAUSE_COUNT
};

struct lg_late {
	struct lg_late_row {
		uint64_t longest_ns, over_ns; // one turn; all of over LG_LATE_NS together
		uint64_t over;                // how many those were
	} row[LG_CAUSE_COUNT];
	uint64_t send_ns; // the most that a publisher's packet left too late
	uint64_t wait_ns; // the most that a packet lay from its arrival to its turn
	uint64_t at_ns;   // end of the last turn
	uint64_t base_ns, base_cpu_ns, slept_ns; // since base: slept on purpose
};

/* now, of CLOCK_MONOTONIC; cpu(): of the thread, ns. */
void lg_late_start(struct lg_late *l, uint64_t now, uint64_t (*cpu)(void));
/* What was done since the last turn's end is over. */
void lg_late_turn(struct lg_late *l, enum lg_cause c, uint64_t now, uint64_t (*cpu)(void));
/* Since the last turn's end the thread slept, and meant to for asked_ns: what is above it is
 * off_cpu's. */
void lg_late_slept(struct lg_late *l, uint64_t asked_ns, uint64_t now);
/* Counts anew. */
void lg_late_restart(struct lg_late *l);
