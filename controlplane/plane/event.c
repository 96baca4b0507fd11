/* Records from the dataplane. It is a process of ours, and yet nothing it puts is believed before
 * it was copied and checked: a dataplane gone mad must not take the daemon, which can start another
 * one, with it. */
#include <errno.h>
#include <string.h>
#include "controlplane/plane/plane_priv.h"

/* Records a turn: other descriptors get their turn even if events never end. */
enum { DRAIN_MAX = 512 };
#define RETRY_NS 5000000000ull

static void on_hello(struct cp_plane *p, unsigned type, const void *body, uint32_t len)
{
	char why[160];

	if (sh_msg_hello_check(SH_MSG_E_HELLO, type, body, len, why, sizeof(why))) {
		cp_link_down(p, why, RETRY_NS);
		return;
	}
	p->hello = *(const struct sh_msg_e_hello *)body;
	cp_link_up(p);
}

static void on_endpoint_state(struct cp_plane *p, const struct sh_msg_endpoint_state *m)
{
	if (!cp_ids_find(p, SH_DEL_ENDPOINT, m->id))
		p->counts.events_stale++;
	else if (p->on.endpoint_state)
		p->on.endpoint_state(m, p->arg);
}

static void on_rx_dtls(struct cp_plane *p, const struct sh_msg_packet *m)
{
	if (!cp_ids_find(p, SH_DEL_ENDPOINT, m->endpoint))
		p->counts.events_stale++;
	else if (p->on.rx_dtls)
		p->on.rx_dtls(m->endpoint, m->data, m->len, p->arg);
}

static void on_track_state(struct cp_plane *p, const struct sh_msg_track_state *m)
{
	if (!cp_ids_find(p, SH_DEL_TRACK, m->id))
		p->counts.events_stale++;
	else if (p->on.track_state)
		p->on.track_state(m, p->arg);
}

static void on_track_watch(struct cp_plane *p, const struct sh_msg_track_watch *m)
{
	if (!cp_ids_find(p, SH_DEL_TRACK, m->id))
		p->counts.events_stale++;
	else if (p->on.track_watch)
		p->on.track_watch(m, p->arg);
}

void cp_event_receive(struct cp_plane *p, unsigned type, const void *body, uint32_t len)
{
	p->counts.events++;
	if (p->state == CP_LINK_HELLO) {
		on_hello(p, type, body, len);
		return;
	}
	int err = sh_msg_check(type, body, len);
	if (!err && (sh_msg_direction(type) != 'E' || type == SH_MSG_E_HELLO))
		err = -EPROTO;
	if (err) {
		/* Logged by the powers of two: a broken peer may send millions. */
		uint64_t n = ++p->counts.events_bad;
		if ((n & (n - 1)) == 0)
			sh_error(SUBSYS, "record of type %u (%s), %u bytes, from the dataplane: %s",
			         type, sh_msg_name(type), len, strerrordesc_np(-err));
		return;
	}
	switch (type) {
	case SH_MSG_COMMITTED:
		cp_txn_committed(p, body);
		break;
	case SH_MSG_ENDPOINT_STATE:
		on_endpoint_state(p, body);
		break;
	case SH_MSG_RX_DTLS:
		on_rx_dtls(p, body);
		break;
	case SH_MSG_TRACK_STATE:
		on_track_state(p, body);
		break;
	case SH_MSG_TRACK_WATCH:
		on_track_watch(p, body);
		break;
	case SH_MSG_SPEAKERS:
		if (p->on.speakers)
			p->on.speakers(body, p->arg);
		break;
	case SH_MSG_QUALITY:
		if (p->on.quality)
			p->on.quality(body, p->arg);
		break;
	}
}

void cp_event_drain(struct cp_plane *p)
{
	_Alignas(8) uint8_t body[2048];
	struct sh_rec rec;

	_Static_assert(sizeof(struct sh_msg_packet) <= sizeof(body), "the largest event fits");
	for (unsigned n = 0; n < DRAIN_MAX; n++) {
		if (!p->link.mem)
			return; // a handler or a bad hello ended the link
		int err = sh_ring_take(&p->link.rx, &rec, body, sizeof(body));
		if (err == -EAGAIN) {
			if (sh_ring_sleep(&p->link.rx))
				return;
			continue;
		}
		if (err == -EBADMSG) {
			cp_link_down(p, "its ring is corrupt", RETRY_NS);
			return;
		}
		if (err == -EMSGSIZE)
			p->counts.events_bad++;
		else
			cp_event_receive(p, rec.type, body, rec.len);
	}
	if (p->link.mem)
		sh_link_again(&p->link);
}
