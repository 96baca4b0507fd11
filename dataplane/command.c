#include "dataplane/command.h"
#include <errno.h>
#include <string.h>
#include "dataplane/table/table.h"
#include "shared/log.h"
#include "shared/secret.h"

#define SUBSYS "plane"

static uint64_t *stats(void)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v;
}

void dp_command_init(struct dp_command *c, const struct dp_command_h *h)
{
	memset(c, 0, sizeof(*c));
	c->h = *h;
	dp_stage_abort();
}

void dp_command_end(struct dp_command *c)
{
	dp_stage_abort();
	memset(c, 0, sizeof(*c));
}

static int greet(struct dp_command *c, const struct sh_rec *hdr, const void *body)
{
	struct sh_msg_e_hello out;
	char why[160];

	if (sh_msg_hello_check(SH_MSG_C_HELLO, hdr->type, body, hdr->len, why, sizeof(why)) != 0) {
		sh_error(SUBSYS, "daemon refused: %s", why);
		return -EPROTO;
	}
	c->greeted = true;
	c->epoch = ((const struct sh_msg_c_hello *)body)->epoch;
	memset(&out, 0, sizeof(out));
	c->h.hello(c->h.arg, &out);
	return c->h.reply(c->h.arg, SH_MSG_E_HELLO, &out, sizeof(out));
}

static int commit(struct dp_command *c, const struct sh_msg_commit *m)
{
	struct sh_msg_committed out;
	int err;

	dp_stage_commit(m, &out);
	if (out.error) {
		stats()[SH_STAT_commits_refused]++;
		sh_warn(SUBSYS, "transaction %llu refused: record %u: %s",
		        (unsigned long long)m->txn, out.record, strerror(-out.error));
	} else {
		stats()[SH_STAT_commits]++;
		dp_slabs.head->daemon_epoch = c->epoch;
	}
	err = c->h.reply(c->h.arg, SH_MSG_COMMITTED, &out, sizeof(out));
	if (!err && !out.error) {
		c->synced = true;
		c->h.applied(c->h.arg, m->full != 0);
	}
	return err;
}

/* Slab index of a live entry with that id, or -1. */
static int live_endpoint(sh_id id)
{
	uint32_t i = SH_ID_INDEX(id);

	return i < dp_slabs.endpoints && atomic_load(&dp_slabs.endpoint[i].state) == SH_LIVE &&
	               dp_slabs.endpoint[i].set.id == id
	           ? (int)i
	           : -1;
}

static void inject(struct dp_command *c, const struct sh_msg_packet *p)
{
	int i = live_endpoint(p->endpoint);

	if (i < 0)
		stats()[SH_STAT_drop_inject_unknown]++;
	else
		c->h.inject(c->h.arg, (uint32_t)i, p->data, p->len);
}

static void keyframe(const struct sh_msg_keyframe *k)
{
	uint32_t i = SH_ID_INDEX(k->track);

	if (i >= dp_slabs.tracks || atomic_load(&dp_slabs.track[i].state) != SH_LIVE ||
	    dp_slabs.track[i].set.id != k->track)
		return; // it went while the message was on its way
	for (unsigned l = 0; l < dp_slabs.track[i].set.layers; l++)
		dp_keyframe_request(i, l);
}

static int refused(unsigned type, int err)
{
	stats()[SH_STAT_records_refused]++;
	/* It was to be part of the open transaction, so that one is no longer what the daemon
	 * meant. */
	if (type != SH_MSG_TX_PACKET && type != SH_MSG_KEYFRAME)
		dp_stage_refuse(err);
	sh_warn(SUBSYS, "record %s refused: %s", sh_msg_name(type), strerror(-err));
	return 0;
}

static int take(struct dp_command *c, const struct sh_rec *hdr, const void *body)
{
	int err;

	if (!c->greeted)
		return greet(c, hdr, body);
	if (sh_msg_direction(hdr->type) != 'C')
		return refused(hdr->type, -ENOENT);
	err = hdr->flags == sh_msg_flags(hdr->type) ? sh_msg_check(hdr->type, body, hdr->len)
	                                            : -EINVAL;
	if (err)
		return refused(hdr->type, err);
	switch (hdr->type) {
	case SH_MSG_C_HELLO:
		return refused(hdr->type, -EPROTO);
	case SH_MSG_BEGIN:
		dp_stage_begin(((const struct sh_msg_begin *)body)->txn);
		return 0;
	case SH_MSG_COMMIT:
		return commit(c, body);
	case SH_MSG_TX_PACKET:
		inject(c, body);
		return 0;
	case SH_MSG_KEYFRAME:
		keyframe(body);
		return 0;
	default:
		if (!dp_stage_open())
			return refused(hdr->type, -EPROTO);
		dp_stage_record(hdr->type, body, hdr->len);
		return 0;
	}
}

int dp_command_take(struct dp_command *c, const struct sh_rec *hdr, void *body)
{
	int err = take(c, hdr, body);

	/* By type, not by flag: a peer that forgets the flag still sent keys. */
	if (sh_msg_flags(hdr->type) & SH_REC_SECRET || hdr->flags & SH_REC_SECRET)
		sh_secret_wipe(body, hdr->len);
	return err;
}
