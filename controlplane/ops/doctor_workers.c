#include "controlplane/ops/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool doctor_busy(const struct doctor *d)
{
	return d->conf->poll == DP_POLL_BUSY;
}

int doctor_daemon(const struct doctor *d, const char *name)
{
	char comm[32];
	long long pid;

	if (doctor_number(d, &pid, "%s/%s.pid", d->rundir, name) || pid <= 1 ||
	    doctor_line(d, comm, sizeof(comm), "/proc/%lld/comm", pid) ||
	    strncmp(comm, name, 15) != 0) // the kernel keeps 15
		return 0;
	return (int)pid;
}

/* DPDK calls the thread of lcore n rte-worker-n; lcore 0 is control, and worker w is lcore w + 1
 * (dataplane/eal.c). */
static void thread(const char *tid, void *arg)
{
	struct doctor *d = arg;
	char comm[32], path[64], text[256];
	const char *at;
	cpu_set_t set;
	int w;

	if (doctor_line(d, comm, sizeof(comm), "/proc/%d/task/%s/comm", d->pid, tid) ||
	    !(at = strstr(comm, "-worker-")))
		return;
	w = atoi(at + strlen("-worker-")) - 1;
	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", d->pid, tid);
	if (w < 0 || w >= SH_MAX_WORKERS || (unsigned)w >= d->workers ||
	    doctor_field(d, text, sizeof(text), path, "Cpus_allowed_list") ||
	    doctor_parse_cpus(text, &set) || CPU_COUNT(&set) != 1)
		return;
	doctor_parse_order(text, &d->cpu[w], 1);
	d->from_threads = true;
}

/* As dataplane/eal.c chooses them. */
static void choose(struct doctor *d)
{
	int all[DOCTOR_CPUS];
	unsigned have = 0, use;

	if (strcmp(d->conf->lcores, "auto") != 0) {
		d->cpus_listed = doctor_parse_order(d->conf->lcores, d->cpu, d->workers);
		return;
	}
	for (int c = DOCTOR_CPUS - 1; c >= 0; c--)
		if (CPU_ISSET(c, &d->allowed))
			all[have++] = c;
	use = have > 1 && d->workers < have ? have - 1 : have;
	for (unsigned w = 0; use && w < d->workers; w++)
		d->cpu[w] = all[w % use];
	d->cpus_listed = d->workers;
}

void doctor_find_workers(struct doctor *d)
{
	char text[1024];

	d->workers = d->conf->workers < SH_MAX_WORKERS ? d->conf->workers : SH_MAX_WORKERS;
	d->from_threads = false;
	d->cpus_listed = d->workers;
	for (unsigned w = 0; w < SH_MAX_WORKERS; w++)
		d->cpu[w] = -1;
	CPU_ZERO(&d->worker);
	if (doctor_cpus(d, &d->online, "/sys/devices/system/cpu/online"))
		CPU_ZERO(&d->online);
	if (doctor_cpus(d, &d->isolated, "/sys/devices/system/cpu/isolated"))
		CPU_ZERO(&d->isolated);
	if (doctor_field(d, text, sizeof(text), "/proc/self/status", "Cpus_allowed_list") ||
	    doctor_parse_cpus(text, &d->allowed))
		d->allowed = d->online;
	d->pid = doctor_daemon(d, "callstack-dataplane");
	if (d->pid)
		doctor_entries(d, thread, d, "/proc/%d/task", d->pid);
	if (!d->from_threads)
		choose(d);
	for (unsigned w = 0; w < d->workers; w++)
		if (d->cpu[w] >= 0)
			CPU_SET(d->cpu[w], &d->worker);
}

const char *doctor_suggest(const struct doctor *d, int node, char *buf, size_t size)
{
	cpu_set_t in, left = d->online, pick, siblings;
	unsigned n = 0, spare;

	if (node >= 0 && !doctor_cpus(d, &in, "/sys/devices/system/node/node%d/cpulist", node))
		CPU_AND(&left, &left, &in);
	CPU_AND(&left, &left, &d->allowed);
	CPU_ZERO(&pick);
	for (int c = DOCTOR_CPUS - 1; c >= 0 && n < d->workers; c--) {
		if (!CPU_ISSET(c, &left))
			continue;
		CPU_SET(c, &pick);
		n++;
		if (doctor_cpus(d, &siblings,
		                "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", c))
			CPU_ZERO(&siblings);
		for (int s = 0; s < DOCTOR_CPUS; s++)
			if (CPU_ISSET(s, &siblings))
				CPU_CLR(s, &left);
	}
	CPU_XOR(&in, &d->allowed, &pick);
	spare = (unsigned)CPU_COUNT(&in);
	buf[0] = '\0';
	return n < d->workers || !spare ? buf : doctor_cpu_text(buf, size, &pick);
}

/* Listed CPUs that the dataplane will refuse. */
static bool refused(struct doctor *d)
{
	char all[256];
	bool bad = false;

	if (d->cpus_listed < d->workers) {
		doctor_say(d, DOCTOR_PROBLEM, "lcores: %s lists %u CPUs for %u workers",
		           d->conf->lcores, d->cpus_listed, d->workers);
		doctor_why(d, "the dataplane does not start");
		doctor_fix(d, "conf/callstack up --set workers=%u",
		           d->cpus_listed ? d->cpus_listed : 1);
		return true;
	}
	for (unsigned w = 0; w < d->workers && !d->from_threads; w++) {
		int c = d->cpu[w];

		if (c < 0 || (CPU_ISSET(c, &d->online) && CPU_ISSET(c, &d->allowed)))
			continue;
		bad = true;
		if (!CPU_ISSET(c, &d->online)) {
			doctor_say(d, DOCTOR_PROBLEM, "worker %u: CPU %d is not online (%s are)", w,
			           c, doctor_cpu_text(all, sizeof(all), &d->online));
			doctor_why(d, "the dataplane does not start");
			doctor_fix(d, "conf/callstack up --set lcores=auto");
			continue;
		}
		doctor_say(d, DOCTOR_PROBLEM, "worker %u: CPU %d is not among those allowed here",
		           w, c);
		doctor_why(d, "the dataplane takes only CPUs of its affinity mask, and does not "
		              "start; with isolcpus no program has the isolated ones in its mask "
		              "unless it is started so");
		doctor_fix(d, "taskset -c %s conf/callstack up",
		           doctor_cpu_text(all, sizeof(all), &d->online));
	}
	return bad;
}

void doctor_check_workers(struct doctor *d)
{
	unsigned distinct = (unsigned)CPU_COUNT(&d->worker);
	unsigned have = (unsigned)CPU_COUNT(&d->allowed);
	unsigned most = have > 1 ? have - 1 : 1;
	cpu_set_t rest;
	char text[256];

	if (!CPU_COUNT(&d->online)) {
		doctor_say(d, DOCTOR_WARNING, "/sys/devices/system/cpu/online cannot be read");
		doctor_why(d, "nothing can be said of CPUs without it");
		doctor_fix(d, "mount -t sysfs sysfs /sys");
		return;
	}
	if (refused(d))
		return;
	doctor_cpu_text(text, sizeof(text), &d->worker);
	CPU_AND(&rest, &d->allowed, &d->worker);
	CPU_XOR(&rest, &d->allowed, &rest);
	if (distinct < d->workers) {
		doctor_say(d, doctor_busy(d) ? DOCTOR_PROBLEM : DOCTOR_WARNING,
		           "%u workers on %u CPUs (%s)", d->workers, distinct, text);
		doctor_fix(d, "conf/callstack up --set workers=%u --set lcores=auto", most);
	} else if (!CPU_COUNT(&rest)) {
		doctor_say(d, doctor_busy(d) ? DOCTOR_WARNING : DOCTOR_ADVICE,
		           "%u workers take all CPUs (%s): none is left for the control thread, the "
		           "daemon and interrupts",
		           d->workers, text);
		if (have > 1)
			doctor_fix(d, "conf/callstack up --set workers=%u --set lcores=auto", most);
		else
			doctor_fix(d, "give this machine a second CPU");
	} else {
		doctor_say(d, DOCTOR_OK, "workers: %u, on CPU %s%s", d->workers, text,
		           d->from_threads ? " (as they run)" : "");
	}
}

void doctor_check_poll(struct doctor *d)
{
	cpu_set_t both;
	char text[256];

	CPU_AND(&both, &d->worker, &d->isolated);
	if (doctor_busy(d) && CPU_COUNT(&d->allowed) == 1) {
		doctor_say(d, DOCTOR_PROBLEM, "poll: busy on a host with one CPU");
		doctor_why(d, "the worker would take all of it and leave the daemon what the "
		              "scheduler grants");
		doctor_fix(d, "conf/callstack up --set poll=adaptive");
	} else if (!doctor_busy(d) && CPU_COUNT(&d->worker) && CPU_EQUAL(&both, &d->worker)) {
		doctor_say(d, DOCTOR_ADVICE, "poll: adaptive on isolated CPU %s",
		           doctor_cpu_text(text, sizeof(text), &d->worker));
		doctor_why(d, "nothing else can use these CPUs: sleeping on them saves energy and "
		              "costs up to poll_sleep (%u µs) of latency",
		           d->conf->poll_sleep);
		doctor_fix(d, "conf/callstack up --set poll=busy");
	} else if (!doctor_busy(d) && d->conf->poll_sleep > 2000) {
		doctor_say(d, DOCTOR_ADVICE, "poll: adaptive, asleep for up to %u µs",
		           d->conf->poll_sleep);
		doctor_why(d, "a worker without a descriptor to wake it sees a packet only after "
		              "its sleep");
		doctor_fix(d, "conf/callstack up --set poll_sleep=500");
	} else {
		doctor_say(d, DOCTOR_OK, "poll: %s", doctor_busy(d) ? "busy" : "adaptive");
	}
}
