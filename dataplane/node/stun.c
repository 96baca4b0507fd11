/* ICE-lite: authenticated Binding requests are answered, and say where an endpoint's peer is (RFC
 * 8445 §7.3, RFC 7675). An answer goes back the way its request came, so it needs no route.
 * Requests that prove nothing change nothing; they get an unsigned error only when that is no
 * longer than they are, and a bounded number a second, so that nobody is flooded through us. */
#include <errno.h>
#include <string.h>
#include "dataplane/node/frame.h"
#include "dataplane/node/node.h"
#include "dataplane/stun/stun.h"

enum { REFUSALS_PER_S = 1000 };

/* The message in m becomes the frame of an answer. */
static bool turn_back(struct rte_mbuf *m, const struct dp_frame *f, const uint8_t *answer,
                      uint32_t len)
{
	uint8_t head[DP_FRAME_REPLY_MAX], l3_len;
	struct dp_pkt *p = dp_pkt(m);
	uint32_t head_len = dp_frame_reply(head, &l3_len, rte_pktmbuf_mtod(m, uint8_t *), f);

	if (head_len + len > (uint32_t)(m->buf_len - m->data_off))
		return false;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), head, head_len);
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, head_len), answer, len);
	m->data_len = (uint16_t)(head_len + len);
	m->pkt_len = head_len + len;
	m->ol_flags = 0; // they told of the request
	p->l2_len = f->l2_len;
	p->l3_len = l3_len;
	p->flags = DP_PKT_FRAMED;
	return true;
}

static void checked(struct dp_worker *w, uint32_t endpoint, const struct dp_frame *f,
                    const struct dp_stun_msg *msg)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[endpoint];
	struct dp_ice_check c = {
	    .local = &f->dst,
	    .remote = &f->src,
	    .now_ns = w->now_ns,
	    .priority = msg->priority,
	    .use_candidate = msg->flags & DP_STUN_HAS_USE_CANDIDATE,
	};
	enum dp_ice_verdict v;
	struct sh_endpoint before = {.ice = e->ice,
	                             .local = e->local,
	                             .remote = e->remote,
	                             .consent_at_ns = e->consent_at_ns};

	dp_valid_put(w, &f->src, endpoint);
	v = dp_ice_checked(e, &dp_ep_rt(w, endpoint)->ice, &c);
	switch (v) {
	case DP_ICE_VALID:
	case DP_ICE_CONSENT:
		return;
	case DP_ICE_MOVED:
		DP_COUNT(w, stun_migrations, 1);
		// fall through
	case DP_ICE_PROVISIONAL:
	case DP_ICE_NOMINATED: {
		struct sh_addr local = e->local, remote = e->remote;

		// the table compares with what the slab had
		e->local = before.local;
		e->remote = before.remote;
		(void)dp_tuple_set(w, endpoint, &local, &remote);
		e->local = local;
		e->remote = remote;
		break;
	}
	case DP_ICE_RESUMED:
		break;
	}
	dp_notify(w, DP_NOTE_ICE, endpoint);
}

static int refuse(struct dp_worker *w, uint8_t *answer, const struct dp_stun_msg *msg,
                  unsigned code)
{
	struct dp_node *n = dp_node(w);
	int len = dp_stun_error(answer, DP_STUN_RESPONSE_MAX, msg, code, NULL, 0);

	if (len > msg->len ||
	    !dp_token(&n->refusals, &n->refusals_at_ns, w->now_ns, REFUSALS_PER_S))
		return 0;
	return len;
}

/* Length of the answer, 0: none. *why: 0 when the request was authentic, else the drop reason. */
static int answer_request(struct dp_worker *w, uint8_t *answer, const struct dp_frame *f,
                          const struct dp_stun_msg *msg, unsigned *why)
{
	const struct sh_endpoint *e;
	const uint8_t *ufrag;
	uint32_t ufrag_len;
	unsigned code;
	int endpoint, err;

	*why = SH_STAT_drop_stun_integrity;
	if (!msg->mi_off && !msg->mi256_off)
		return refuse(w, answer, msg, 400); // RFC 8489 §9.1.3
	*why = SH_STAT_drop_stun_ufrag;
	if (dp_stun_ufrag(msg, &ufrag, &ufrag_len))
		return refuse(w, answer, msg, 400);
	endpoint = dp_endpoint_by_ufrag(ufrag, ufrag_len);
	/* RFC 8489 §9.1.3 would have a 401. A peer's first check can overtake the daemon's COMMIT,
	 * and some agents (aioice) take an error for the end of the pair, where silence is tried
	 * again 50 ms later. */
	if (endpoint < 0)
		return 0;
	e = &dp_slabs.endpoint[endpoint];
	if (e->set.worker != w->index) {
		*why = SH_STAT_drop_stun_worker;
		return 0;
	}
	*why = SH_STAT_drop_stun_integrity;
	err = dp_stun_check(msg, e->set.pwd, e->set.pwd_len);
	if (err)
		return refuse(w, answer, msg, 401);
	*why = 0;
	code = dp_stun_refusal(msg);
	if (code)
		return dp_stun_error(answer, DP_STUN_RESPONSE_MAX, msg, code, e->set.pwd,
		                     e->set.pwd_len);
	checked(w, (uint32_t)endpoint, f, msg);
	return dp_stun_success(answer, DP_STUN_RESPONSE_MAX, msg, &f->src, e->set.pwd,
	                       e->set.pwd_len);
}

/* true: m is an answer now. */
static bool stun_one(struct dp_worker *w, struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt(m);
	uint8_t answer[DP_STUN_RESPONSE_MAX];
	struct dp_stun_msg msg;
	struct dp_frame f;
	unsigned why;
	int err, len;

	err = dp_stun_parse(&msg, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	if (err || msg.type != DP_STUN_BINDING_REQUEST) {
		dp_drop(w,
		        err == -EBADMSG ? SH_STAT_drop_stun_malformed
		                        : SH_STAT_drop_stun_not_request,
		        m);
		return false;
	}
	m->data_off -= p->l2_len + p->l3_len + 8u;
	m->data_len += p->l2_len + p->l3_len + 8u;
	if (dp_frame_parse(&f, rte_pktmbuf_mtod(m, uint8_t *), m->data_len, &why)) {
		dp_drop(w, why, m);
		return false;
	}
	len = answer_request(w, answer, &f, &msg, &why);
	if (why)
		w->stat[why]++;
	else
		DP_COUNT(w, stun_requests, 1);
	if (len <= 0 || !turn_back(m, &f, answer, (uint32_t)len)) {
		rte_pktmbuf_free(m);
		return false;
	}
	return true;
}

static uint16_t stun(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++)
		if (stun_one(dp_self, objs[i]))
			rte_node_enqueue_x1(graph, node, STUN_TX, objs[i]);
	return nb;
}

static struct rte_node_register stun_node = {
    .name = "dp_stun",
    .process = stun,
    .nb_edges = STUN_EDGES,
    .next_nodes = {[STUN_TX] = "dp_tx"},
};
RTE_NODE_REGISTER(stun_node);
