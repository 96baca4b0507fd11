/* What a subscriber wants of the tracks that it is sent: size, layers, priority. */
#include "controlplane/signaling/signaling_priv.h"

static int number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? (int)json_integer_value(v) : -1; // the ranges were checked: field.c
}

static struct cp_quality wanted(const json_t *o)
{
	return (struct cp_quality){
	    .height = number(o, "height"),
	    .max_layer = number(o, "max_layer"),
	    .max_temporal = number(o, "max_temporal"),
	    .priority = number(o, "priority"),
	};
}

static struct cp_track *find(const struct cp_participant *p, const json_t *o, struct cp_reply *r)
{
	const char *id = json_string_value(json_object_get(o, "track"));
	struct cp_track *t = cp_room_track(p->room, id);

	if (!t)
		cp_refuse(r, "not_found", "no track '%.64s'", id);
	else if (!cp_subscribed(p, t))
		cp_refuse(r, "conflict", "track '%.64s' is not subscribed", id);
	else
		return t;
	return NULL;
}

/* One track and what is wanted of it, or a list of such: all of them are looked at before anything
 * is done. */
int cp_req_quality(struct cp_client *c, const json_t *req, struct cp_reply *r)
{
	struct cp_participant *p = c->session->party;
	const json_t *list = json_object_get(req, "tracks");
	size_t n = list ? json_array_size(list) : 1, i, k;
	struct cp_track *t[CP_NEGO_MEDIA_MAX];
	int err;

	if (!list && !json_object_get(req, "track"))
		return cp_refuse(r, "bad_request", "missing key 'track'");
	if (list && json_object_size(req) != 3)
		return cp_refuse(r, "bad_request", "beside 'tracks' there are no other keys");
	for (i = 0; i < n; i++) {
		t[i] = find(p, list ? json_array_get(list, i) : req, r);
		if (!t[i])
			return -1;
		for (k = 0; k < i; k++)
			if (t[k] == t[i])
				return cp_refuse(r, "bad_request", "track '%.64s' twice", t[i]->id);
	}
	for (i = 0; i < n; i++) {
		const struct cp_quality q = wanted(list ? json_array_get(list, i) : req);

		err = cp_want(p, t[i], &q);
		if (err)
			return cp_refuse_errno(r, err, "");
	}
	return 0;
}
