/* The model is linear in its coefficients (shared/cost.h), so one linear least-squares problem
 * gives them all. Rows are divided by what was measured: relative errors are what counts. A
 * coefficient that comes out negative has no meaning; the most negative one is taken out and the
 * rest solved again, until none is (a plain active set: there are some twenty). */
#include "bench/cost_fit.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	IN,
	IN_BYTE,
	OUT,
	OUT_BYTE, // of each cipher
	CACHE = 4 * SH_COST_CIPHER_COUNT,
	CACHE_IN,
	MIXED,
	VIDEO,
	FEEDBACK,
	CACHE_FEEDBACK,
	TRACK,
	PORTS, // PORT_IN, PORT_OUT, PORT_OUT_BYTE of each but the first
	UNKNOWNS = PORTS + 3 * (COST_PORTS_MAX - 1),
};

/* Bytes; a core has some hundred KiB of its own and a share of some ten MiB. */
#define CACHED_MIN   65536.0
#define CACHED_MAX   67108864.0
#define CLOCK_LITTLE 0.01 // share of the cycles below which an error of it is none
#define UNIFORM_PPS  50.0

enum { COMPANY = 12 }; // samples of a cipher on a port

struct problem {
	double ata[UNKNOWNS][UNKNOWNS], atb[UNKNOWNS], x[UNKNOWNS];
	bool used[UNKNOWNS];
};

void cost_sample_uniform(struct cost_sample *s, enum sh_cost_cipher cipher, double payload,
                         double fanout, double subs)
{
	s->load = (struct sh_cost_load){
	    .endpoints = subs + subs / fanout, .subs = subs, .videos = subs / fanout};
	sh_cost_flow(&s->load.in[cipher], UNIFORM_PPS * subs / fanout, payload);
	sh_cost_flow(&s->load.out[cipher], UNIFORM_PPS * subs, payload);
}

static double packets_out(const struct cost_sample *s)
{
	double sum = 0;

	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++)
		sum += s->load.out[c].pps;
	return sum;
}

/* What goes by the clock, of a packet out. */
static double by_clock(const struct sh_cost_model *m, const struct cost_sample *s)
{
	const struct sh_cost_load *l = &s->load;

	return (l->endpoints * m->endpoint + l->subs * m->report +
	        (l->videos + l->audios) * m->scan + l->links * m->link) /
	       packets_out(s);
}

/* What the packets cost of a sample: of a port's what it adds to its base. */
static double by_packets(const struct cost_sample *s)
{
	return s->cycles - (s->base > 0 ? s->base : s->timers);
}

static void row_of(const struct sh_cost_model *m, const struct cost_sample *s, double row[UNKNOWNS])
{
	const struct sh_cost_load *l = &s->load;
	double in = 0, out = 0, out_bytes = 0, far = sh_cost_far(m, l), all = packets_out(s);

	memset(row, 0, UNKNOWNS * sizeof(*row));
	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		in += l->in[i].pps;
		out += l->out[i].pps;
		out_bytes += l->out[i].bytes;
		if (s->base > 0)
			continue;
		row[4 * i + IN] = l->in[i].pps;
		row[4 * i + IN_BYTE] = l->in[i].bytes;
		row[4 * i + OUT] = l->out[i].pps;
		row[4 * i + OUT_BYTE] = l->out[i].bytes;
	}
	if (s->base <= 0) {
		row[CACHE] = out * far;
		row[CACHE_IN] = in * far;
		row[MIXED] = in * sh_cost_mix(l->audios, l->videos);
		row[VIDEO] = l->video_in;
		row[FEEDBACK] = l->told;
		row[CACHE_FEEDBACK] = l->told * far;
		row[TRACK] = l->tracked;
	}
	if (s->port) {
		unsigned p = PORTS + 3 * (s->port - 1);

		row[p] = in;
		row[p + 1] = out;
		row[p + 2] = out_bytes;
	}
	for (unsigned i = 0; i < UNKNOWNS; i++)
		row[i] /= all;
}

/* Gauss with pivots over the unknowns in use. */
static void solve(struct problem *p)
{
	double m[UNKNOWNS][UNKNOWNS + 1];
	unsigned at[UNKNOWNS], n = 0;

	for (unsigned i = 0; i < UNKNOWNS; i++)
		if (p->used[i])
			at[n++] = i;
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < n; k++)
			m[i][k] = p->ata[at[i]][at[k]];
		m[i][i] *= 1 + 1e-9; // what no sample tells apart is shared out
		m[i][n] = p->atb[at[i]];
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned best = i;

		for (unsigned r = i + 1; r < n; r++)
			if (fabs(m[r][i]) > fabs(m[best][i]))
				best = r;
		for (unsigned k = i; k <= n; k++) {
			double t = m[i][k];

			m[i][k] = m[best][k];
			m[best][k] = t;
		}
		for (unsigned r = 0; r < n; r++) {
			double by = r == i || m[i][i] == 0 ? 0 : m[r][i] / m[i][i];

			for (unsigned k = i; k <= n; k++)
				m[r][k] -= by * m[i][k];
		}
	}
	memset(p->x, 0, sizeof(p->x));
	for (unsigned i = 0; i < n; i++)
		p->x[at[i]] = m[i][i] == 0 ? 0 : m[i][n] / m[i][i];
}

static void solve_not_negative(struct problem *p)
{
	for (;;) {
		unsigned worst = 0;

		solve(p);
		for (unsigned i = 1; i < UNKNOWNS; i++)
			if (p->x[i] * sqrt(p->ata[i][i]) < p->x[worst] * sqrt(p->ata[worst][worst]))
				worst = i;
		if (p->x[worst] >= 0)
			return;
		p->used[worst] = false;
	}
}

/* What transports, subscriptions and tracks cost a second is seen in nodes of their own, so it need
 * not be told from the rest by its growth, which looks like that of cache misses. */
static void fit_clock(struct sh_cost_model *m, const struct cost_sample *s, size_t n)
{
	struct problem p = {.used = {true, true, true, true}};

	for (size_t i = 0; i < n; i++) {
		const struct sh_cost_load *l = &s[i].load;
		const double row[] = {l->endpoints, l->subs, l->videos + l->audios, l->links};
		double out = packets_out(&s[i]), y = s[i].timers * out,
		       weight = fmax(y, s[i].cycles * out * CLOCK_LITTLE);

		if (s[i].held_out || s[i].port || s[i].seldom)
			continue;
		for (unsigned a = 0; a < 4; a++) {
			p.atb[a] += row[a] * y / (weight * weight);
			for (unsigned b = 0; b < 4; b++)
				p.ata[a][b] += row[a] * row[b] / (weight * weight);
		}
	}
	solve_not_negative(&p);
	m->endpoint = p.x[0];
	m->report = p.x[1];
	m->scan = p.x[2];
	m->link = p.x[3];
}

static void spread(struct cost_fit *f, const struct problem *p, unsigned ports)
{
	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++)
		f->model.cipher[c] =
		    (struct sh_cost_cipher_coef){p->x[4 * c + IN], p->x[4 * c + IN_BYTE],
		                                 p->x[4 * c + OUT], p->x[4 * c + OUT_BYTE]};
	f->model.cache = p->x[CACHE];
	f->model.cache_in = p->x[CACHE_IN];
	f->model.mixed = p->x[MIXED];
	f->model.video = p->x[VIDEO];
	f->model.feedback = p->x[FEEDBACK];
	f->model.cache_feedback = p->x[CACHE_FEEDBACK];
	f->model.track = p->x[TRACK];
	/* A packet that another worker hands over is classified and fanned out like one received,
	 * but not decrypted; the part that does not grow with its size is the nearest that was
	 * measured. */
	f->model.handoff = f->model.cipher[SH_COST_GCM128].in;
	for (unsigned i = 1; i < ports; i++) {
		f->port[i].in = p->x[PORTS + 3 * (i - 1)];
		f->port[i].out = p->x[PORTS + 3 * (i - 1) + 1];
		f->port[i].out_byte = p->x[PORTS + 3 * (i - 1) + 2];
	}
}

double cost_sample_cycles(const struct cost_fit *f, const struct cost_sample *s)
{
	double flows, null;
	struct sh_cost_model m = f->model;

	m.port = f->port[0];
	m.endpoint = m.report = m.scan = m.link = 0;
	null = sh_cost_cycles(&m, &s->load) / packets_out(s);
	m.port = f->port[s->port];
	flows = sh_cost_cycles(&m, &s->load) / packets_out(s);
	if (s->base > 0)
		return s->base + flows - null;
	return flows + (s->seldom ? s->timers : by_clock(&f->model, s));
}

static void judge(struct cost_fit *f, struct cost_sample *s, size_t n)
{
	double sum = 0, held = 0;

	f->fitted = f->held = 0;
	f->worst = f->held_worst = 0;
	for (size_t i = 0; i < n; i++) {
		double e;

		s[i].predicted = s[i].without = cost_sample_cycles(f, &s[i]);
		e = fabs(s[i].predicted / s[i].cycles - 1);
		*(s[i].held_out ? &held : &sum) += e * e;
		*(s[i].held_out ? &f->held : &f->fitted) += 1;
		if (s[i].held_out)
			f->held_worst = fmax(f->held_worst, e);
		else
			f->worst = fmax(f->worst, e);
	}
	f->rms = f->fitted ? sqrt(sum / f->fitted) : 0;
	f->held_rms = f->held ? sqrt(held / f->held) : 0;
}

/* All that are not held out, but for `skip`. */
static int fit_without(struct cost_fit *f, const struct cost_sample *s, size_t n, unsigned ports,
                       size_t skip)
{
	struct problem p = {0};
	unsigned used = 0, rows = 0;

	for (size_t i = 0; i < n; i++) {
		double row[UNKNOWNS], y;

		if (s[i].held_out || i == skip)
			continue;
		row_of(&f->model, &s[i], row);
		y = by_packets(&s[i]);
		for (unsigned a = 0; a < UNKNOWNS; a++) {
			p.used[a] |= row[a] > 0;
			p.atb[a] += row[a] * y / (s[i].cycles * s[i].cycles);
			for (unsigned b = 0; b < UNKNOWNS; b++)
				p.ata[a][b] += row[a] * row[b] / (s[i].cycles * s[i].cycles);
		}
		rows++;
	}
	for (unsigned a = 0; a < UNKNOWNS; a++)
		used += p.used[a];
	if (rows < used || !used)
		return -EINVAL;
	solve_not_negative(&p);
	spread(f, &p, ports);
	return 0;
}

static enum sh_cost_cipher cipher_of(const struct cost_sample *s)
{
	unsigned c = 0;

	while (c + 1 < SH_COST_CIPHER_COUNT && !(s->load.out[c].pps > 0))
		c++;
	return c;
}

/* Without one of a handful, coefficients that only these have are no more than a guess. */
static bool has_company(const struct cost_sample *s, size_t n, size_t at)
{
	unsigned same = 0;

	for (size_t i = 0; i < n; i++)
		same += !s[i].held_out && s[i].port == s[at].port &&
		        cipher_of(&s[i]) == cipher_of(&s[at]);
	return same > COMPANY;
}

/* How well the others foretell each one. */
static void leave_one_out(struct cost_fit *f, struct cost_sample *s, size_t n, unsigned ports)
{
	double sum = 0;
	unsigned many = 0;

	f->out_worst = 0;
	for (size_t i = 0; i < n; i++) {
		struct cost_fit other = *f;
		double e;

		if (s[i].held_out || !has_company(s, n, i) || fit_without(&other, s, n, ports, i))
			continue;
		s[i].without = cost_sample_cycles(&other, &s[i]);
		e = fabs(s[i].without / s[i].cycles - 1);
		sum += e * e;
		f->out_worst = fmax(f->out_worst, e);
		many++;
	}
	f->out_rms = many ? sqrt(sum / many) : 0;
}

/* `cached` is not linear, so powers of two are tried. Leaves the best in the model. */
static int fit_cached(struct cost_fit *f, const struct cost_sample *s, size_t n, unsigned ports)
{
	double best = INFINITY, at = 0;

	for (double bytes = CACHED_MIN; bytes <= CACHED_MAX; bytes *= 2) {
		double sum = 0;

		f->model.cached = bytes;
		if (fit_without(f, s, n, ports, n))
			return -EINVAL;
		for (size_t i = 0; i < n; i++) {
			double e = cost_sample_cycles(f, &s[i]) / s[i].cycles - 1;

			sum += s[i].held_out ? 0 : e * e;
		}
		if (sum < best) {
			best = sum;
			at = bytes;
		}
	}
	f->model.cached = at;
	return fit_without(f, s, n, ports, n);
}

int cost_fit(struct cost_fit *f, struct cost_sample *s, size_t n, unsigned ports)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].cycles <= 0 || s[i].port >= ports)
			return -EINVAL;
	fit_clock(&f->model, s, n);
	if (fit_cached(f, s, n, ports))
		return -EINVAL;
	judge(f, s, n);
	leave_one_out(f, s, n, ports);
	return 0;
}
