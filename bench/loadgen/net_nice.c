/* libnice's whole agent for each transport: gathering, checks, nomination, consent and the sockets
 * are all its own, as in a browser. Every agent lives in one GLib context that the media thread
 * turns, good for some hundreds. It does not tell when a packet came: its turn counts as that. */
#include <errno.h>
#include <string.h>
#include <nice/agent.h>
#include "bench/loadgen/lg.h"

enum { IDLE_NS = 500000, TURNS = 256, COMPONENT = 1, STREAM = 1 };

static GMainContext *loop;

static int nice_open(void)
{
	loop = g_main_context_new();
	return loop ? 0 : -ENOMEM;
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer arg)
{
	struct lg_peer *p = arg;

	if (state == NICE_COMPONENT_STATE_READY)
		lg_peer_secure(p, lg_now());
	else if (state == NICE_COMPONENT_STATE_FAILED)
		lg_peer_fail(p, "ICE failed");
}

static void on_packet(NiceAgent *agent, guint stream, guint component, guint len, gchar *buf,
                      gpointer arg)
{
	uint8_t copy[LG_PACKET];

	if (len > sizeof(copy))
		return;
	memcpy(copy, buf, len); // it is decrypted in place
	lg_peer_inputs(&(struct lg_in){.peer = arg, .buf = copy, .len = len, .at_ns = lg_now()}, 1);
}

static int nice_flow(struct lg_peer *p)
{
	NiceAgent *a = nice_agent_new(loop, NICE_COMPATIBILITY_RFC5245);
	NiceAddress local;

	if (!a)
		return -ENOMEM;
	g_object_set(a, "controlling-mode", TRUE, "upnp", FALSE, "ice-tcp", FALSE, "ice-udp", TRUE,
	             NULL);
	if (lg_sc.address[0]) {
		nice_address_init(&local);
		if (nice_address_set_from_string(&local, lg_sc.address))
			nice_agent_add_local_address(a, &local);
	}
	p->agent = a;
	if (nice_agent_add_stream(a, 1) != STREAM ||
	    !nice_agent_set_local_credentials(a, STREAM, p->ufrag, p->pwd) ||
	    !nice_agent_attach_recv(a, STREAM, COMPONENT, loop, on_packet, p) ||
	    !nice_agent_gather_candidates(a, STREAM))
		return -EIO;
	return 0;
}

static int nice_start(struct lg_peer *p)
{
	NiceCandidate *c = nice_candidate_new(NICE_CANDIDATE_TYPE_HOST);
	GSList *list = g_slist_append(NULL, c);
	bool ok;

	g_signal_connect(p->agent, "component-state-changed", G_CALLBACK(on_state), p);
	c->component_id = COMPONENT;
	c->stream_id = STREAM;
	c->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	c->priority = 2130706431;
	strcpy(c->foundation, "1");
	nice_address_set_from_sockaddr(&c->addr, (struct sockaddr *)&p->remote);
	ok = nice_agent_set_remote_credentials(p->agent, STREAM, p->rufrag, p->rpwd) &&
	     nice_agent_set_remote_candidates(p->agent, STREAM, COMPONENT, list) == 1;
	g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
	return ok ? 0 : -EPROTO;
}

static void nice_send(struct lg_peer *p, const void *buf, size_t len)
{
	nice_agent_send(p->agent, STREAM, COMPONENT, (guint)len, buf);
}

static void nice_flush(void)
{
}

static void nice_poll(uint64_t wait_ns)
{
	unsigned turns = 0;

	while (turns < TURNS && g_main_context_iteration(loop, FALSE))
		turns++;
	lg_media_turn(LG_RECEIVE);
	if (turns == 0 && wait_ns)
		lg_media_sleep(wait_ns < IDLE_NS ? wait_ns : IDLE_NS);
}

static void nice_end(struct lg_peer *p)
{
	if (p->agent)
		g_object_unref(p->agent);
	p->agent = NULL;
}

static void nice_close(void)
{
	g_main_context_unref(loop);
}

const struct lg_net lg_net_nice = {
    .name = "libnice",
    .open = nice_open,
    .flow = nice_flow,
    .start = nice_start,
    .send = nice_send,
    .flush = nice_flush,
    .poll = nice_poll,
    .end = nice_end,
    .close = nice_close,
};
