#include "controlplane/ops/doctor.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { GROUP_MAX = 512, GROUP_PATH = GROUP_MAX + 64 };

#define CPU "/sys/devices/system/cpu"

/* "2 3", for a shell's `for`. */
static const char *spaced(char *buf, size_t size, const cpu_set_t *set)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int c = 0; c < DOCTOR_CPUS && at < size; c++)
		if (CPU_ISSET(c, set))
			at += (size_t)snprintf(buf + at, size - at, at ? " %d" : "%d", c);
	return buf;
}

/* ---- isolation ---- */

/* Path of the group in the unified hierarchy, or of its cpuset one of old; false: neither. */
static bool cpuset_path(const struct doctor *d, char *out, size_t size, bool *v2)
{
	char path[PATH_MAX], line[GROUP_MAX], who[16] = "self";
	FILE *f;

	if (d->pid)
		snprintf(who, sizeof(who), "%d", d->pid);
	if (doctor_path(d, path, sizeof(path), "/proc/%s/cgroup", who))
		return false;
	f = fopen(path, "re");
	out[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *old = strstr(line, ":cpuset:");

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3) && !out[0]) {
			snprintf(out, size, "/sys/fs/cgroup%s", line + 3);
			*v2 = true;
		} else if (old) {
			snprintf(out, size, "/sys/fs/cgroup/cpuset%s", old + 8);
			*v2 = false;
		}
	}
	if (f)
		fclose(f);
	return out[0];
}

static void isolate(struct doctor *d, const cpu_set_t *cpus)
{
	char list[256], all[256];

	doctor_cpu_text(list, sizeof(list), cpus);
	doctor_fix(d,
	           "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=managed_irq,domain,%s nohz_full=%s "
	           "rcu_nocbs=%s /' /etc/default/grub && update-grub && reboot",
	           list, list, list);
	doctor_fix(d, "taskset -c %s conf/callstack up --set lcores=%s",
	           doctor_cpu_text(all, sizeof(all), &d->online), list);
}

void doctor_check_isolation(struct doctor *d)
{
	cpu_set_t isolated = d->isolated, in, tickless, bare;
	char path[GROUP_PATH], text[256], list[256], part[64];
	bool v2;

	if (cpuset_path(d, path, sizeof(path), &v2) && v2 &&
	    !doctor_line(d, part, sizeof(part), "%s/cpuset.cpus.partition", path) &&
	    !strcmp(part, "isolated") && !doctor_cpus(d, &in, "%s/cpuset.cpus.effective", path))
		CPU_OR(&isolated, &isolated, &in);
	if (doctor_cpus(d, &tickless, CPU "/nohz_full"))
		CPU_ZERO(&tickless);
	CPU_AND(&in, &d->worker, &isolated);
	CPU_XOR(&bare, &d->worker, &in);
	doctor_cpu_text(list, sizeof(list), &bare);
	CPU_AND(&in, &isolated, &d->worker);
	if (CPU_COUNT(&isolated) && !CPU_COUNT(&in)) {
		doctor_say(d, DOCTOR_WARNING, "isolated: CPU %s; the workers run on CPU %s",
		           doctor_cpu_text(text, sizeof(text), &isolated), list);
		doctor_why(d, "isolated CPUs stay idle, as nothing is in their affinity mask by "
		              "itself, and the workers share theirs");
		doctor_cpu_text(list, sizeof(list), &d->online);
		doctor_fix(d, "taskset -c %s conf/callstack up --set lcores=%s", list, text);
		return;
	}
	if (!CPU_COUNT(&bare)) {
		CPU_AND(&in, &d->worker, &tickless);
		if (doctor_busy(d) && !CPU_EQUAL(&in, &d->worker)) {
			doctor_say(d, DOCTOR_ADVICE, "isolated, but with their tick: CPU %s",
			           doctor_cpu_text(text, sizeof(text), &d->worker));
			doctor_why(d, "the scheduler's tick interrupts a lone thread up to 1000 "
			              "times a second for nothing");
			isolate(d, &d->worker);
			return;
		}
		doctor_say(d, DOCTOR_OK, "isolated: CPU %s",
		           doctor_cpu_text(text, sizeof(text), &d->worker));
		return;
	}
	if (!doctor_busy(d) || CPU_COUNT(&d->online) <= CPU_COUNT(&d->worker)) {
		doctor_say(d, DOCTOR_OK, "on CPU %s, shared with other programs%s", list,
		           doctor_busy(d) ? "" : ", as poll: adaptive is for");
		return;
	}
	doctor_say(d, DOCTOR_WARNING, "workers poll without isolation on CPU %s", list);
	isolate(d, &d->worker);
}

void doctor_check_cpuset(struct doctor *d)
{
	char path[GROUP_PATH], text[256], all[256], quota[64];
	cpu_set_t mine;
	bool v2 = false;

	if (!cpuset_path(d, path, sizeof(path), &v2))
		return;
	if (v2 && !doctor_line(d, quota, sizeof(quota), "%s/cpu.max", path) &&
	    strncmp(quota, "max", 3) != 0 && quota[0]) {
		doctor_say(d, DOCTOR_WARNING, "%s/cpu.max is %s", path, quota);
		doctor_why(d, "a group over its quota stands still until its next period (100 ms "
		              "as a rule): that is a gap in every call");
		doctor_fix(d, "echo max > %s/cpu.max", path);
	}
	if (doctor_cpus(d, &mine, v2 ? "%s/cpuset.cpus.effective" : "%s/cpuset.cpus", path) ||
	    !CPU_COUNT(&mine))
		return;
	doctor_cpu_text(text, sizeof(text), &mine);
	doctor_cpu_text(all, sizeof(all), &d->online);
	CPU_AND(&mine, &mine, &d->worker);
	if (!CPU_EQUAL(&mine, &d->worker)) {
		doctor_say(d, DOCTOR_PROBLEM, "the group has CPU %s, the workers want others",
		           text);
		doctor_fix(d, "echo %s > %s/cpuset.cpus", all, path);
		return;
	}
	doctor_say(d, DOCTOR_OK, "the group has CPU %s of %s", text, all);
}

/* ---- SMT ---- */

void doctor_check_smt(struct doctor *d)
{
	cpu_set_t siblings, twins, idle, seen;
	char text[256], fix[256];

	CPU_ZERO(&twins);
	CPU_ZERO(&idle);
	CPU_ZERO(&seen);
	for (int c = 0; c < DOCTOR_CPUS; c++) {
		cpu_set_t ours;

		if (!CPU_ISSET(c, &d->worker) ||
		    doctor_cpus(d, &siblings, CPU "/cpu%d/topology/thread_siblings_list", c))
			continue;
		CPU_OR(&seen, &seen, &siblings);
		CPU_AND(&ours, &siblings, &d->worker);
		if (CPU_COUNT(&ours) > 1)
			CPU_OR(&twins, &twins, &ours);
		CPU_XOR(&ours, &siblings, &ours);
		CPU_AND(&ours, &ours, &d->online);
		CPU_OR(&idle, &idle, &ours);
	}
	if (!CPU_COUNT(&seen))
		return;
	if (CPU_COUNT(&twins)) {
		doctor_say(d, DOCTOR_WARNING, "workers share cores: CPU %s",
		           doctor_cpu_text(text, sizeof(text), &twins));
		doctor_suggest(d, -1, fix, sizeof(fix));
		if (fix[0])
			doctor_fix(d, "conf/callstack up --set lcores=%s", fix);
		else
			doctor_fix(d, "conf/callstack up --set workers=%u",
			           d->workers > 1 ? d->workers / 2 : 1);
	} else if (CPU_COUNT(&idle) && doctor_busy(d)) {
		doctor_say(d, DOCTOR_ADVICE, "on cores of workers: CPU %s",
		           doctor_cpu_text(text, sizeof(text), &idle));
		doctor_why(d, "whatever runs there takes up to half of the worker's core");
		doctor_fix(d, "for c in %s; do echo 0 > " CPU "/cpu$c/online; done",
		           spaced(fix, sizeof(fix), &idle));
	} else {
		doctor_say(d, DOCTOR_OK, CPU_COUNT(&idle) ? "no two workers share a core"
		                                          : "each worker has a core to itself");
	}
}

/* ---- clock rate and sleep ---- */

void doctor_check_governor(struct doctor *d)
{
	char text[64], was[64] = "", list[256];
	cpu_set_t slow, lazy;
	bool any = false;

	CPU_ZERO(&slow);
	CPU_ZERO(&lazy);
	for (int c = 0; c < DOCTOR_CPUS; c++) {
		if (!CPU_ISSET(c, &d->worker) ||
		    doctor_line(d, text, sizeof(text), CPU "/cpu%d/cpufreq/scaling_governor", c))
			continue;
		any = true;
		if (strcmp(text, "performance") != 0) {
			snprintf(was, sizeof(was), "%s", text);
			CPU_SET(c, &slow);
		} else if (!doctor_line(d, text, sizeof(text),
		                        CPU "/cpu%d/cpufreq/energy_performance_preference", c) &&
		           strcmp(text, "performance") != 0) {
			CPU_SET(c, &lazy);
		}
	}
	if (CPU_COUNT(&slow)) {
		doctor_say(d, doctor_busy(d) ? DOCTOR_WARNING : DOCTOR_ADVICE,
		           "governor of CPU %s: %s", doctor_cpu_text(list, sizeof(list), &slow),
		           was);
		doctor_fix(d,
		           "for c in %s; do echo performance > " CPU
		           "/cpu$c/cpufreq/scaling_governor; done",
		           spaced(list, sizeof(list), &slow));
	} else if (CPU_COUNT(&lazy)) {
		doctor_say(d, DOCTOR_ADVICE, "set to save energy: CPU %s",
		           doctor_cpu_text(list, sizeof(list), &lazy));
		doctor_fix(d,
		           "for c in %s; do echo performance > " CPU
		           "/cpu$c/cpufreq/energy_performance_preference; done",
		           spaced(list, sizeof(list), &lazy));
	} else {
		doctor_say(d, DOCTOR_OK, any ? "performance on all worker CPUs"
		                             : "the firmware or the hypervisor sets clock rates");
	}
}

void doctor_check_idle(struct doctor *d)
{
	enum { LATENCY_US = 100, STATES = 10 };
	long long worst = 0, us, off;
	char name[32], deepest[32] = "", list[256];

	if (doctor_busy(d)) // never idle
		return;
	for (int c = 0; c < DOCTOR_CPUS; c++)
		for (int s = 0; CPU_ISSET(c, &d->worker) && s < STATES; s++) {
			if (doctor_number(d, &us, CPU "/cpu%d/cpuidle/state%d/latency", c, s) ||
			    (!doctor_number(d, &off, CPU "/cpu%d/cpuidle/state%d/disable", c, s) &&
			     off) ||
			    us <= worst)
				continue;
			worst = us;
			if (!doctor_line(d, name, sizeof(name), CPU "/cpu%d/cpuidle/state%d/name",
			                 c, s))
				snprintf(deepest, sizeof(deepest), "%s", name);
		}
	if (worst <= LATENCY_US) {
		doctor_say(d, DOCTOR_OK, "worker CPUs wake within %lld µs", worst);
		return;
	}
	doctor_say(d, DOCTOR_ADVICE, "worker CPUs may sleep as deep as %s: %lld µs to wake",
	           deepest[0] ? deepest : "a state without name", worst);
	doctor_fix(d,
	           "for c in %s; do for s in " CPU "/cpu$c/cpuidle/state*; do [ $(cat $s/latency) "
	           "-le %d ] || echo 1 > $s/disable; done; done",
	           spaced(list, sizeof(list), &d->worker), LATENCY_US);
}

/* ---- instruction sets ---- */

void doctor_check_flags(struct doctor *d)
{
	static const char *const wide[] = {"avx512f",  "avx512bw", "avx512vl",
	                                   "avx512dq", "vaes",     "vpclmulqdq"};
	bool mb = d->conf->srtp == DP_CONF_SRTP_IPSEC_MB;
	char flags[8192], missing[128] = "";

	if (doctor_field(d, flags, sizeof(flags), "/proc/cpuinfo", "flags")) {
		if (mb && !doctor_field(d, flags, sizeof(flags), "/proc/cpuinfo", "Features")) {
			doctor_say(d, DOCTOR_PROBLEM, "srtp: ipsec_mb, and this is no x86-64 CPU");
			doctor_why(d, "this backend is x86-64 only");
			doctor_fix(d, "conf/callstack up --set srtp=libsrtp2");
		}
		return;
	}
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (!doctor_has_word(flags, wide[i]))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
			         " %s", wide[i]);
	if (!doctor_has_word(flags, "aes") || !doctor_has_word(flags, "pclmulqdq")) {
		doctor_say(d, DOCTOR_WARNING, "the CPU has no AES instructions (aes, pclmulqdq)");
		doctor_why(d, "SRTP falls back to tables: over ten times slower, and its timing "
		              "depends on keys; a hypervisor often hides what the CPU has");
		doctor_fix(d, "virt-xml DOMAIN --edit --cpu host-passthrough");
	} else if (!mb) {
		doctor_say(d, DOCTOR_ADVICE, "srtp: libsrtp2 on a CPU that ipsec_mb is made for");
		doctor_why(d, "ipsec_mb takes a tenth of the time a packet");
		doctor_fix(d, "conf/callstack up --set srtp=ipsec_mb");
	} else if (missing[0]) {
		doctor_say(d, DOCTOR_ADVICE, "the CPU lacks%s", missing);
		doctor_why(d, "with these one core encrypts two to four packets at a time; Intel "
		              "since Ice Lake and AMD since Zen 4 have them, a hypervisor may hide "
		              "them");
		doctor_fix(d, "virt-xml DOMAIN --edit --cpu host-passthrough");
	} else {
		doctor_say(d, DOCTOR_OK, "aes, vaes, vpclmulqdq and avx512 are there");
	}
}
