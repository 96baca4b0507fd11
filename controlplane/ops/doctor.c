/* Runs the checks of doctor.def over one host (see doctor.h). */
#include "controlplane/ops/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct doctor_check doctor_checks[] = {
#define CHECK(f, name, why) {name, why},
#include "controlplane/ops/doctor.def"
#undef CHECK
};
const unsigned doctor_check_count = sizeof(doctor_checks) / sizeof(doctor_checks[0]);

static void (*const run[])(struct doctor *) = {
#define CHECK(f, name, why) doctor_check_##f,
#include "controlplane/ops/doctor.def"
#undef CHECK
};

void doctor_run(struct doctor *d)
{
	d->n = 0;
	doctor_find_workers(d);
	for (unsigned i = 0; i < doctor_check_count; i++) {
		d->check = &doctor_checks[i];
		run[i](d);
	}
}

enum doctor_level doctor_worst(const struct doctor *d)
{
	enum doctor_level worst = DOCTOR_OK;

	for (unsigned i = 0; i < d->n; i++)
		if (d->found[i].level > worst)
			worst = d->found[i].level;
	return worst;
}

const char *doctor_level_word(enum doctor_level level)
{
#define X(sym, word) word,
	static const char *const words[] = {DOCTOR_LEVELS(X)};
#undef X

	return words[level];
}

/* When the table is full the last one is replaced. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *fmt, ...)
{
	struct doctor_finding *f;
	va_list ap;

	if (d->n < DOCTOR_FINDINGS)
		d->n++;
	f = &d->found[d->n - 1];
	*f = (struct doctor_finding){.check = d->check->name, .level = level};
	va_start(ap, fmt);
	vsnprintf(f->seen, sizeof(f->seen), fmt, ap);
	va_end(ap);
	if (level != DOCTOR_OK)
		snprintf(f->why, sizeof(f->why), "%s", d->check->why);
}

void doctor_why(struct doctor *d, const char *fmt, ...)
{
	struct doctor_finding *f = &d->found[d->n - 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
}

/* Half a command is worse than none. */
void doctor_fix(struct doctor *d, const char *fmt, ...)
{
	struct doctor_finding *f = &d->found[d->n - 1];
	size_t at = strlen(f->fix), room = sizeof(f->fix) - at;
	va_list ap;
	int n;

	if (at && room > 1) {
		f->fix[at] = '\n';
		f->fix[at + 1] = '\0';
		room--;
	}
	va_start(ap, fmt);
	n = vsnprintf(f->fix + sizeof(f->fix) - room, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		f->fix[at] = '\0';
}
