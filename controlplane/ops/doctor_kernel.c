#include "controlplane/ops/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- clocks ---- */

void doctor_check_clocksource(struct doctor *d)
{
	static const char at[] = "/sys/devices/system/clocksource/clocksource0";
	char now[64], can[256] = "", flags[8192] = "";

	if (doctor_line(d, now, sizeof(now), "%s/current_clocksource", at))
		return;
	doctor_line(d, can, sizeof(can), "%s/available_clocksource", at);
	if (!doctor_field(d, flags, sizeof(flags), "/proc/cpuinfo", "flags") &&
	    (!doctor_has_word(flags, "constant_tsc") || !doctor_has_word(flags, "nonstop_tsc"))) {
		doctor_say(d, DOCTOR_WARNING, "the TSC is not constant and nonstop");
		doctor_fix(d, "virt-xml DOMAIN --edit --cpu host-passthrough");
	} else if (!strcmp(now, "tsc") || !strcmp(now, "arch_sys_counter")) {
		doctor_say(d, DOCTOR_OK, "%s", now);
	} else if (doctor_has_word(can, "tsc")) {
		doctor_say(d, !strcmp(now, "kvm-clock") ? DOCTOR_ADVICE : DOCTOR_WARNING,
		           "%s, and tsc is available", now);
		doctor_fix(d, "echo tsc > %s/current_clocksource", at);
	} else {
		doctor_say(d, !strcmp(now, "kvm-clock") ? DOCTOR_ADVICE : DOCTOR_WARNING,
		           "%s; the kernel found the TSC unstable or has none", now);
		doctor_fix(d, "dmesg | grep -i -e tsc -e clocksource");
	}
}

void doctor_check_time_sync(struct doctor *d)
{
	int synced = d->probe ? d->probe->time_synced() : -1;

	if (synced > 0)
		doctor_say(d, DOCTOR_OK, "the clock is synchronized");
	if (synced != 0)
		return;
	doctor_say(d, DOCTOR_WARNING, "nothing keeps the clock in time");
	doctor_fix(d, "apt-get install -y chrony && systemctl enable --now chrony");
}

/* ---- real-time threads ---- */

/* proc(5), stat: field 41 is the policy; fields are counted behind the name, which may hold
 * anything. */
struct realtime {
	struct doctor *d;
	bool found;
};

static void policy(const char *tid, void *arg)
{
	enum { POLICY = 41, STATE = 3, FIFO = 1, RR = 2 };
	struct realtime *f = arg;
	char line[1024], *at;
	int n;

	if (doctor_line(f->d, line, sizeof(line), "/proc/%d/task/%s/stat", f->d->pid, tid) ||
	    !strstr(line, "-worker-") || !(at = strrchr(line, ')')))
		return;
	for (int i = STATE - 1; i < POLICY && at; i++)
		at = strchr(at + 1, ' ');
	n = at ? atoi(at) : 0;
	f->found |= n == FIFO || n == RR;
}

void doctor_check_realtime(struct doctor *d)
{
	struct realtime f = {d, false};
	long long us;

	if (!d->pid || doctor_number(d, &us, "/proc/sys/kernel/sched_rt_runtime_us"))
		return;
	doctor_entries(d, policy, &f, "/proc/%d/task", d->pid);
	if (!f.found || !doctor_busy(d))
		return;
	if (us < 0) {
		doctor_say(d, DOCTOR_OK, "real-time workers are not throttled");
		return;
	}
	doctor_say(d, DOCTOR_WARNING,
	           "workers poll with real-time priority, kernel.sched_rt_runtime_us is %lld", us);
	doctor_fix(d, "sysctl -w kernel.sched_rt_runtime_us=-1");
}

/* ---- sysctls ---- */

enum when { ALWAYS, BUSY, XDP, COPIES, NUMA };

/* Between least and most it is well; else `set` is what it should be. */
static const struct {
	const char *name; // below /proc/sys
	enum when when;
	long long least, most, set;
	enum doctor_level level;
	const char *why;
} sysctls[] = {
    {"net/core/bpf_jit_enable", XDP, 1, 2, 1, DOCTOR_WARNING,
     "without the compiler the XDP program is interpreted, at each frame of the interface"},
    {"net/core/bpf_jit_harden", XDP, 0, 1, 1, DOCTOR_ADVICE,
     "2 blinds constants in root's programs too, so the XDP program runs slower"},
    {"net/core/netdev_max_backlog", COPIES, 4096, 1LL << 31, 16384, DOCTOR_ADVICE,
     "frames of lo and veth wait in this queue of each CPU; a burst of a big room overflows it"},
    {"net/core/wmem_default", COPIES, 1 << 20, 1LL << 31, 4 << 20, DOCTOR_ADVICE,
     "in copy mode frames under way count against the AF_XDP socket's send buffer: 208 KiB are "
     "about 90 frames"},
    {"net/core/somaxconn", ALWAYS, 1024, 1LL << 31, 4096, DOCTOR_ADVICE,
     "when a network comes back all its clients connect at once, and wait in this queue"},
    {"kernel/numa_balancing", NUMA, 0, 0, 0, DOCTOR_ADVICE,
     "the kernel unmaps pages now and then to see who uses them: a fault in a worker each time"},
    {"kernel/nmi_watchdog", BUSY, 0, 0, 0, DOCTOR_ADVICE,
     "it interrupts polling CPUs, and takes a performance counter"},
    {"kernel/perf_event_paranoid", ALWAYS, 0, 4, 2, DOCTOR_ADVICE,
     "-1 lets every user watch the whole machine, ciphers at work included"},
    {"vm/stat_interval", BUSY, 10, 1LL << 31, 120, DOCTOR_ADVICE,
     "memory statistics are folded on every CPU in this interval, polling ones included"},
};

static bool applies(const struct doctor *d, enum when when)
{
	cpu_set_t nodes;

	switch (when) {
	case ALWAYS:
		return true;
	case BUSY:
		return doctor_busy(d);
	case XDP:
		for (uint32_t i = 0; i < d->conf->ports.n; i++)
			if (d->conf->ports.v[i].kind == DP_PORT_AF_XDP)
				return true;
		return false;
	case COPIES:
		return doctor_copies(d);
	case NUMA:
		return !doctor_cpus(d, &nodes, "/sys/devices/system/node/online") &&
		       CPU_COUNT(&nodes) > 1;
	}
	return false;
}

/* net/core/somaxconn → net.core.somaxconn */
static const char *dotted(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s", name);
	for (char *p = buf; *p; p++)
		if (*p == '/')
			*p = '.';
	return buf;
}

void doctor_check_sysctl(struct doctor *d)
{
	unsigned well = 0;
	char name[64];
	long long v;

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		if (!applies(d, sysctls[i].when) ||
		    doctor_number(d, &v, "/proc/sys/%s", sysctls[i].name))
			continue;
		if (v >= sysctls[i].least && v <= sysctls[i].most) {
			well++;
			continue;
		}
		dotted(name, sizeof(name), sysctls[i].name);
		doctor_say(d, sysctls[i].level, "%s is %lld", name, v);
		doctor_why(d, "%s", sysctls[i].why);
		doctor_fix(d, "sysctl -w %s=%lld", name, sysctls[i].set);
		doctor_fix(d, "echo %s=%lld >> /etc/sysctl.d/60-callstack.conf", name,
		           sysctls[i].set);
	}
	if (well)
		doctor_say(d, DOCTOR_OK, "%u sysctls are as they should be", well);
}

/* ---- ports and addresses ---- */

void doctor_check_ports(struct doctor *d)
{
	unsigned first = d->conf->base_port, last = first + d->conf->workers - 1, lo, hi;
	char text[64], reserved[512] = "";
	unsigned free_ports = 0;

	if (doctor_line(d, text, sizeof(text), "/proc/sys/net/ipv4/ip_local_port_range") ||
	    sscanf(text, "%u %u", &lo, &hi) != 2)
		return;
	doctor_line(d, reserved, sizeof(reserved), "/proc/sys/net/ipv4/ip_local_reserved_ports");
	for (unsigned p = first; p <= last; p++) {
		bool kept = false;
		const char *at = reserved;

		while (*at) {
			char *end;
			unsigned a = (unsigned)strtoul(at, &end, 10), b = a;

			if (*end == '-')
				b = (unsigned)strtoul(end + 1, &end, 10);
			kept |= p >= a && p <= b;
			if (*end != ',')
				break;
			at = end + 1;
		}
		free_ports += p >= lo && p <= hi && !kept;
	}
	if (!free_ports) {
		doctor_say(d, DOCTOR_OK, "media ports %u-%u are not given to others", first, last);
		return;
	}
	doctor_say(d, DOCTOR_WARNING,
	           "media ports %u-%u are within net.ipv4.ip_local_port_range (%u-%u)", first, last,
	           lo, hi);
	doctor_fix(d, "sysctl -w net.ipv4.ip_local_reserved_ports=%s%s%u-%u", reserved,
	           reserved[0] ? "," : "", first, last);
}

void doctor_check_lo(struct doctor *d)
{
	static const char *const knobs[] = {"route_localnet", "accept_local"};
	bool used = false, well = true;
	long long v;

	for (uint32_t i = 0; i < d->conf->ports.n; i++)
		used |= d->conf->ports.v[i].kind == DP_PORT_AF_XDP &&
		        !strcmp(d->conf->ports.v[i].interface, "lo");
	for (size_t i = 0; used && i < 2; i++) {
		if (doctor_number(d, &v, "/proc/sys/net/ipv4/conf/lo/%s", knobs[i]) || v == 1)
			continue;
		well = false;
		if (!d->pid) // set at start
			continue;
		doctor_say(d, DOCTOR_PROBLEM, "net.ipv4.conf.lo.%s is %lld", knobs[i], v);
		doctor_fix(d, "sysctl -w net.ipv4.conf.lo.%s=1", knobs[i]);
	}
	if (used && (well || !d->pid))
		doctor_say(d, DOCTOR_OK, "route_localnet and accept_local %s",
		           well ? "are 1" : "will be set at start");
}

struct up {
	struct doctor *d;
	unsigned n;
};

static void count_up(const char *name, void *arg)
{
	struct up *c = arg;
	char state[32];

	if (strcmp(name, "lo") != 0 &&
	    !doctor_line(c->d, state, sizeof(state), "/sys/class/net/%s/operstate", name) &&
	    !strcmp(state, "up"))
		c->n++;
}

void doctor_check_rp_filter(struct doctor *d)
{
	struct up up = {d, 0};
	long long all = 0, own = 0;

	doctor_entries(d, count_up, &up, "/sys/class/net");
	doctor_number(d, &all, "/proc/sys/net/ipv4/conf/all/rp_filter");
	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const char *name = d->conf->ports.v[i].interface;

		if (!name[0] || !strcmp(name, "lo") ||
		    doctor_number(d, &own, "/proc/sys/net/ipv4/conf/%s/rp_filter", name))
			continue;
		own = own > all ? own : all; // the kernel takes the larger
		if (own != 1 || up.n < 2) {
			doctor_say(d, DOCTOR_OK, "%s: rp_filter %lld, %u interfaces are up", name,
			           own, up.n);
			continue;
		}
		doctor_say(d, DOCTOR_WARNING, "%s: rp_filter is strict, %u interfaces are up", name,
		           up.n);
		doctor_fix(d, "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2",
		           name);
	}
}
