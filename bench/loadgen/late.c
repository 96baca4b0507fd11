#include "bench/loadgen/late.h"
#include <string.h>

static void base(struct lg_late *l, uint64_t now, uint64_t cpu_ns)
{
	l->base_ns = now;
	l->base_cpu_ns = cpu_ns;
	l->slept_ns = 0;
}

void lg_late_start(struct lg_late *l, uint64_t now, uint64_t (*cpu)(void))
{
	memset(l, 0, sizeof(*l));
	l->at_ns = now;
	base(l, now, cpu());
}

static void add(struct lg_late_row *r, uint64_t ns)
{
	if (ns > r->longest_ns)
		r->longest_ns = ns;
	if (ns > LG_LATE_NS) {
		r->over++;
		r->over_ns += ns;
	}
}

/* Whether the thread did not run for most of the turn of `ns` that ends now. */
static bool was_off(const struct lg_late *l, uint64_t ns, uint64_t now, uint64_t cpu_ns)
{
	uint64_t passed = now - l->base_ns, ran = cpu_ns - l->base_cpu_ns + l->slept_ns;

	return passed > ran && passed - ran > ns / 2;
}

void lg_late_turn(struct lg_late *l, enum lg_cause c, uint64_t now, uint64_t (*cpu)(void))
{
	uint64_t ns = now - l->at_ns;

	if (ns > LG_LATE_NS || now - l->base_ns > LG_LATE_BASE_NS) {
		uint64_t cpu_ns = cpu();

		if (ns > LG_LATE_NS && was_off(l, ns, now, cpu_ns))
			c = LG_OFF_CPU;
		base(l, now, cpu_ns);
	}
	add(&l->row[c], ns);
	l->at_ns = now;
}

void lg_late_slept(struct lg_late *l, uint64_t asked_ns, uint64_t now)
{
	uint64_t ns = now - l->at_ns;

	l->slept_ns += ns;
	if (ns > asked_ns)
		add(&l->row[LG_OFF_CPU], ns - asked_ns);
	l->at_ns = now;
}

void lg_late_restart(struct lg_late *l)
{
	memset(l->row, 0, sizeof(l->row));
	l->send_ns = l->wait_ns = 0;
}
