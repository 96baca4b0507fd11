#include "controlplane/ops/doctor.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IRQS = 256 };

struct irqs {
	unsigned n;
	int v[IRQS];
};

static void add(struct irqs *s, const char *text)
{
	char *end;
	long irq = strtol(text, &end, 10);

	if (end != text && !*end && irq > 0 && s->n < IRQS)
		s->v[s->n++] = (int)irq;
}

static void msi(const char *name, void *arg)
{
	add(arg, name);
}

static bool names(const char *line, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = line; n && (p = strstr(p, word)); p += n)
		if ((p == line || !isalnum((unsigned char)p[-1])) && !isalnum((unsigned char)p[n]))
			return true;
	return false;
}

/* Lines of /proc/interrupts that name the interface or its device (virtio2-input.0); those of a
 * device's configuration are not for packets. */
static void by_name(const struct doctor *d, struct irqs *s, const char *ifname)
{
	char path[512], device[64] = "", *line = NULL;
	size_t cap = 0;
	FILE *f;

	doctor_link(d, device, sizeof(device), "/sys/class/net/%s/device", ifname);
	if (doctor_path(d, path, sizeof(path), "/proc/interrupts"))
		return;
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0) {
		char *colon = strchr(line, ':');

		if (!colon || strstr(colon, "-config") ||
		    !(names(colon, ifname) || names(colon, device)))
			continue;
		*colon = '\0';
		add(s, line + strspn(line, " "));
	}
	free(line);
	if (f)
		fclose(f);
}

static int irq_cpus(const struct doctor *d, cpu_set_t *out, int irq)
{
	if (!doctor_cpus(d, out, "/proc/irq/%d/effective_affinity_list", irq) && CPU_COUNT(out))
		return 0;
	return doctor_cpus(d, out, "/proc/irq/%d/smp_affinity_list", irq);
}

struct balance {
	const struct doctor *d;
	bool runs;
};

static void is_irqbalance(const char *name, void *arg)
{
	struct balance *b = arg;
	char comm[32];

	if (isdigit((unsigned char)name[0]) &&
	    !doctor_line(b->d, comm, sizeof(comm), "/proc/%s/comm", name) &&
	    !strcmp(comm, "irqbalance"))
		b->runs = true;
}

static void irqs_of(struct doctor *d, const char *ifname)
{
	struct balance b = {d, false};
	struct irqs s = {0};
	cpu_set_t cpus, rest, hit;
	char list[512] = "", text[256];
	unsigned n = 0;

	by_name(d, &s, ifname);
	if (!s.n)
		doctor_entries(d, msi, &s, "/sys/class/net/%s/device/msi_irqs", ifname);
	if (!s.n)
		return;
	CPU_ZERO(&hit);
	for (unsigned i = 0; i < s.n; i++) {
		if (irq_cpus(d, &cpus, s.v[i]))
			continue;
		CPU_AND(&cpus, &cpus, &d->worker);
		if (!CPU_COUNT(&cpus))
			continue;
		CPU_OR(&hit, &hit, &cpus);
		if (n++ < 64)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%d",
			         list[0] ? " " : "", s.v[i]);
	}
	CPU_AND(&rest, &d->online, &d->worker);
	CPU_XOR(&rest, &d->online, &rest);
	if (!n || !CPU_COUNT(&rest)) {
		doctor_say(d, DOCTOR_OK, n ? "%s: %u interrupts, and no CPU without a worker"
		                           : "%s: %u interrupts, none on a worker's CPU",
		           ifname, s.n);
		return;
	}
	doctor_say(d, doctor_busy(d) ? DOCTOR_WARNING : DOCTOR_ADVICE,
	           "%s: %u of %u interrupts are on worker CPU %s", ifname, n, s.n,
	           doctor_cpu_text(text, sizeof(text), &hit));
	doctor_entries(d, is_irqbalance, &b, "/proc");
	if (b.runs)
		doctor_fix(d,
		           "echo IRQBALANCE_BANNED_CPULIST=%s >> /etc/default/irqbalance && "
		           "systemctl restart irqbalance",
		           doctor_cpu_text(text, sizeof(text), &d->worker));
	doctor_fix(d, "for i in %s; do echo %s > /proc/irq/$i/smp_affinity_list; done", list,
	           doctor_cpu_text(text, sizeof(text), &rest));
}

void doctor_check_irq(struct doctor *d)
{
	for (uint32_t i = 0; i < d->conf->ports.n; i++)
		if (doctor_is_xdp(d, &d->conf->ports.v[i]) &&
		    strcmp(d->conf->ports.v[i].interface, "lo") != 0)
			irqs_of(d, d->conf->ports.v[i].interface);
}

struct steering {
	const struct doctor *d;
	const char *ifname;
	cpu_set_t cpus;
};

static void rps_cpus(const char *queue, void *arg)
{
	struct steering *s = arg;
	char text[1024];
	cpu_set_t cpus;

	if (strncmp(queue, "rx-", 3) != 0 ||
	    doctor_line(s->d, text, sizeof(text), "/sys/class/net/%s/queues/%s/rps_cpus", s->ifname,
	                queue))
		return;
	doctor_parse_mask(text, &cpus);
	CPU_OR(&s->cpus, &s->cpus, &cpus);
}

void doctor_check_rps(struct doctor *d)
{
	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		struct steering s = {.d = d, .ifname = d->conf->ports.v[i].interface};
		char text[256];

		if (!doctor_is_xdp(d, &d->conf->ports.v[i]))
			continue;
		doctor_entries(d, rps_cpus, &s, "/sys/class/net/%s/queues", s.ifname);
		CPU_AND(&s.cpus, &s.cpus, &d->worker);
		if (!CPU_COUNT(&s.cpus))
			continue;
		doctor_say(d, DOCTOR_ADVICE, "%s: rps_cpus has worker CPU %s", s.ifname,
		           doctor_cpu_text(text, sizeof(text), &s.cpus));
		doctor_fix(d, "for f in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo 0 > $f; done",
		           s.ifname);
	}
}
