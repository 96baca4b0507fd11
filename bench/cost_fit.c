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
	PORTS, // PORT_IN, PORT_OUT, PORT_OUT_BYTE of each but the first
	UNKNOWNS = PORTS + 3 * (COST_PORTS_MAX - 1),
};

struct problem {
	double ata[UNKNOWNS][UNKNOWNS], atb[UNKNOWNS], x[UNKNOWNS];
	bool used[UNKNOWNS];
};

static double transports(const struct cost_sample *s)
{
	return s->subs + s->subs / s->fanout;
}

/* What transports cost a second is seen in nodes of their own, so it need not be told from the rest
 * by its growth, which looks like that of cache misses: the share of time that these nodes take,
 * over the number of transports. */
static double fit_endpoint(const struct cost_sample *s, size_t n, double hz)
{
	double num = 0, den = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i].held_out)
			continue;
		num += s[i].timers / s[i].cycles * transports(&s[i]);
		den += transports(&s[i]) * transports(&s[i]);
	}
	return den > 0 ? hz * num / den : 0;
}

/* Of a sample's cycles what packets cost. */
static double by_packets(const struct cost_fit *f, const struct cost_sample *s)
{
	return s->cycles * fmax(0.05, 1 - transports(s) * f->model.endpoint / f->model.tsc_hz);
}

static void row_of(const struct cost_sample *s, double row[UNKNOWNS])
{
	unsigned c = 4 * s->cipher;

	memset(row, 0, UNKNOWNS * sizeof(*row));
	row[c + IN] = 1 / s->fanout;
	row[c + IN_BYTE] = s->payload / s->fanout;
	row[c + OUT] = 1;
	row[c + OUT_BYTE] = s->payload;
	if (s->subs > SH_COST_CACHED)
		row[CACHE] = log2(s->subs / SH_COST_CACHED);
	if (s->subs / s->fanout > SH_COST_CACHED_IN)
		row[CACHE_IN] = log2(s->subs / s->fanout / SH_COST_CACHED_IN) / s->fanout;
	if (s->port) {
		unsigned p = PORTS + 3 * (s->port - 1);

		row[p] = 1 / s->fanout;
		row[p + 1] = 1;
		row[p + 2] = s->payload;
	}
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

static void spread(struct cost_fit *f, const struct problem *p, unsigned ports)
{
	for (unsigned c = 0; c < SH_COST_CIPHER_COUNT; c++)
		f->model.cipher[c] =
		    (struct sh_cost_cipher_coef){p->x[4 * c + IN], p->x[4 * c + IN_BYTE],
		                                 p->x[4 * c + OUT], p->x[4 * c + OUT_BYTE]};
	f->model.cache = p->x[CACHE];
	f->model.cache_in = p->x[CACHE_IN];
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
	struct sh_cost_load load = {.endpoints = s->subs + s->subs / s->fanout,
	                            .subs = s->subs,
	                            .videos = s->subs / s->fanout};
	struct sh_cost_model m = f->model;
	double fixed, flows;

	/* y = flows + y · transports · endpoint / hz, as while it runs nothing else does */
	m.port = f->port[s->port];
	fixed = load.endpoints * m.endpoint / m.tsc_hz;
	m.endpoint = 0;
	sh_cost_flow(&load.in[s->cipher], 1 / s->fanout, s->payload);
	sh_cost_flow(&load.out[s->cipher], 1, s->payload);
	flows = sh_cost_cycles(&m, &load);
	return fixed < 0.95 ? flows / (1 - fixed) : flows * 20;
}

static void judge(struct cost_fit *f, struct cost_sample *s, size_t n)
{
	double sum = 0, held = 0;

	f->fitted = f->held = 0;
	f->worst = f->held_worst = 0;
	for (size_t i = 0; i < n; i++) {
		double e;

		s[i].predicted = cost_sample_cycles(f, &s[i]);
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

int cost_fit(struct cost_fit *f, struct cost_sample *s, size_t n, unsigned ports)
{
	struct problem p = {0};
	unsigned used = 0, rows = 0;

	f->model.endpoint = fit_endpoint(s, n, f->model.tsc_hz);

	for (size_t i = 0; i < n; i++) {
		double row[UNKNOWNS], y;

		if (s[i].cycles <= 0 || s[i].fanout < 1 || s[i].port >= ports)
			return -EINVAL;
		if (s[i].held_out)
			continue;
		row_of(&s[i], row);
		y = by_packets(f, &s[i]);
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
	judge(f, s, n);
	return 0;
}
