/* Cameras at 30 frames a second with the pattern T0 T2 T1 T2, sizes that waver by 30 %, key frames
 * of six mean frames when asked for, which the next ones make good by being smaller; microphones at
 * 50 packets a second; a screen in one quality, which takes more from one moment to the next. */
#include "tests/sim/sim.h"

enum { KEY_FACTOR = 6 };

void sim_camera(struct sim *s, bool svc)
{
	static const struct sim_track camera = {
	    .kind = SH_KIND_VIDEO,
	    .layers = 3,
	    .temporals = 3,
	    .fps = 30,
	    .height = {180, 360, 720},
	    .nominal = {{60000, 40000, 50000}, {200000, 130000, 170000}, {700000, 450000, 550000}}};
	struct sim_track *t = &s->track[s->tracks++];

	*t = camera;
	t->svc = svc;
	t->next_ns = sim_draw(s, SIM_S / 30);
	__builtin_memcpy(t->rate, t->nominal, sizeof(t->rate));
}

void sim_webcam(struct sim *s)
{
	static const uint32_t nominal[][SH_MAX_TEMPORAL] = {
	    {47000, 27000, 58000}, {96000, 71000, 134000}, {202000, 150000, 285000}};
	struct sim_track *t = &s->track[s->tracks];

	sim_camera(s, false);
	t->fps = 15;
	t->together = true;
	__builtin_memcpy(t->nominal, nominal, sizeof(nominal));
	__builtin_memcpy(t->rate, nominal, sizeof(nominal));
}

void sim_screen(struct sim *s, double leap_s, double leap)
{
	struct sim_track *t = &s->track[s->tracks];

	sim_camera(s, false);
	t->layers = t->temporals = 1;
	t->fps = 15;
	t->leap_s = leap_s;
	t->leap = leap;
	__builtin_memset(t->nominal, 0, sizeof(t->nominal));
	t->nominal[0][0] = 1000000;
	__builtin_memcpy(t->rate, t->nominal, sizeof(t->rate));
}

void sim_plain(struct sim *s, uint32_t bps)
{
	struct sim_track *t = &s->track[s->tracks];

	sim_screen(s, 0, 0);
	t->fps = 30;
	t->nominal[0][0] = t->rate[0][0] = bps;
}

void sim_microphone(struct sim *s)
{
	s->track[s->tracks++] = (struct sim_track){.kind = SH_KIND_AUDIO,
	                                           .layers = 1,
	                                           .temporals = 1,
	                                           .nominal = {{43200}},
	                                           .rate = {{43200}},
	                                           .next_ns = sim_draw(s, 20 * SIM_MS)};
}

static uint32_t frame_bytes(struct sim *s, struct sim_track *t, uint32_t layer, uint32_t temporal,
                            bool key)
{
	static const uint32_t every[] = {4, 4, 2}; // T0 and T1 each fourth frame, T2 each second
	uint64_t bits = (uint64_t)t->nominal[layer][temporal] *
	                (t->temporals == 1 ? 1 : every[temporal]) / t->fps,
	         aim = bits;

	if (key) {
		bits = 0;
		for (uint32_t k = 0; k < t->temporals; k++)
			bits += t->nominal[layer][k];
		bits = bits * KEY_FACTOR / t->fps;
	}
	bits = bits * (700 + sim_draw(s, 600)) / 1000;
	if (!key && t->debt[layer] > 0)
		bits = bits * 7 / 10;
	t->debt[layer] += (int64_t)bits - (int64_t)aim;
	return (uint32_t)(bits / 8) + 1;
}

static void frame(struct sim *s, uint32_t i)
{
	static const uint8_t pattern[] = {0, 2, 1, 2};
	struct sim_track *t = &s->track[i];
	uint32_t temporal = t->temporals == 1 ? 0 : pattern[t->frames % 4];
	bool all = false;

	t->frames++;
	if (t->leap && s->now_ns >= (uint64_t)(t->leap_s * 1e9)) {
		t->nominal[0][0] = (uint32_t)(t->nominal[0][0] * t->leap);
		t->leap = 0;
	}

	/* one request is for all spatial layers of one stream; some encoders make it one for all */
	for (uint32_t l = 0; (t->svc || t->together) && l < t->layers; l++)
		all |= t->key_ns[l] && t->key_ns[l] <= s->now_ns;
	for (uint32_t l = 0; l < t->layers; l++) {
		bool key = all || (t->key_ns[l] && t->key_ns[l] <= s->now_ns) || t->frames == 1;
		uint32_t at = key ? 0 : temporal, bytes = frame_bytes(s, t, l, at, key);

		if (key) {
			t->key_bytes[l] = bytes;
			t->key_ns[l] = 0;
			t->keys++;
			if (temporal)
				t->frames =
				    l + 1u == t->layers ? 1 : t->frames; // the pattern begins anew
		}
		if (dp_cost_add(&t->cost, l, at, bytes, s->now_ns))
			for (uint32_t q = 0; q < t->layers; q++)
				dp_cost_bps(&t->cost, q, t->rate[q]);
		sim_forward(s, i, l, at, key, bytes);
	}
}

void sim_sources(struct sim *s)
{
	for (uint32_t i = 0; i < s->tracks; i++) {
		struct sim_track *t = &s->track[i];

		while (t->next_ns <= s->now_ns) {
			if (t->kind == SH_KIND_AUDIO) {
				t->next_ns += 20 * SIM_MS;
				sim_forward(s, i, 0, 0, true, 80);
			} else {
				t->next_ns += SIM_S / t->fps;
				frame(s, i);
			}
		}
	}
}
