#include "shared/cost.h"
#include <math.h>
#include <stddef.h>
#include "shared/limits.h"

const char *const sh_cost_cipher_name[SH_COST_CIPHER_COUNT] = {
#define X(sym, name, what) name,
    SH_COST_CIPHERS(X)
#undef X
};

const char *const sh_cost_limit_name[SH_COST_LIMIT_COUNT] = {
#define X(sym, name, unit) name,
    SH_COST_LIMITS(X)
#undef X
};

enum sh_cost_cipher sh_cost_cipher(unsigned profile)
{
	switch (profile) {
	case SH_SRTP_AEAD_AES_256_GCM:
		return SH_COST_GCM256;
	case SH_SRTP_AES128_CM_SHA1_80:
	case SH_SRTP_AES128_CM_SHA1_32:
		return SH_COST_CM_SHA1;
	default:
		return SH_COST_GCM128;
	}
}

void sh_cost_add(struct sh_cost_load *to, const struct sh_cost_load *what, double times)
{
	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++) {
		to->in[c].pps += times * what->in[c].pps;
		to->in[c].bytes += times * what->in[c].bytes;
		to->out[c].pps += times * what->out[c].pps;
		to->out[c].bytes += times * what->out[c].bytes;
	}
	to->handoffs += times * what->handoffs;
	to->video_in += times * what->video_in;
	to->endpoints += times * what->endpoints;
	to->subs += times * what->subs;
	to->videos += times * what->videos;
	to->audios += times * what->audios;
	to->links += times * what->links;
	to->told += times * what->told;
	to->tracked += times * what->tracked;
}

/* Of a whole packet of usual size, to compare ciphers. */
static double weight(const struct sh_cost_cipher_coef *c)
{
	return c->out + SH_COST_VIDEO_BYTES * c->out_byte;
}

static const struct sh_cost_cipher_coef *coef(const struct sh_cost_model *m, unsigned cipher)
{
	const struct sh_cost_cipher_coef *most = &m->cipher[0];

	if (m->cipher[cipher].out > 0)
		return &m->cipher[cipher];
	for (unsigned c = 1; c < SH_COST_CIPHER_COUNT; c++)
		if (weight(&m->cipher[c]) > weight(most))
			most = &m->cipher[c];
	return most;
}

double sh_cost_far(const struct sh_cost_model *m, const struct sh_cost_load *all)
{
	double touched = (all->videos + all->audios) * SH_COST_TRACK_BYTES +
	                 all->endpoints * SH_COST_ENDPOINT_BYTES + all->subs * SH_COST_SUB_BYTES +
	                 all->links * SH_COST_LINK_BYTES;

	return touched > m->cached ? fmin(log2(touched / m->cached), SH_COST_FAR_MAX) : 0;
}

double sh_cost_mix(double audios, double videos)
{
	return audios + videos > 0 ? 2 * fmin(audios, videos) / (audios + videos) : 0;
}

double sh_cost_more(const struct sh_cost_model *m, const struct sh_cost_load *load,
                    const struct sh_cost_load *others)
{
	struct sh_cost_load all = *load;
	double far, in_extra, sum;

	if (others)
		sh_cost_add(&all, others, 1);
	far = sh_cost_far(m, &all);
	in_extra = m->cache_in * far + m->mixed * sh_cost_mix(all.audios, all.videos);
	sum = load->video_in * m->video + load->endpoints * m->endpoint + load->subs * m->report +
	      (load->videos + load->audios) * m->scan + load->links * m->link +
	      load->told * (m->feedback + m->cache_feedback * far) + load->tracked * m->track +
	      load->handoffs * m->handoff;

	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		const struct sh_cost_cipher_coef *c = coef(m, i);
		const struct sh_cost_flow *in = &load->in[i], *out = &load->out[i];

		sum += in->pps * (c->in + in_extra + m->port.in) +
		       in->bytes * (c->in_byte + m->port.in_byte);
		sum += out->pps * (c->out + m->cache * far + m->port.out) +
		       out->bytes * (c->out_byte + m->port.out_byte);
	}
	return sum;
}

double sh_cost_tells(double bytes)
{
	const double tell = 68 * 20; // bytes of one, and what it is a twentieth of

	return fmin(fmax(bytes / tell, 4), 20);
}

double sh_cost_cycles(const struct sh_cost_model *m, const struct sh_cost_load *load)
{
	return sh_cost_more(m, load, NULL);
}

double sh_cost_bps(const struct sh_cost_flow *f)
{
	return 8 *
	       (f->bytes + f->pps * (SH_COST_RTP_BYTES + SH_COST_TAG_BYTES + SH_COST_WIRE_BYTES));
}

static double memory(const struct sh_cost_model *m, const struct sh_cost_load *load)
{
	return m->base_bytes + load->endpoints * m->endpoint_bytes + load->subs * m->sub_bytes +
	       load->videos * m->video_bytes + load->audios * m->audio_bytes;
}

void sh_cost_predict(const struct sh_cost_model *m, const struct sh_cost_load *load,
                     unsigned workers, struct sh_cost_answer *out)
{
	struct sh_cost_load each = {0};
	double pps, bps;

	*out = (struct sh_cost_answer){0};
	sh_cost_add(&each, load, 1.0 / workers);
	out->cycles = sh_cost_cycles(m, &each) * workers;
	out->utilisation = out->cycles / workers / (m->tsc_hz * m->usable);
	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		out->in_pps += load->in[i].pps;
		out->out_pps += load->out[i].pps;
		out->in_bps += sh_cost_bps(&load->in[i]);
		out->out_bps += sh_cost_bps(&load->out[i]);
	}
	out->bytes = memory(m, load);
	pps = fmax(out->in_pps, out->out_pps);
	bps = fmax(out->in_bps, out->out_bps);
	out->used[SH_COST_CPU] = out->utilisation;
	out->used[SH_COST_PACKETS] = m->port.max_pps > 0 ? pps / m->port.max_pps : 0;
	out->used[SH_COST_BITS] = m->port.max_bps > 0 ? bps / m->port.max_bps : 0;
	out->used[SH_COST_MEMORY] = m->memory > 0 ? out->bytes / m->memory : 0;
	for (unsigned i = 1; i < SH_COST_LIMIT_COUNT; i++)
		if (out->used[i] > out->used[out->bottleneck])
			out->bottleneck = i;
}

static bool within(double v, double min, double max)
{
	return isfinite(v) && v >= min && v <= max;
}

bool sh_cost_valid(const struct sh_cost_model *m)
{
	const double cycles = 1e9, bytes = 1e15,
	             rate = 1e15; // far beyond any host, so that no sum overflows
	bool ok = within(m->tsc_hz, 1e6, 1e11) && within(m->usable, 0.1, 1) &&
	          within(m->error, 0, 10) && within(m->cached, 1, bytes);
	const double per_packet[] = {
	    m->cache,    m->cache_in,     m->mixed,          m->video,
	    m->endpoint, m->report,       m->scan,           m->handoff,
	    m->port.in,  m->port.in_byte, m->port.out,       m->port.out_byte,
	    m->link,     m->feedback,     m->cache_feedback, m->track};
	const double sizes[] = {m->base_bytes,  m->endpoint_bytes, m->sub_bytes,
	                        m->video_bytes, m->audio_bytes,    m->memory};
	bool any = false;

	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		const struct sh_cost_cipher_coef *c = &m->cipher[i];

		ok &= within(c->in, 0, cycles) && within(c->in_byte, 0, cycles) &&
		      within(c->out, 0, cycles) && within(c->out_byte, 0, cycles);
		any |= c->out > 0;
	}
	for (unsigned i = 0; i < sizeof(per_packet) / sizeof(per_packet[0]); i++)
		ok &= within(per_packet[i], 0, cycles);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ok &= within(sizes[i], 0, bytes);
	return ok && any && within(m->port.max_pps, 0, rate) && within(m->port.max_bps, 0, rate);
}
