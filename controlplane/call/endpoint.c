/* One transport of a participant: its ICE credentials, its DTLS association, its place in the
 * dataplane. */
#include "controlplane/call/calls_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "controlplane/loop.h"
#include "controlplane/nego/dtls.h"

static void set_state(struct cp_endpoint *e);

/* ---- the end ---- */

static void dtls_end(struct cp_endpoint *e)
{
	if (!e->dtls)
		return;
	e->owner->calls->counts.dtls--;
	cp_dtls_free(e->dtls);
	e->dtls = NULL;
}

void cp_endpoint_free(struct cp_endpoint *e)
{
	struct cp_calls *c = e->owner->calls;

	dtls_end(e);
	if (e->id) {
		c->endpoint[SH_ID_INDEX(e->id)] = NULL;
		c->load[e->worker]--;
		cp_plane_del(c->plane, SH_DEL_ENDPOINT, e->id);
		c->counts.endpoints--;
	}
	cp_nego_close(&e->nego);
	e->owner->endpoint[e->target] = NULL;
	sh_secret_wipe(e->pwd, sizeof(e->pwd));
	free(e);
}

/* ---- the beginning ---- */

static unsigned least_loaded(const struct cp_calls *c)
{
	unsigned best = 0;

	for (unsigned w = 1; w < cp_plane_hello(c->plane)->workers; w++)
		if (c->load[w] < c->load[best])
			best = w;
	return best;
}

/* What SDP says of our end; the strings are the endpoint's. */
static void local_conf(const struct cp_endpoint *e, struct cp_nego_conf *conf,
                       struct sh_addr addr[SH_MAX_ADDRS])
{
	const struct cp_calls *c = e->owner->calls;
	const struct sh_msg_e_hello *hello = cp_plane_hello(c->plane);

	for (unsigned i = 0; i < hello->addrs; i++) {
		addr[i] = hello->addr[i];
		addr[i].port = hello->base_port + e->worker;
	}
	*conf = (struct cp_nego_conf){
	    .ufrag = e->ufrag,
	    .pwd = e->pwd,
	    .fingerprint = cp_dtls_fingerprint(c->dtls),
	    .cname = e->owner->id,
	    .addr = addr,
	    .addrs = hello->addrs,
	    .offerer = e->target == CP_SUBSCRIBE && e->owner->kind != CP_PARTY_WHEP,
	};
}

int cp_endpoint_register(struct cp_endpoint *e, bool claim)
{
	struct cp_calls *c = e->owner->calls;
	int err = claim ? cp_plane_id_claim(c->plane, SH_DEL_ENDPOINT, e->id)
	                : cp_plane_id_new(c->plane, SH_DEL_ENDPOINT, &e->id);

	if (err) {
		e->id = 0;
		return err;
	}
	c->endpoint[SH_ID_INDEX(e->id)] = e;
	c->load[e->worker]++;
	c->counts.endpoints++;
	return 0;
}

int cp_endpoint_get(struct cp_endpoint **out, struct cp_participant *p, enum cp_target target)
{
	struct sh_addr addr[SH_MAX_ADDRS];
	struct cp_nego_conf conf;
	struct cp_endpoint *e = p->endpoint[target];
	int err;

	*out = e;
	if (e)
		return 0;
	if (!cp_calls_ready(p->calls))
		return -ENODEV;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->owner = p;
	e->target = target;
	e->worker = p->calls->admit ? cp_admit_worker(p, target) : least_loaded(p->calls);
	e->rtcp_ssrc = cp_random_ssrc();
	e->changed_ns = cp_now_ns();
	p->endpoint[target] = e;
	err = cp_ice_credentials(e->ufrag, e->pwd);
	local_conf(e, &conf, addr);
	if (!err)
		err = cp_nego_init(&e->nego, &conf,
		                   ((uint64_t)cp_random_ssrc() << 30) ^ cp_random_ssrc());
	if (!err)
		err = cp_endpoint_register(e, false);
	if (err) {
		cp_endpoint_free(e);
		return err;
	}
	(void)cp_endpoint_tell_plane(e);
	*out = e;
	return 0;
}

int cp_endpoint_restart(struct cp_endpoint *e)
{
	struct sh_addr addr[SH_MAX_ADDRS];
	struct cp_nego_conf conf;
	int err;

	if (!cp_calls_ready(e->owner->calls))
		return -ENODEV;
	err = cp_ice_credentials(e->ufrag, e->pwd);
	if (err)
		return err;
	/* A handshake that failed gets another try over the new path. */
	if (e->dtls_closed && !e->dtls_done) {
		dtls_end(e);
		e->dtls_closed = false;
	}
	local_conf(e, &conf, addr);
	err = cp_nego_restart(&e->nego, &conf);
	if (!err)
		err = cp_endpoint_tell_plane(e);
	cp_participant_changed(e->owner);
	return err;
}

int cp_endpoint_tell_plane(struct cp_endpoint *e)
{
	struct sh_msg_endpoint_set m = {
	    .id = e->id,
	    .worker = e->worker,
	    .ufrag_len = strlen(e->ufrag),
	    .pwd_len = strlen(e->pwd),
	    .flags = (e->nego.rtcp_rsize ? SH_EP_RTCP_RSIZE : 0) | cp_nego_feedback(&e->nego),
	    .ext_two_byte = e->nego.ext_two_byte,
	    .rtcp_ssrc = e->rtcp_ssrc,
	    .owner = e->owner->number,
	    .cname_len = strlen(e->owner->id),
	};
	int err;

	memcpy(m.ufrag, e->ufrag, m.ufrag_len);
	memcpy(m.pwd, e->pwd, m.pwd_len);
	memcpy(m.cname, e->owner->id, m.cname_len);
	cp_nego_ext_ids(&e->nego, m.ext_id);
	err = cp_plane_endpoint_set(e->owner->calls->plane, &m);
	sh_secret_wipe(&m, sizeof(m));
	return err ? -EPROTO : 0;
}

uint64_t cp_endpoint_ticket(const struct cp_endpoint *e)
{
	return e ? cp_plane_ticket(e->owner->calls->plane, SH_DEL_ENDPOINT, e->id) : 0;
}

/* ---- DTLS ---- */

static void dtls_send(void *arg, const uint8_t *data, size_t len)
{
	struct cp_endpoint *e = arg;

	cp_plane_tx_packet(e->owner->calls->plane, e->id, data, len);
}

static void dtls_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                      const struct sh_srtp_secret *tx)
{
	struct cp_endpoint *e = arg;
	struct sh_msg_endpoint_keys m = {.id = e->id, .profile = profile, .rx = *rx, .tx = *tx};

	cp_plane_endpoint_keys(e->owner->calls->plane, &m);
	sh_secret_wipe(&m, sizeof(m));
	e->dtls_done = true;
	e->dtls_closed = false; /* of an attempt before */
	set_state(e);
	cp_participant_changed(e->owner);
}

static void dtls_closed(void *arg, const char *reason)
{
	struct cp_endpoint *e = arg;

	(void)reason;
	e->dtls_closed = true;
	set_state(e);
}

static int dtls_start(struct cp_endpoint *e)
{
	struct cp_calls *c = e->owner->calls;
	const struct cp_dtls_events ev = {dtls_send, dtls_keys, dtls_closed, e};
	enum cp_dtls_role role = e->nego.setup == CP_SETUP_ACTIVE ? CP_DTLS_CLIENT : CP_DTLS_SERVER;
	int err;

	/* A client's first flight goes to the nominated address: wait for it. A server waits too,
	 * as its 30 s for the handshake begin here, and ICE may take its time. */
	if (e->dtls || e->dtls_done || !e->nego.rfingerprint[0] ||
	    (!e->ice_connected && (role == CP_DTLS_CLIENT || e->n_early == 0)))
		return 0;
	err = cp_dtls_alloc(&e->dtls, c->dtls, role, e->nego.rfingerprint, &ev);
	if (err)
		return err;
	c->counts.dtls++;
	for (unsigned i = 0; i < e->n_early; i++)
		cp_dtls_recv(e->dtls, e->early[i].data, e->early[i].len);
	e->n_early = 0;
	return 0;
}

int cp_endpoint_negotiated(struct cp_endpoint *e)
{
	int err = cp_endpoint_tell_plane(e);

	cp_participant_changed(e->owner);
	return err ? err : dtls_start(e);
}

/* RFC 8842 §5: another certificate, so another association, on the same place in the dataplane. */
void cp_endpoint_renew(struct cp_endpoint *e)
{
	dtls_end(e);
	e->dtls_done = e->dtls_closed = false;
	e->n_early = 0;
	set_state(e);
}

/* The peer's first flight can overtake its SDP answer, which comes by another way: the first few
 * wait. After a restart of ours the association is gone and its keys are in the dataplane: what the
 * peer still says on it is not understood. */
void cp_endpoint_dtls(struct cp_endpoint *e, const uint8_t *data, size_t len)
{
	if (e->dtls) {
		cp_dtls_recv(e->dtls, data, len);
		return;
	}
	if (e->dtls_done || e->n_early == CP_EARLY_MAX || len > SH_PACKET_MAX)
		return;
	e->early[e->n_early].len = len;
	memcpy(e->early[e->n_early].data, data, len);
	e->n_early++;
	(void)dtls_start(e);
}

/* ---- state ---- */

static void set_state(struct cp_endpoint *e)
{
	const struct cp_party_ops *ops = e->owner->ops;
	enum cp_media_state now = CP_MEDIA_NEW;

	if (e->dtls_done && e->ice_connected && !e->dtls_closed)
		now = CP_MEDIA_CONNECTED;
	else if (e->state != CP_MEDIA_NEW || e->dtls_closed)
		now = CP_MEDIA_DISCONNECTED;
	if (now == e->state)
		return;
	e->state = now;
	e->changed_ns = cp_now_ns();
	if (ops->media)
		ops->media(e->owner->arg, e->target, now);
}

void cp_endpoint_ice(struct cp_endpoint *e, unsigned ice, const struct sh_addr *remote)
{
	e->ice_connected = ice == SH_ICE_CONNECTED;
	e->remote = *remote;
	(void)dtls_start(e);
	set_state(e);
}
