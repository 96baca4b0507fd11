#include "bench/cost_scenario.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
	AUDIO_PPS = 50,
	AUDIO_SLOTS = 5, // as callstackd is configured, if nobody says otherwise
	VIDEO_SLOTS = 9,
};

/* ---- reading ---- */

struct key {
	const char *group, *name;
	unsigned *number;
	bool *flag;
	unsigned min, max;
};

static const char *text(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "";
}

static bool take_flag(bool *out, const char *v)
{
	*out = strcmp(v, "true") == 0;
	return *out || strcmp(v, "false") == 0;
}

static bool take_number(const struct key *k, const char *v)
{
	char *end;
	unsigned long n = strtoul(v, &end, 10);

	if (end == v || *end || n < k->min || n > k->max)
		return false;
	*k->number = (unsigned)n;
	return true;
}

static bool take_profile(struct cost_scenario *s, const char *v)
{
	static const char *const words[SH_COST_CIPHER_COUNT] = {"gcm128", "gcm256", "cm80"};

	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++)
		if (strcmp(v, words[i]) == 0) {
			s->cipher = i;
			return true;
		}
	return false;
}

/* 0, or -EINVAL: said. Keys of a group that we do not know are the generator's. */
static int take(struct cost_scenario *s, const char *group, const char *name, const char *v,
                char *why, size_t size)
{
	unsigned slots = s->grown;
	const struct key keys[] = {
	    {"rooms", "count", &s->rooms, NULL, 1, 1000000},
	    {"rooms", "participants", &s->participants, NULL, 1, 50000},
	    {"rooms", "publishers", &s->publishers, NULL, 0, 50000},
	    {"rooms", "publishers_watch", NULL, &s->publishers_watch, 0, 0},
	    {"rooms", "watch", &s->watch, NULL, 0, 50000},
	    {"rooms", "slots", &slots, NULL, 0, 48}, // how many there are is the daemon's to say
	    {"rooms", "cameras", &s->cameras, NULL, 0, 50000},
	    {"audio", "enabled", NULL, &s->audio, 0, 0},
	    {"audio", "size", &s->audio_size, NULL, 1, 1300},
	    {"video", "enabled", NULL, &s->video, 0, 0},
	    {"video", "bitrate", &s->kbps, NULL, 1, 1000000},
	    {"video", "size", &s->video_size, NULL, 1, 1300},
	    {"video", "fps", &s->fps, NULL, 1, 240},
	    {"video", "layers", &s->layers, NULL, 1, 3},
	};
	bool ok = true;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].group, group) == 0 && strcmp(keys[i].name, name) == 0)
			ok = keys[i].flag ? take_flag(keys[i].flag, v) : take_number(&keys[i], v);
	if (strcmp(group, "srtp") == 0 && strcmp(name, "profile") == 0)
		ok = take_profile(s, v);
	if (strcmp(name, "feedback") == 0 && !*group) {
		s->feedback = strcmp(v, "twcc") == 0;
		ok = s->feedback || strcmp(v, "remb") == 0 || strcmp(v, "none") == 0;
	}
	s->grown = slots > 0;
	if (ok)
		return 0;
	snprintf(why, size, "%s.%s: \"%s\" is not possible", group, name, v);
	return -EINVAL;
}

static int take_all(struct cost_scenario *s, yaml_document_t *d, char *why, size_t size)
{
	yaml_node_t *root = yaml_document_get_root_node(d);
	int err = 0;

	if (!root || root->type != YAML_MAPPING_NODE) {
		snprintf(why, size, "no mapping");
		return -EINVAL;
	}
	for (yaml_node_pair_t *g = root->data.mapping.pairs.start; g < root->data.mapping.pairs.top;
	     g++) {
		yaml_node_t *group = yaml_document_get_node(d, g->value);

		if (group && group->type == YAML_SCALAR_NODE && !err)
			err = take(s, "", text(yaml_document_get_node(d, g->key)), text(group), why,
			           size);
		if (!group || group->type != YAML_MAPPING_NODE)
			continue;
		for (yaml_node_pair_t *k = group->data.mapping.pairs.start;
		     !err && k < group->data.mapping.pairs.top; k++)
			err = take(s, text(yaml_document_get_node(d, g->key)),
			           text(yaml_document_get_node(d, k->key)),
			           text(yaml_document_get_node(d, k->value)), why, size);
	}
	return err;
}

int cost_scenario_load(struct cost_scenario *out, const char *path, char *why, size_t size)
{
	struct cost_scenario s = {.rooms = 1,
	                          .participants = 2,
	                          .publishers = 1,
	                          .publishers_watch = true,
	                          .audio_slots = AUDIO_SLOTS,
	                          .video_slots = VIDEO_SLOTS,
	                          .audio = true,
	                          .video = true,
	                          .feedback = true,
	                          .audio_size = 120,
	                          .kbps = 1000,
	                          .video_size = 1200,
	                          .fps = 30,
	                          .layers = 1};
	char text_of[200] = "";
	FILE *f = fopen(path, "r");
	yaml_parser_t parser;
	yaml_document_t doc;
	int err = -EINVAL;

	if (!f) {
		err = -errno;
		snprintf(why, size, "%s: %s", path, strerror(-err));
		return err;
	}
	if (!yaml_parser_initialize(&parser)) {
		fclose(f);
		return -ENOMEM;
	}
	yaml_parser_set_input_file(&parser, f);
	if (!yaml_parser_load(&parser, &doc)) {
		snprintf(why, size, "%s:%zu: %s", path, parser.problem_mark.line + 1,
		         parser.problem ? parser.problem : "not YAML");
	} else {
		err = take_all(&s, &doc, text_of, sizeof(text_of));
		if (!err && s.publishers > s.participants) {
			snprintf(text_of, sizeof(text_of),
			         "rooms.publishers: more than participants");
			err = -EINVAL;
		}
		if (err)
			snprintf(why, size, "%s: %s", path, text_of);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	fclose(f);
	if (!err)
		*out = s;
	return err;
}

/* ---- what it means ---- */

unsigned cost_watched(const struct cost_scenario *s, unsigned participant)
{
	bool publishes = participant < s->publishers;
	unsigned n = s->publishers - publishes;

	if (publishes && !s->publishers_watch)
		return 0;
	return s->watch && s->watch < n ? s->watch : n;
}

double cost_video_pps(const struct cost_scenario *s)
{
	return s->kbps * 1000.0 / 8 / s->video_size;
}

/* Of all layers together, to that of the best one. */
static double all_layers(const struct cost_scenario *s)
{
	return s->layers == 1 ? 1 : s->layers == 2 ? 1.25 : 1.3125;
}

/* On how many workers beside its own a track of n subscribers is needed, when they are dealt out at
 * random. */
static double others(unsigned workers, double n)
{
	return workers < 2 ? 0 : (workers - 1) * (1 - pow(1 - 1.0 / workers, n));
}

static unsigned cameras(const struct cost_scenario *s)
{
	unsigned q = s->publishers;

	return !s->video ? 0 : s->cameras && s->cameras < q ? s->cameras : q;
}

/* What is sent of one kind in a room: streams, those of them that are handed on, how often each
 * is, and subscriptions. */
struct kind {
	double in, used, out, subs;
};

/* Whoever is in a slot is not sent what is in it. */
static struct kind of_slots(double in, unsigned slots, double listeners)
{
	double used = slots < in ? slots : in;

	return (struct kind){in, used, used * (listeners - 1), slots * listeners};
}

static struct kind of_publishers(double in, double publishers, double watched)
{
	double out = publishers > 0 ? watched * in / publishers : 0;

	return (struct kind){in, in, out, out};
}

static void add_kind(struct sh_cost_load *l, const struct cost_scenario *s, const struct kind *k,
                     double pps, double all_layers, double size, double rooms, unsigned workers)
{
	sh_cost_flow(&l->in[s->cipher], pps * all_layers * k->in * rooms, size);
	sh_cost_flow(&l->out[s->cipher], pps * k->out * rooms, size);
	l->subs += k->subs * rooms;
	if (k->used > 0)
		l->handoffs +=
		    pps * all_layers * k->used * rooms * others(workers, k->out / k->used);
}

void cost_scenario_load_of(const struct cost_scenario *s, double rooms, unsigned workers,
                           struct sh_cost_load *out)
{
	double watched = 0, receivers = 0, q = s->publishers, c = cameras(s);
	const struct sh_cost_flow *to = &out->out[s->cipher];
	struct kind audio, video;

	*out = (struct sh_cost_load){0};
	for (unsigned i = 0; i < s->participants; i++) {
		unsigned n = cost_watched(s, i);

		watched += n;
		receivers += n > 0;
	}
	audio = s->grown ? of_slots(q, s->audio_slots, receivers) : of_publishers(q, q, watched);
	video = s->grown ? of_slots(c, s->video_slots, receivers) : of_publishers(c, q, watched);
	out->audios = s->audio ? q * rooms : 0;
	out->videos = c * rooms;
	if (s->audio)
		add_kind(out, s, &audio, AUDIO_PPS, 1, s->audio_size, rooms, workers);
	if (s->video)
		add_kind(out, s, &video, cost_video_pps(s), all_layers(s), s->video_size, rooms,
		         workers);
	out->video_in = cost_video_pps(s) * all_layers(s) * c * rooms;
	out->endpoints = (q + receivers) * rooms;
	if (!s->feedback || !(to->pps > 0))
		return;
	out->links = receivers * rooms;
	out->tracked = to->pps;
	out->told =
	    out->links * sh_cost_tells((to->bytes + to->pps * SH_COST_RTP_BYTES) / out->links);
}

/* How long a packet is kept at most (dataplane/node/node.c). */
enum { HISTORY_S = 1 };

double cost_scenario_buffers(const struct cost_scenario *s, double rooms, unsigned video,
                             unsigned audio)
{
	double n = 0;

	if (s->audio)
		n += fmin(audio, AUDIO_PPS * HISTORY_S);
	if (s->video)
		n += s->layers * fmin(video, cost_video_pps(s) * HISTORY_S) * cameras(s) /
		     s->publishers;
	return n * s->publishers * rooms;
}
