#include "controlplane/ops/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 64 };

/* ---- huge pages ---- */

/* As dataplane/eal.c counts. */
static unsigned long needed_mb(const struct dp_conf *c)
{
	enum { BESIDES_MB = 96, MBUF_BYTES = 2432, WORKER_MB = 8 };

	return BESIDES_MB + (unsigned long)c->mbufs * MBUF_BYTES / 1000000 +
	       (unsigned long)c->workers * WORKER_MB;
}

static unsigned long meminfo(const struct doctor *d, const char *key)
{
	char text[64];

	return doctor_field(d, text, sizeof(text), "/proc/meminfo", key) ? 0
	                                                                  : strtoul(text, NULL, 10);
}

/* What the running one has of them, kB. */
static unsigned long in_use(const struct doctor *d)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/status", d->pid);
	if (!d->pid || doctor_field(d, text, sizeof(text), path, "HugetlbPages"))
		return 0;
	return strtoul(text, NULL, 10);
}

static void get_pages(struct doctor *d, unsigned long pages, unsigned long page_kb)
{
	int node = d->conf->ports.n ? doctor_port_node(d, &d->conf->ports.v[0]) : -1;

	if (node >= 0)
		doctor_fix(d,
		           "echo %lu > /sys/devices/system/node/node%d/hugepages/hugepages-%lukB/"
		           "nr_hugepages",
		           pages, node, page_kb);
	else
		doctor_fix(d, "sysctl -w vm.nr_hugepages=%lu", pages);
	doctor_fix(d, "echo vm.nr_hugepages=%lu > /etc/sysctl.d/60-callstack-pages.conf", pages);
}

void doctor_check_hugepages(struct doctor *d)
{
	unsigned long page_kb = meminfo(d, "Hugepagesize"), need = needed_mb(d->conf);
	unsigned long total = meminfo(d, "HugePages_Total"), left = meminfo(d, "HugePages_Free");
	unsigned long have = left * page_kb / 1024, mine = in_use(d), want;

	if (mine) {
		doctor_say(d, DOCTOR_OK, "the dataplane uses %lu MB of huge pages", mine / 1024);
		return;
	}
	if (d->conf->hugepages == DP_HUGEPAGES_OFF) {
		doctor_say(d, DOCTOR_ADVICE, "hugepages: off");
		doctor_fix(d, "conf/callstack up --set hugepages=auto");
		return;
	}
	if (!page_kb) {
		doctor_say(d, d->conf->hugepages == DP_HUGEPAGES_ON ? DOCTOR_PROBLEM : DOCTOR_ADVICE,
		           "this kernel has no huge pages");
		doctor_fix(d, "conf/callstack up --set hugepages=auto");
		return;
	}
	if (have >= need && !d->pid) {
		doctor_say(d, DOCTOR_OK, "%lu MB of huge pages are free, %lu MB needed", have, need);
		return;
	}
	want = total - left + (need * 1024 + page_kb - 1) / page_kb;
	if (d->pid && have >= need) {
		doctor_say(d, DOCTOR_ADVICE,
		           "the dataplane runs in plain pages; %lu MB of huge ones are free", have);
		doctor_fix(d, "conf/callstack down && conf/callstack up");
		return;
	}
	doctor_say(d, d->conf->hugepages == DP_HUGEPAGES_ON ? DOCTOR_PROBLEM : DOCTOR_ADVICE,
	           "%lu MB of huge pages are free, %lu MB needed (mbufs: %u)", have, need,
	           d->conf->mbufs);
	if (d->conf->hugepages == DP_HUGEPAGES_ON)
		doctor_why(d, "hugepages: on, so the dataplane does not start");
	get_pages(d, want, page_kb);
}

/* ---- NUMA ---- */

static unsigned nodes(const struct doctor *d, cpu_set_t cpus[NODES])
{
	cpu_set_t online;
	unsigned n = 0;

	if (doctor_cpus(d, &online, "/sys/devices/system/node/online"))
		return 0;
	for (unsigned i = 0; i < NODES; i++) {
		if (!CPU_ISSET((int)i, &online))
			continue;
		if (!doctor_cpus(d, &cpus[i], "/sys/devices/system/node/node%u/cpulist", i))
			n++;
	}
	return n;
}

static int node_of(cpu_set_t cpus[NODES], int cpu)
{
	for (int i = 0; i < NODES; i++)
		if (cpu >= 0 && CPU_ISSET(cpu, &cpus[i]))
			return i;
	return -1;
}

static void move_workers(struct doctor *d, int node)
{
	char list[256];

	doctor_suggest(d, node, list, sizeof(list));
	if (list[0])
		doctor_fix(d, "conf/callstack up --set lcores=%s", list);
	else
		doctor_fix(d, "conf/callstack up --set workers=%u",
		           d->workers > 1 ? d->workers / 2 : 1);
}

static void pages_near(struct doctor *d, int node)
{
	unsigned long page_kb = meminfo(d, "Hugepagesize"), need = needed_mb(d->conf);
	long long left;

	if (d->pid || !meminfo(d, "HugePages_Total") ||
	    doctor_number(d, &left,
	                  "/sys/devices/system/node/node%d/hugepages/hugepages-%lukB/free_hugepages",
	                  node, page_kb))
		return;
	if ((unsigned long)left * page_kb / 1024 >= need)
		return;
	doctor_say(d, DOCTOR_WARNING, "node %d, the workers', has %lld free huge pages of %lu kB",
	           node, left, page_kb);
	doctor_fix(d,
	           "echo %lu > /sys/devices/system/node/node%d/hugepages/hugepages-%lukB/"
	           "nr_hugepages",
	           (need * 1024 + page_kb - 1) / page_kb, node, page_kb);
}

void doctor_check_numa(struct doctor *d)
{
	static cpu_set_t cpus[NODES];
	int home = -1;
	bool split = false, far = false;
	unsigned n;

	memset(cpus, 0, sizeof(cpus));
	n = nodes(d, cpus);
	if (n < 2) {
		doctor_say(d, DOCTOR_OK, "one node");
		return;
	}
	for (unsigned w = 0; w < d->workers; w++) {
		int at = node_of(cpus, d->cpu[w]);

		split |= w && at != home;
		home = w ? home : at;
	}
	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];
		int node = doctor_port_node(d, p);

		if (node < 0 || (node == home && !split))
			continue;
		far = true;
		doctor_say(d, DOCTOR_WARNING, "%s is on node %d, %s",
		           p->interface[0] ? p->interface : p->pci, node,
		           split ? "workers are on more than one node"
		                 : "the workers are on another");
		move_workers(d, node);
	}
	if (split && !far) {
		doctor_say(d, DOCTOR_ADVICE, "workers are on more than one node");
		move_workers(d, home);
	}
	if (!split && !far)
		doctor_say(d, DOCTOR_OK, "workers and ports are on node %d", home);
	if (home >= 0)
		pages_near(d, home);
}

/* ---- limits ---- */

/* Soft limit; -1 unlimited, -2 not known. */
static long long limit(const struct doctor *d, int pid, const char *name)
{
	char path[512], line[256], who[16] = "self";
	long long value = -2;
	FILE *f;

	if (pid)
		snprintf(who, sizeof(who), "%d", pid);
	if (doctor_path(d, path, sizeof(path), "/proc/%s/limits", who))
		return -2;
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name))) {
			const char *at = line + strlen(name);

			at += strspn(at, " ");
			value = !strncmp(at, "unlimited", 9) ? -1 : atoll(at);
		}
	if (f)
		fclose(f);
	return value;
}

/* The limit is not for those with CAP_IPC_LOCK. */
static bool may_lock(const struct doctor *d)
{
	enum { IPC_LOCK = 14 };
	char text[64];

	return !doctor_field(d, text, sizeof(text), "/proc/self/status", "CapEff") &&
	       strtoull(text, NULL, 16) >> IPC_LOCK & 1;
}

void doctor_check_limits(struct doctor *d)
{
	enum { FILES = 65536 };
	long long need = (long long)needed_mb(d->conf) << 20, n;
	int daemon = doctor_daemon(d, "callstackd");
	bool well = true;

	/* One that runs has its memory pinned already. */
	n = d->pid || may_lock(d) ? -1 : limit(d, 0, "Max locked memory");
	if (n >= 0 && n < need) {
		well = false;
		doctor_say(d, DOCTOR_ADVICE, "what is started here may lock %lld kB of memory, "
		           "%lld MB needed", n / 1024, need >> 20);
		doctor_why(d, "AF_XDP pins its packet memory, and without CAP_IPC_LOCK that counts "
		              "against the limit: the port may not open");
		doctor_fix(d, "ulimit -l unlimited # in a unit: LimitMEMLOCK=infinity");
	}
	n = limit(d, daemon, "Max open files");
	if (n >= 0 && n < FILES) {
		well = false;
		doctor_say(d, daemon ? DOCTOR_WARNING : DOCTOR_ADVICE,
		           "%s may open %lld files", daemon ? "callstackd" : "what is started here",
		           n);
		if (!daemon)
			doctor_why(d, "each client is a descriptor; conf/callstack raises the limit "
			              "itself, a service manager has to be told");
		doctor_fix(d, "ulimit -n %d # in a unit: LimitNOFILE=%d", FILES, FILES);
	}
	if (well)
		doctor_say(d, DOCTOR_OK, "locked memory and open files are enough");
}
