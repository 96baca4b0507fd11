/* What `callstackctl doctor` finds: does this host fit the dataplane's configuration?
 *
 *   doctor.c          runs the checks, keeps what they find
 *   doctor.def        the checks, one line each
 *   doctor_read.c     files of /proc and /sys, CPU lists
 *   doctor_workers.c  which CPUs the workers have; whether these can do it
 *   doctor_cpu.c      clock rates, sleep, isolation, SMT, instruction sets
 *   doctor_memory.c   huge pages, NUMA, limits
 *   doctor_kernel.c   clocks and sysctls
 *   doctor_nic.c      interfaces, drivers, XDP, MTU
 *   doctor_queue.c    queues, RSS, rings, offloads
 *   doctor_irq.c      interrupts and packet steering against worker CPUs
 *   doctor_probe.c    what no file says: ethtool and XDP of an interface, time synchronization
 *
 * Everything that a file says is read below a root folder, and the rest comes from a probe, so that
 * tests bring hosts of their own. Nothing is changed, ever. One thread. */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane/conf.h"
#include "shared/limits.h"

#define DOCTOR_LEVELS(X)                                                                           \
	X(DOCTOR_OK, "ok")                                                                         \
	X(DOCTOR_ADVICE, "advice")   /* would be better, or quicker */                             \
	X(DOCTOR_WARNING, "warning") /* costs calls or quality under load */                       \
	X(DOCTOR_PROBLEM, "problem") /* does not start, or loses media at any load */
#define X(sym, word) sym,
enum doctor_level { DOCTOR_LEVELS(X) };
#undef X

/* Features of an interface that matter here, by the kernel's names (ethtool -K takes these too). */
#define DOCTOR_FEATURES(X)                                                                         \
	X(GRO, "rx-gro")                                                                           \
	X(GRO_HW, "rx-gro-hw")                                                                     \
	X(GRO_LIST, "rx-gro-list")                                                                 \
	X(GRO_UDP, "rx-udp-gro-forwarding")                                                        \
	X(LRO, "rx-lro")                                                                           \
	X(RX_VLAN, "rx-vlan-hw-parse")                                                             \
	X(RX_CSUM, "rx-checksum")
#define X(sym, name) DOCTOR_FEATURE_##sym,
enum { DOCTOR_FEATURES(X) DOCTOR_FEATURE_COUNT };
#undef X

struct doctor_xdp {
	int mode; // enum xdp_steer_mode
	bool ours;
	char name[16];
};

/* Of one interface; what it does not tell has its flag false. */
struct doctor_nic {
	char driver[32]; // "" unknown
	bool has_channels, has_rings, has_features, has_hash, has_xdp;
	unsigned combined, combined_max;
	unsigned rx_ring, rx_ring_max, tx_ring, tx_ring_max; // descriptors
	uint32_t features, fixed; // bits 1 << DOCTOR_FEATURE_x: on; cannot be changed
	uint32_t hash_udp4, hash_udp6;                       // RXH_x of linux/ethtool.h
	struct doctor_xdp xdp;
};

struct doctor_probe {
	void (*nic)(struct doctor_nic *out, const char *ifname);
	/* 1 the kernel's clock is kept in time, 0 it is not, -errno unknown. */
	int (*time_synced)(void);
};
/* Asks this kernel. */
extern const struct doctor_probe doctor_live;

enum { DOCTOR_FINDINGS = 160, DOCTOR_CPUS = CPU_SETSIZE };

struct doctor_finding {
	const char *check;
	enum doctor_level level;
	char seen[320];
	char why[400]; // "" if level is ok
	char fix[640]; // commands, one a line; may be ""
};

struct doctor_check {
	const char *name, *why;
};

struct doctor {
	/* Set by the caller. */
	const char *root; // "" for this host
	const char *rundir;
	const struct dp_conf *conf;
	const struct doctor_probe *probe; // NULL: nothing but files

	/* doctor_workers.c */
	int pid; // of the running dataplane, 0: none
	unsigned workers, cpus_listed;
	int cpu[SH_MAX_WORKERS]; // of worker w; -1: not known
	bool from_threads;       // cpu[] is what the running one has, not what it would choose
	cpu_set_t worker, allowed, online, isolated;

	const struct doctor_check *check; // that runs
	struct doctor_finding found[DOCTOR_FINDINGS];
	unsigned n;
};

/* Fills found[0..n). */
void doctor_run(struct doctor *d);
enum doctor_level doctor_worst(const struct doctor *d);
const char *doctor_level_word(enum doctor_level level);
extern const struct doctor_check doctor_checks[];
extern const unsigned doctor_check_count;

#define CHECK(f, name, why) void doctor_check_##f(struct doctor *d);
#include "controlplane/ops/doctor.def"
#undef CHECK

/* For checks. A finding: what was seen, then, unless it is ok, another reason than the check's own,
 * and commands that change it, one a call. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_why(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_fix(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Files: fmt is the path without the root. 0 or -errno; texts lose the line's end. */
int doctor_path(const struct doctor *d, char *path, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int doctor_line(const struct doctor *d, char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int doctor_number(const struct doctor *d, long long *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int doctor_cpus(const struct doctor *d, cpu_set_t *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Last part of where a symbolic link points to. */
int doctor_link(const struct doctor *d, char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The rest of the line of a file that begins with key and a colon, trimmed: "flags", "MemFree". */
int doctor_field(const struct doctor *d, char *out, size_t size, const char *path, const char *key);
/* Calls each(name) for the entries of a folder; -errno if there is none. */
int doctor_entries(const struct doctor *d, void (*each)(const char *name, void *arg), void *arg,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* "0-2,5" both ways; ordered: v[] in the order of the text, returns how many (may exceed most). */
int doctor_parse_cpus(const char *text, cpu_set_t *out);
unsigned doctor_parse_order(const char *text, int *v, unsigned most);
/* "f0,00000001" */
void doctor_parse_mask(const char *text, cpu_set_t *out);
const char *doctor_cpu_text(char *buf, size_t size, const cpu_set_t *set);
/* A word of a text separated by spaces. */
bool doctor_has_word(const char *text, const char *word);

/* doctor_workers.c */
void doctor_find_workers(struct doctor *d);
/* CPUs as lcores: one a physical core, from the highest down, of this NUMA node (-1: any), one left
 * over where there is one. "" when there are not enough. */
const char *doctor_suggest(const struct doctor *d, int node, char *buf, size_t size);
/* pid of a daemon of the run directory, 0: not running. */
int doctor_daemon(const struct doctor *d, const char *name);
bool doctor_busy(const struct doctor *d);

/* doctor_nic.c: what the probe says; false without one. */
bool doctor_nic(const struct doctor *d, struct doctor_nic *out, const char *ifname);
/* NUMA node of the device of a port, -1: none or not known. */
int doctor_port_node(const struct doctor *d, const struct dp_conf_port *p);
/* Interface with frames of AF_XDP: exists and is used so. */
bool doctor_is_xdp(const struct doctor *d, const struct dp_conf_port *p);
bool doctor_copies(const struct doctor *d); // some port has no native XDP
