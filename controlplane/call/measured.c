#include "controlplane/call/measured.h"
#include "controlplane/call/calls_priv.h"
#include "controlplane/loop.h"

#define FRESH_NS UINT64_C(3000000000)

void cp_measured_add(struct cp_measured *q, const struct sh_quality_row *row, uint64_t now_ns)
{
	q->at_ns = now_ns;
	q->bps = row->bps;
	q->jitter_ms = row->jitter_ms;
	q->rtt_ms = row->rtt_ms;
	q->lost = row->lost;
	q->mos = row->mos;
	q->layer = row->layer;
	q->seconds++;
	q->lost_sum += row->lost;
	q->bps_sum += row->bps;
	q->jitter_sum += row->jitter_ms;
	if (row->lost > q->lost_worst)
		q->lost_worst = row->lost;
	if (!row->mos)
		return;
	q->mos_seconds++;
	q->mos_sum += row->mos;
	if (!q->mos_worst || row->mos < q->mos_worst)
		q->mos_worst = row->mos;
}

bool cp_measured_fresh(const struct cp_measured *q, uint64_t now_ns)
{
	return q->at_ns && now_ns - q->at_ns < FRESH_NS;
}

static double percent(double of_256)
{
	return of_256 * 100 / 256;
}

json_t *cp_measured_json(const struct cp_measured *q, uint64_t now_ns)
{
	json_t *o;

	if (!q->seconds)
		return json_null();
	o = json_pack("{sb sI sf si sf sf}", "live", cp_measured_fresh(q, now_ns), "bps",
	              (json_int_t)q->bps, "loss", percent(q->lost), "jitter_ms", (int)q->jitter_ms,
	              "loss_average", percent((double)q->lost_sum / q->seconds), "loss_worst",
	              percent(q->lost_worst));
	if (o && q->rtt_ms)
		cp_json_put(&o, "rtt_ms", json_integer(q->rtt_ms));
	if (o && q->mos)
		cp_json_put(&o, "mos", json_real(q->mos / 10.));
	if (o && q->mos_seconds) {
		cp_json_put(&o, "mos_worst", json_real(q->mos_worst / 10.));
		if (o)
			cp_json_put(&o, "mos_average",
			            json_real((double)q->mos_sum / q->mos_seconds / 10));
	}
	return o;
}

/* ---- events ---- */

static struct cp_sub *sub_by_id(const struct cp_calls *c, sh_id id)
{
	struct cp_sub *s = c->sub[SH_ID_INDEX(id)];

	return s && s->plane_id == id ? s : NULL;
}

static struct cp_track *track_by_id(const struct cp_calls *c, sh_id id)
{
	struct cp_track *t = c->track[SH_ID_INDEX(id)];

	return t && t->plane_id == id ? t : NULL;
}

void cp_calls_quality(const struct sh_msg_quality *m, void *arg)
{
	const struct cp_calls *c = arg;
	uint64_t now = cp_now_ns();

	for (unsigned i = 0; i < m->rows; i++) {
		const struct sh_quality_row *r = &m->row[i];
		struct cp_track *t = r->what == SH_QUALITY_TRACK ? track_by_id(c, r->id) : NULL;
		struct cp_sub *s = r->what == SH_QUALITY_SUB ? sub_by_id(c, r->id) : NULL;

		if (t)
			cp_measured_add(&t->measured[r->layer], r, now);
		else if (s)
			cp_measured_add(&s->measured, r, now);
	}
}

/* ---- names, for callstackctl top: it knows streams by their ids in the dataplane ---- */

static json_t *named(const struct cp_participant *p, const struct cp_track *t)
{
	return json_pack("{ss ss ss ss ss}", "room", p->room ? p->room->name : "", "participant",
	                 p->id, "user", p->user, "display", p->display, "source",
	                 cp_source_name(t->source));
}

static json_t *name_of(const struct cp_calls *c, bool sub, sh_id id)
{
	const struct cp_sub *s = sub ? sub_by_id(c, id) : NULL;
	const struct cp_track *t = sub ? (s ? s->track : NULL) : track_by_id(c, id);
	json_t *o;

	if (s && !t->owner) // a slot: whoever is in it
		t = cp_slot_source(t);
	if (!t || !t->owner)
		return json_null();
	o = named(s ? s->owner : t->owner, t);
	if (o && s)
		cp_json_put(&o, "from", json_string(t->owner->user));
	return o;
}

static json_t *names_of(const struct cp_calls *c, bool sub, const json_t *ids)
{
	json_t *out = json_array();
	const json_t *id;
	size_t i;

	json_array_foreach (ids, i, id) {
		if (out)
			cp_json_push(&out, name_of(c, sub, (sh_id)json_integer_value(id)));
	}
	return out;
}

json_t *cp_calls_names_json(const struct cp_calls *c, const json_t *tracks, const json_t *subs)
{
	return json_pack("{so so}", "tracks", names_of(c, false, tracks), "subs",
	                 names_of(c, true, subs));
}
