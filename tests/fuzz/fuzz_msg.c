/* Every message, as bytes of the peer's choice, into the shape check and into the daemon's
 * receiver. Input: any number of records: type (1 byte), length (2 bytes, little-endian), body. A
 * first type byte of 0xff starts before the hello; otherwise the plane is up, with one endpoint,
 * track and subscription of known ids. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/plane/plane_priv.h"
#include "tests/fakes/samples.h"

static uint64_t sum; // what handlers read is really read

static void on_state(const struct sh_msg_endpoint_state *m, void *arg)
{
	sum += m->remote.ip[15] + m->ice;
}

static void on_dtls(sh_id id, const uint8_t *data, size_t len, void *arg)
{
	for (size_t i = 0; i < len; i++)
		sum += data[i];
}

static void on_track(const struct sh_msg_track_state *m, void *arg)
{
	sum += m->ssrc[SH_MAX_LAYERS - 1];
}

static const struct cp_plane_handlers handlers = {
    .endpoint_state = on_state, .rx_dtls = on_dtls, .track_state = on_track};

static void desire(struct cp_plane *p)
{
	sh_id e, t, s;

	if (cp_plane_id_new(p, SH_DEL_ENDPOINT, &e) || cp_plane_id_new(p, SH_DEL_TRACK, &t) ||
	    cp_plane_id_new(p, SH_DEL_SUB, &s))
		abort();
	struct sh_msg_endpoint_set em = sample_endpoint(e);
	struct sh_msg_track_set tm = sample_track(t, e);
	struct sh_msg_sub_set sm = sample_sub(s, t, e);
	if (cp_plane_endpoint_set(p, &em) || cp_plane_track_set(p, &tm) || cp_plane_sub_set(p, &sm))
		abort();
}

/* A link without a socket: rings in plain memory. */
static void fake_link(struct cp_plane *p, void *mem, size_t bytes)
{
	memset(mem, 0, bytes);
	p->link.mem = NULL; // nothing to unmap
	if (sh_ring_attach(&p->link.tx, mem, 4096))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cp_plane_conf conf = {.rundir = "/nonexistent", .peer = (uid_t)-1, .epoch = 1};
	static _Alignas(64) uint8_t mem[8192];
	_Alignas(8) uint8_t body[2048];
	struct cp_plane *p;

	sh_log_levels("error,plane=error");
	if (cp_plane_alloc(&p, &conf))
		return 0;
	cp_plane_handle(p, &handlers, NULL);
	desire(p);
	fake_link(p, mem, sizeof(mem));
	p->state = CP_LINK_HELLO;
	if (size > 0 && data[0] != 0xff) {
		struct sh_msg_e_hello hello = sample_e_hello();
		cp_event_receive(p, SH_MSG_E_HELLO, &hello, sizeof(hello));
		cp_plane_flush(p); // a transaction is unanswered
	}
	while (size >= 3 && p->state != CP_LINK_DOWN) {
		unsigned type = data[0];
		uint32_t len = data[1] | data[2] << 8;
		data += 3;
		size -= 3;
		if (len > size)
			len = (uint32_t)size;
		uint32_t n = len < sizeof(body) ? len : sizeof(body);
		memcpy(body, data, n);
		if (!sh_msg_check(type, body, n) && sh_msg_direction(type) == 0)
			abort();
		cp_event_receive(p, type, body, n);
		cp_plane_flush(p);
		data += len;
		size -= len;
	}
	p->state = CP_LINK_DOWN;
	cp_plane_free(p);
	return 0;
}
