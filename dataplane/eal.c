#include "dataplane/eal.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include "dataplane/worker.h"
#include "dataplane/port.h"
#include "shared/log.h"

#define SUBSYS "main"

enum {
	ARGS = 40,
	ARG = 160,
	CPUS_MAX = 1024,
	MEMORY_MB = 96,    // rings, graphs and drivers besides the packet buffers
	MBUF_BYTES = 2432, // one with header and private area
	PAGE_BYTES = 4096, // plain memory: none crosses a page, so each takes one
};

struct args {
	int n;
	char *v[ARGS + 1];
	char text[ARGS][ARG];
};

static void __attribute__((format(printf, 2, 3))) add(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == ARGS)
		return;
	va_start(ap, fmt);
	vsnprintf(a->text[a->n], ARG, fmt, ap);
	va_end(ap);
	a->v[a->n] = a->text[a->n];
	a->v[++a->n] = NULL;
}

/* ---- CPUs ---- */

/* "1-2,4" in the order that it was written; returns how many. */
static unsigned parse_cpus(const char *text, unsigned *cpu, unsigned most)
{
	unsigned n = 0;

	while (*text) {
		char *end;
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && n < most; a++)
			cpu[n++] = (unsigned)a;
		if (*end != ',')
			break;
		text = end + 1;
	}
	return n;
}

/* From the highest allowed one downwards, one each, leaving one for the control thread where there
 * is one. More workers than CPUs share: that is for tests and small machines, where an idle worker
 * sleeps. Returns how many were chosen. */
static unsigned choose_cpus(const cpu_set_t *allowed, unsigned workers, unsigned *cpu)
{
	unsigned all[CPUS_MAX], have = 0, use;

	for (int c = CPU_SETSIZE - 1; c >= 0; c--)
		if (CPU_ISSET(c, allowed))
			all[have++] = (unsigned)c;
	use = have > 1 && workers < have ? have - 1 : have;
	for (unsigned i = 0; i < workers; i++)
		cpu[i] = all[i % use];
	if (workers >= have)
		sh_warn(SUBSYS, "%u workers and the control thread share %u CPUs", workers, have);
	return workers;
}

static int lcores(struct args *a, const struct dp_conf *conf)
{
	unsigned cpu[CPUS_MAX], n;
	char list[ARG], rest[ARG] = "";
	size_t at = 0;
	cpu_set_t allowed, taken, left;

	CPU_ZERO(&taken);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	n = strcmp(conf->lcores, "auto") == 0 ? choose_cpus(&allowed, conf->workers, cpu)
	                                      : parse_cpus(conf->lcores, cpu, CPUS_MAX);
	if (n < conf->workers) {
		sh_error(SUBSYS, "%u workers need as many CPUs, %u are there (lcores: %s)",
		         conf->workers, n, conf->lcores);
		return -EINVAL;
	}
	for (unsigned i = 0; i < conf->workers; i++) {
		if (cpu[i] >= CPU_SETSIZE || !CPU_ISSET(cpu[i], &allowed)) {
			sh_error(SUBSYS, "lcores: CPU %u is not ours to use", cpu[i]);
			return -EINVAL;
		}
		CPU_SET(cpu[i], &taken);
	}
	/* Control runs where no worker does, if there is such a place. */
	CPU_XOR(&left, &allowed, &taken);
	if (CPU_COUNT(&left) == 0)
		left = allowed;
	for (int c = 0, k = 0; c < CPU_SETSIZE && strlen(rest) < ARG / 2; c++)
		if (CPU_ISSET(c, &left))
			snprintf(rest + strlen(rest), ARG - strlen(rest), "%s%d", k++ ? "," : "",
			         c);
	at = (size_t)snprintf(list, sizeof(list), "0@(%s)", rest);
	for (unsigned i = 0; i < conf->workers && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, ",%u@%u", i + 1, cpu[i]);
	add(a, "--lcores=%s", list);
	add(a, "--main-lcore=0"); // not left to the order: it never forwards
	sh_info(SUBSYS, "lcores %s: 0 is control, worker w is w+1", list);
	return 0;
}

/* ---- memory ---- */

static unsigned long free_huge_mb(void)
{
	unsigned long pages = 0, kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "HugePages_Free: %lu", &pages);
		sscanf(line, "Hugepagesize: %lu", &kb);
	}
	if (f)
		fclose(f);
	return pages * kb / 1024;
}

static int memory(struct args *a, const struct dp_conf *conf)
{
	unsigned long need =
	    MEMORY_MB + (unsigned long)conf->mbufs * MBUF_BYTES / 1000000 + conf->workers * 8;
	unsigned long have = free_huge_mb();
	bool huge = conf->hugepages == DP_HUGEPAGES_ON ||
	            (conf->hugepages == DP_HUGEPAGES_AUTO && have >= need);

	if (conf->hugepages == DP_HUGEPAGES_ON && have < need) {
		sh_error(SUBSYS, "hugepages: on, and %lu MB are free of %lu needed", have, need);
		return -ENOMEM;
	}
	/* Either way no files, nothing shared, nothing left behind. */
	if (huge) {
		add(a, "--in-memory");
	} else {
		need += (unsigned long)conf->mbufs * (PAGE_BYTES - MBUF_BYTES) / 1000000;
		add(a, "--no-huge");
		add(a, "--no-shconf");
		add(a, "-m");
		add(a, "%lu", need);
	}
	sh_info(
	    SUBSYS, "memory: %s, %lu MB for packets%s", huge ? "huge pages" : "plain pages", need,
	    huge || conf->hugepages == DP_HUGEPAGES_OFF ? "" : " (too few huge pages are free)");
	return 0;
}

/* ---- devices ---- */

static bool is_pci_address(const char *s)
{
	unsigned a, b, c, d;

	return sscanf(s, "%x:%x:%x.%x", &a, &b, &c, &d) == 4;
}

static void devices(struct args *a, const struct dp_conf *conf)
{
	unsigned nics = 0;

	for (uint32_t i = 0; i < conf->ports.n; i++) {
		const struct dp_conf_port *p = &conf->ports.v[i];

		if (p->kind != DP_PORT_PCI || !is_pci_address(p->pci))
			continue;
		add(a, "-a");
		add(a, "%s", p->pci);
		nics++;
	}
	if (!nics) {
		add(a, "--no-pci");
		add(a, "--iova-mode=va"); // one stretch of memory is what a umem must be
	}
}

int dp_eal_init(const struct dp_conf *conf)
{
	static struct args a; // EAL keeps pointers into it
	int err;

	memset(&a, 0, sizeof(a));
	add(&a, "callstack-dataplane");
	err = lcores(&a, conf);
	if (!err)
		err = memory(&a, conf);
	if (err)
		return err;
	devices(&a, conf);
	add(&a, "--file-prefix=callstack-%d", (int)getpid());
	add(&a, "--no-telemetry");
	add(&a, "--log-level=%s", sh_log_on(SH_LOG_DEBUG, "dpdk") ? "*:info" : "*:warning");
	if (rte_eal_init(a.n, a.v) < 0) {
		sh_error(SUBSYS, "DPDK: %s", rte_strerror(rte_errno));
		return rte_errno ? -rte_errno : -EIO;
	}
	rmdir(rte_eal_get_runtime_dir()); // it makes one, and puts nothing into it
	return 0;
}
