/* How the daemon and the dataplane come to share two rings. The dataplane listens on a SEQPACKET
 * socket in the run directory; on connect it looks at who is asking (SO_PEERCRED), makes a fresh
 * sealed memfd with a ring each way, and passes it with two eventfds by SCM_RIGHTS. From then on
 * nothing is said on the socket: its end of file tells either side that the other is gone. Rings
 * are never reused, so a new link starts empty.
 *
 * One daemon at a time: a connection that comes while another daemon lives is refused with a
 * reason. No event loop here: each side watches descriptors. All calls: the control thread that
 * owns the link. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "shared/ring.h"

#define SH_LINK_SOCKET "dataplane.sock" // in the run directory
enum {
	SH_LINK_VERSION = 1,        // of the welcome below, not of the messages
	SH_LINK_CAPACITY = 1 << 20, // default bytes of each ring
	SH_LINK_REASON = 104,
};

/* What the dataplane sends first, with three descriptors: memory, command eventfd, event eventfd;
 * or, with error set, none. The memory: the command ring from 0, the event ring from the next
 * multiple of 4,096. */
struct sh_link_welcome {
	uint32_t version;
	int32_t error; // 0, or -errno: refused
	uint32_t command_capacity, event_capacity;
	char reason[SH_LINK_REASON]; // text, NUL-terminated
};

/* One end. All fields are read-only to users. */
struct sh_link {
	int sock;     // watch for reading: the welcome (client), then only end of file: the peer is
	              // gone
	int rx_event; // watch for reading: the peer put something while we slept; -1 until ready
	int tx_event; // ours to write, by sh_link_wake()
	int memfd;
	void *mem;
	size_t bytes;
	struct sh_ring_end tx,
	    rx; // dataplane: tx = events, rx = commands; daemon: the other way round
};
/* A link that is not open. */
#define SH_LINK_CLOSED ((struct sh_link){.sock = -1, .rx_event = -1, .tx_event = -1, .memfd = -1})

struct sh_link_server {
	int fd; // watch for reading, then sh_link_accept()
	uid_t peer;
	uint32_t command_capacity, event_capacity;
	char path[108];
};

struct sh_link_conf {
	const char *rundir; // made with mode 0755 when absent
	uid_t peer;         // may connect, as may root and our own user; (uid_t)-1: nobody else
	gid_t group;        // the socket is 0660 with this group; (gid_t)-1: 0600
	uint32_t command_capacity, event_capacity; // as rings; 0: SH_LINK_CAPACITY
};

/* Dataplane. -EADDRINUSE: another dataplane listens there; -errno. */
int sh_link_listen(struct sh_link_server *out, const struct sh_link_conf *conf);
/* Closes and removes the socket; links stay. */
void sh_link_unlisten(struct sh_link_server *s);
/* Dataplane, when the listening descriptor is readable: `current` is the one link. 0: it is open
 * and new (a dead one was closed first); -EAGAIN: nobody waits; -EBUSY: current is alive, the
 * newcomer was refused; -EPERM: wrong user; -errno. */
int sh_link_accept(struct sh_link_server *s, struct sh_link *current);

/* Daemon. Asks; then watch out->sock and call sh_link_welcomed(). -ENOENT, -ECONNREFUSED: no
 * dataplane; -errno. */
int sh_link_connect(struct sh_link *out, const char *path);
/* Daemon, when sock is readable for the first time. 0: ready; -EAGAIN: not yet; else refused or
 * broken, with the reason in why[]; close it then. peer: a uid that the dataplane may have, besides
 * root's and our own. */
int sh_link_welcomed(struct sh_link *l, uid_t peer, char *why, size_t size);

/* Either side, after one or more sh_ring_commit(&l->tx): one write(2) if the reader sleeps. */
void sh_link_wake(struct sh_link *l);
/* When rx_event is readable: clears it. Then drain rx until -EAGAIN, and sh_ring_sleep() before
 * waiting again. */
void sh_link_woken(struct sh_link *l);
/* Makes rx_event readable again, for a reader that stops before the ring is empty. */
void sh_link_again(struct sh_link *l);
/* false: the peer closed or died. */
bool sh_link_alive(const struct sh_link *l);
void sh_link_close(struct sh_link *l);
