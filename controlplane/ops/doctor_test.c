#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controlplane/ops/doctor.h"
#include "ebpf/xdp_steer.h"

#define CPUS   "/sys/devices/system/cpu"
#define ETH    "/sys/class/net/eth0"
#define PCI    "/sys/bus/pci/devices/0000:3b:00.0"
#define NODE   "/sys/devices/system/node/node"
#define CLOCK  "/sys/devices/system/clocksource/clocksource0"
#define SYSCTL "/proc/sys"
#define GROUP  "/sys/fs/cgroup/media"

struct file {
	const char *path, *text; // text NULL: not there; "->x": a symbolic link to x
};

/* A host on which nothing is to be found, with two workers polling on CPU 2 and 3. */
#define FLAGS "aes pclmulqdq avx512f avx512bw avx512vl avx512dq vaes vpclmulqdq constant_tsc nonstop_tsc"
static const struct file host[] = {
    {CPUS "/online", "0-3"},
    {CPUS "/isolated", "2-3"},
    {CPUS "/nohz_full", "2-3"},
    {CPUS "/cpu2/topology/thread_siblings_list", "2"},
    {CPUS "/cpu3/topology/thread_siblings_list", "3"},
    {CPUS "/cpu2/cpufreq/scaling_governor", "performance"},
    {CPUS "/cpu3/cpufreq/scaling_governor", "performance"},
    {"/sys/devices/system/node/online", "0"},
    {NODE "0/cpulist", "0-3"},
    {"/proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3\n"},
    {"/proc/self/cgroup", "0::/media\n"},
    {"/proc/self/limits", "Max open files            65536   65536  files\n"
                          "Max locked memory         unlimited  unlimited  bytes\n"},
    {GROUP "/cpuset.cpus.effective", "0-3"},
    {GROUP "/cpu.max", "max 100000"},
    {"/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu " FLAGS "\n"},
    {"/proc/meminfo", "MemTotal: 8000000 kB\nHugePages_Total:     200\nHugePages_Free:      200\n"
                      "Hugepagesize:       2048 kB\n"},
    {CLOCK "/current_clocksource", "tsc"},
    {CLOCK "/available_clocksource", "tsc hpet acpi_pm"},
    {SYSCTL "/net/core/bpf_jit_enable", "1"},
    {SYSCTL "/net/core/bpf_jit_harden", "0"},
    {SYSCTL "/net/core/netdev_max_backlog", "1000"}, // no port copies
    {SYSCTL "/net/core/wmem_default", "212992"},
    {SYSCTL "/net/core/somaxconn", "4096"},
    {SYSCTL "/kernel/numa_balancing", "1"}, // one node
    {SYSCTL "/kernel/nmi_watchdog", "0"},
    {SYSCTL "/kernel/perf_event_paranoid", "3"},
    {SYSCTL "/kernel/sched_rt_runtime_us", "950000"},
    {SYSCTL "/vm/stat_interval", "120"},
    {SYSCTL "/net/ipv4/ip_local_port_range", "32768\t60999"},
    {SYSCTL "/net/ipv4/ip_local_reserved_ports", ""},
    {SYSCTL "/net/ipv4/conf/all/rp_filter", "0"},
    {SYSCTL "/net/ipv4/conf/eth0/rp_filter", "2"},
    {SYSCTL "/net/ipv4/conf/lo/route_localnet", "0"},
    {SYSCTL "/net/ipv4/conf/lo/accept_local", "0"},
    {ETH "/ifindex", "2"},
    {ETH "/operstate", "up"},
    {ETH "/carrier", "1"},
    {ETH "/mtu", "1500"},
    {ETH "/device/numa_node", "0"},
    {ETH "/queues/rx-0/rps_cpus", "0"},
    {ETH "/queues/rx-1/rps_cpus", "0"},
    {"/sys/class/net/lo/ifindex", "1"},
    {"/sys/class/net/lo/operstate", "unknown"},
    {"/sys/class/net/lo/carrier", "1"},
    {"/sys/class/net/lo/mtu", "65536"},
    {"/sys/class/net/lo/queues/rx-0/rps_cpus", "0"},
    {"/proc/interrupts", "           CPU0       CPU1\n"
                         " 40:          1          0  PCI-MSI 1-edge      eth0-TxRx-0\n"
                         " 41:          1          0  PCI-MSI 2-edge      eth0-TxRx-1\n"
                         " 42:          1          0  PCI-MSI 3-edge      eth01-TxRx-1\n"},
    {"/proc/irq/40/effective_affinity_list", "0"},
    {"/proc/irq/41/effective_affinity_list", "1"},
    {"/proc/irq/42/effective_affinity_list", "3"},
};
static const char *const usual[] = {"workers=2", "lcores=2-3", "poll=busy",
                                    "ports=[{kind: af_xdp, interface: eth0}]"};

/* ---- the tree ---- */

static char root[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void put(const struct file *f)
{
	char path[512];
	FILE *to;

	assert_true(snprintf(path, sizeof(path), "%s%s", root, f->path) < (int)sizeof(path));
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(path, 0700) < 0)
			assert_int_equal(errno, EEXIST);
	}
	remove(path);
	if (!f->text)
		return;
	if (!strncmp(f->text, "->", 2)) {
		assert_int_equal(symlink(f->text + 2, path), 0);
		return;
	}
	to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, "%s\n", f->text);
	assert_int_equal(fclose(to), 0);
}

/* In memory where that can be: the cases write thousands of files. */
static void make_root(void)
{
	snprintf(root, sizeof(root), "%s/doctor_test_XXXXXX",
	         access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(root));
}

static void make(void)
{
	make_root();
	for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++)
		put(&host[i]);
}

static void clear(void)
{
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- the probe ---- */

static struct doctor_nic nic;
static int synced;

static void fake_nic(struct doctor_nic *out, const char *ifname)
{
	if (!strcmp(ifname, "eth0"))
		*out = nic;
}

static int fake_synced(void)
{
	return synced;
}

static const struct doctor_probe probe = {fake_nic, fake_synced};

static void good_nic(void)
{
	synced = 1;
	nic = (struct doctor_nic){
	    .driver = "ice",
	    .has_channels = true,
	    .has_rings = true,
	    .has_features = true,
	    .has_hash = true,
	    .has_xdp = true,
	    .combined = 2,
	    .combined_max = 8,
	    .rx_ring = 1024,
	    .rx_ring_max = 4096,
	    .tx_ring = 1024,
	    .tx_ring_max = 4096,
	    .features = 1U << DOCTOR_FEATURE_RX_CSUM | 1U << DOCTOR_FEATURE_GRO |
	                1U << DOCTOR_FEATURE_RX_VLAN,
	    .hash_udp4 = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3,
	    .hash_udp6 = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3,
	    .xdp.mode = XDP_STEER_NONE,
	};
}

/* ---- one look ---- */

static void conf_error(const char *text, void *arg)
{
	fail_msg("%s", text);
}

static struct doctor *look(const char *const *set, size_t n)
{
	static struct dp_conf conf;
	static struct doctor d;
	struct sh_conf_reader r;

	assert_int_equal(sh_conf_begin(&r, &dp_conf_table, &conf, conf_error, NULL), 0);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		assert_int_equal(sh_conf_set(&r, usual[i]), 0);
	for (size_t i = 0; i < n && set[i]; i++)
		assert_int_equal(sh_conf_set(&r, set[i]), 0);
	assert_int_equal(sh_conf_end(&r), 0);
	memset(&d, 0, sizeof(d));
	d.root = root;
	d.rundir = "/run/callstack";
	d.conf = &conf;
	d.probe = &probe;
	doctor_run(&d);
	return &d;
}

static void show(const struct doctor *d)
{
	for (unsigned i = 0; i < d->n; i++)
		print_message("  %s %s: %s | %s | %s\n", doctor_level_word(d->found[i].level),
		              d->found[i].check, d->found[i].seen, d->found[i].why,
		              d->found[i].fix);
}

static void well(void **state)
{
	struct doctor *d;

	make();
	good_nic();
	d = look(NULL, 0);
	if (doctor_worst(d) != DOCTOR_OK)
		show(d);
	assert_int_equal(doctor_worst(d), DOCTOR_OK);
	assert_true(d->n >= 20);
	for (unsigned i = 0; i < d->n; i++) {
		assert_string_equal(d->found[i].why, "");
		assert_string_equal(d->found[i].fix, "");
	}
	clear();
}

/* ---- what is wrong, and what is said of it ---- */

#define RUNS                                                                                       \
	{"/run/callstack/callstack-dataplane.pid", "77"},                                          \
	    {"/proc/77/comm", "callstack-datap"}, {"/proc/77/status", "HugetlbPages: 190000 kB"}
#define SIBLINGS(a, b)                                                                             \
	{CPUS "/cpu" #a "/topology/thread_siblings_list", #a "," #b},                              \
	{                                                                                          \
		CPUS "/cpu" #b "/topology/thread_siblings_list", #a "," #b                         \
	}
#define TWO_NODES                                                                                  \
	{"/sys/devices/system/node/online", "0-1"}, {NODE "0/cpulist", "0-1"},                     \
	{                                                                                          \
		NODE "1/cpulist", "2-3"                                                            \
	}

enum edit {
	AS_IT_IS,
	FEW_QUEUES,
	ONE_QUEUE,
	MANY_QUEUES,
	SHORT_RINGS,
	NO_HASH6,
	LRO,
	FIXED_LRO,
	NO_RX_CSUM,
	GRO_LIST,
	FOREIGN,
	GENERIC,
	NATIVE,
	UNSYNCED,
	VETH,
};

static void edit_nic(enum edit e)
{
	good_nic();
	switch (e) {
	case AS_IT_IS:
		break;
	case FEW_QUEUES:
		nic.combined = 1;
		break;
	case ONE_QUEUE:
		nic.combined = nic.combined_max = 1;
		break;
	case MANY_QUEUES:
		nic.combined = 8;
		break;
	case SHORT_RINGS:
		nic.rx_ring = 256;
		break;
	case NO_HASH6:
		nic.hash_udp6 = RXH_IP_SRC | RXH_IP_DST;
		break;
	case FIXED_LRO:
		nic.fixed = 1U << DOCTOR_FEATURE_LRO;
		nic.features |= 1U << DOCTOR_FEATURE_LRO;
		break;
	case LRO:
		nic.features |= 1U << DOCTOR_FEATURE_LRO;
		break;
	case NO_RX_CSUM:
		nic.features = 0;
		break;
	case GRO_LIST:
		nic.features |= 1U << DOCTOR_FEATURE_GRO_LIST;
		break;
	case FOREIGN:
		nic.xdp = (struct doctor_xdp){XDP_STEER_NATIVE, false, "xdp_firewall"};
		break;
	case GENERIC:
		nic.xdp = (struct doctor_xdp){XDP_STEER_GENERIC, true, "callstack_steer"};
		break;
	case NATIVE:
		nic.xdp = (struct doctor_xdp){XDP_STEER_NATIVE, true, "callstack_steer"};
		break;
	case UNSYNCED:
		synced = 0;
		break;
	case VETH:
		snprintf(nic.driver, sizeof(nic.driver), "veth");
		break;
	}
}

static const struct {
	const char *check;
	enum doctor_level level;
	const char *seen, *fix; // parts
	struct file file[9]; // ends with one without a path
	const char *set[4];
	enum edit edit;
} cases[] = {
#include "controlplane/ops/doctor_cases.h"
};

static void sick(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor *d;
		bool found = false;

		make();
		for (size_t k = 0; cases[i].file[k].path; k++)
			put(&cases[i].file[k]);
		edit_nic(cases[i].edit);
		d = look(cases[i].set, 4);
		for (unsigned k = 0; k < d->n; k++)
			found |= !strcmp(d->found[k].check, cases[i].check) &&
			         d->found[k].level == cases[i].level &&
			         strstr(d->found[k].seen, cases[i].seen) &&
			         strstr(d->found[k].fix, cases[i].fix) &&
			         !d->found[k].why[0] == !cases[i].level;
		if (!found) {
			show(d);
			fail_msg("case %zu: no %s of %s with \"%s\" and \"%s\"", i,
			         doctor_level_word(cases[i].level), cases[i].check, cases[i].seen,
			         cases[i].fix);
		}
		clear();
	}
}

/* Whatever is missing, nothing is invented: no finding but those that say so, no crash. */
static void nothing_there(void **state)
{
	struct doctor *d;

	make_root();
	good_nic();
	d = look(NULL, 0);
	for (unsigned i = 0; i < d->n; i++)
		if (d->found[i].level == DOCTOR_PROBLEM)
			assert_string_equal(d->found[i].check, "nic.interface");
	clear();
}

/* Each file with rubbish in its place: no crash, and each finding that is not ok says why and what
 * to do (what the driver does not let be changed aside). */
static void rubbish(void **state)
{
	static const char *const text[] = {"", "-", "99999999999999999999", "0-99999", "3-1,,,", "%s%n"};

	for (size_t t = 0; t < sizeof(text) / sizeof(text[0]); t++) {
		struct doctor *d;

		make();
		for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++)
			put(&(struct file){host[i].path, text[t]});
		good_nic();
		d = look(NULL, 0);
		for (unsigned i = 0; i < d->n; i++)
			assert_true(d->found[i].level == DOCTOR_OK ||
			            (d->found[i].why[0] && d->found[i].fix[0]));
		clear();
	}
}

static void lists(void **state)
{
	static const struct {
		const char *text, *back; // NULL: refused
	} list[] = {
	    {"", ""},       {"0", "0"},        {"0-3,8", "0-3,8"}, {"3,1,2", "1-3"}, {"5-4", ""},
	    {"x", NULL},    {"1-", NULL},      {"1;2", NULL},      {"1024", NULL},   {"0-4294967295", NULL},
	    {" (null)", NULL},
	};
	static const struct {
		const char *text, *back;
	} mask[] = {{"0", ""}, {"f0", "4-7"}, {"1,00000001", "0,32"}, {"ffffffff,ffffffff", "0-63"}};
	char text[256];
	cpu_set_t set;
	int order[4];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int err = doctor_parse_cpus(list[i].text, &set);

		if (!list[i].back)
			assert_true(err < 0 || !strcmp(list[i].text, "1-"));
		else
			assert_string_equal(doctor_cpu_text(text, sizeof(text), &set), list[i].back);
	}
	for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++) {
		doctor_parse_mask(mask[i].text, &set);
		assert_string_equal(doctor_cpu_text(text, sizeof(text), &set), mask[i].back);
	}
	assert_int_equal(doctor_parse_order("5,1-2", order, 4), 3);
	assert_int_equal(order[0], 5);
	assert_int_equal(order[2], 2);
	assert_int_equal(doctor_parse_order("0-9", order, 4), 10);
	assert_true(doctor_has_word("vaes aes", "aes"));
	assert_false(doctor_has_word("vaes aesx", "aes"));
}

/* This host, whatever it is: the ioctls end, and lo has no driver to complain of. */
static void live(void **state)
{
	struct doctor_nic out;

	doctor_live.nic(&out, "lo");
	assert_true(out.has_features);
	assert_false(out.features >> DOCTOR_FEATURE_LRO & 1);
	doctor_live.nic(&out, "no-such-if");
	assert_false(out.has_features || out.has_channels || out.has_xdp);
	assert_true(doctor_live.time_synced() <= 1);
}

static void documented(void **state)
{
	char name[64], *text = calloc(1, 1 << 20);
	FILE *f = fopen(DOCS, "re");

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	for (unsigned i = 0; i < doctor_check_count; i++) {
		snprintf(name, sizeof(name), "| `%s` |", doctor_checks[i].name);
		if (!strstr(text, name))
			fail_msg("%s is not in docs/operations.md", doctor_checks[i].name);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists), cmocka_unit_test(well),          cmocka_unit_test(sick),
	    cmocka_unit_test(rubbish), cmocka_unit_test(nothing_there), cmocka_unit_test(live),
	    cmocka_unit_test(documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
