/* callstack-dataplane: everything that moves per packet.
 *
 * Files, in the order of a life: conf (options), privilege and eal (what we may, on which CPUs and
 * memory), pool and port (packet buffers; devices), table/ (commands onto the slabs, indexes over
 * them), clock, worker and node/ (the packet path), route with hop and netlink (next hops from the
 * kernel), command and event (the daemon's records in and ours out), control (the loop that holds
 * all that is not the packet path).
 *
 * Threads. The main lcore is the control thread: it sleeps in epoll, writes the tables, and speaks
 * to the daemon and the kernel. Each worker lcore is pinned, runs one rte_graph to completion, and
 * alone writes the live state of its endpoints. Workers read the tables between two quiescent
 * states (liburcu QSBR); what control takes out of the tables is freed after every worker had one,
 * and wiped after its owner forgot it (table/reap.c). Besides these there is DPDK's interrupt
 * thread, which has nothing to do.
 *
 * Rings between threads: handover and fanin (workers among each other), inject (control to worker:
 * DTLS flights), ops (control to worker: table/ops.h), punt (worker to control: DTLS, notes).
 * Nobody waits for anybody but control for ops, and a worker that sleeps is woken by the loop of
 * whoever put something into its rings, never from a node.
 *
 * Lifetimes. The slabs (sh_state_path()) outlive the process: at start the indexes are
 * rebuilt from what is LIVE in them, keys included, so calls go on after a restart of ours, and the
 * daemon's coming and going does not touch them at all. Start is a list of named stages, and stop
 * runs those that were begun, backwards. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include "dataplane/clock.h"
#include "dataplane/conf.h"
#include "dataplane/control.h"
#include "dataplane/eal.h"
#include "dataplane/node/impair.h"
#include "dataplane/node/node.h"
#include "dataplane/port.h"
#include "dataplane/route.h"
#include "dataplane/run.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table.h"
#include "shared/log.h"

#define SUBSYS "main"

static struct {
	struct dp_conf conf;
	int uid, gid;
	uint64_t epoch;
	const struct dp_srtp_backend *backend;
	struct rte_mempool *pool;
	struct sh_addr addr[SH_MAX_ADDRS];
} dp;

/* ---- process ---- */

static int process_start(void)
{
	sigset_t set;
	int err = dp_privilege_begin();

	if (err)
		return err;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Taken by control from a descriptor; blocked before there is a thread that could get them.
	 */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (getrandom(&dp.epoch, sizeof(dp.epoch), 0) != sizeof(dp.epoch))
		return -EIO;
	err = dp_privilege_user(dp.conf.user, &dp.uid, &dp.gid);
	if (err)
		sh_error(SUBSYS, "user %s: there is none", dp.conf.user);
	for (uint32_t i = 0; i < dp.conf.addresses.n && !err; i++)
		err = sh_addr_parse(&dp.addr[i], dp.conf.addresses.v[i]);
	return err;
}

/* ---- state ---- */

/* For `conf/callstack down`, which removes it: RUNDIR/state-file says where the slabs are. */
static void note_state(const char *path)
{
	char note[160];
	FILE *f;

	snprintf(note, sizeof(note), "%s/state-file", dp.conf.rundir);
	f = fopen(note, "we");
	if (!f || fprintf(f, "%s\n", path) < 0)
		sh_warn(SUBSYS, "%s: %s", note, strerror(errno));
	if (f)
		fclose(f);
}

static int state_start(void)
{
	char path[160];
	bool created;
	int err;

	if (mkdir(dp.conf.rundir, 0755) < 0 && errno != EEXIST) {
		err = -errno;
		sh_error(SUBSYS, "%s: %s", dp.conf.rundir, strerror(-err));
		return err;
	}
	sh_state_path(path, sizeof(path), dp.conf.rundir);
	err = sh_slabs_create(&dp_slabs, path, dp.conf.max_endpoints, dp.conf.max_tracks,
	                      dp.conf.max_subs, &created);
	if (err) {
		sh_error(SUBSYS, "%s: %s", path,
		         err == -EBUSY ? "another dataplane has it" : strerror(-err));
		return err;
	}
	madvise(dp_slabs.head, dp_slabs.head->total, MADV_DONTDUMP);
	if (dp.uid >= 0 && (chown(path, (uid_t)dp.uid, (gid_t)dp.gid) < 0 ||
	                    chown(dp.conf.rundir, (uid_t)dp.uid, (gid_t)dp.gid) < 0))
		return -errno;
	dp_slabs.head->dataplane_epoch = dp.epoch;
	memset(dp_slabs.head->stats, 0, sizeof(dp_slabs.head->stats));
	note_state(path);
	sh_info(SUBSYS, "%s: %s, %llu MB", path, created ? "new" : "kept",
	        (unsigned long long)dp_slabs.head->total >> 20);
	return 0;
}

static void state_stop(void)
{
	sh_slabs_close(&dp_slabs);
}

/* ---- DPDK, packet buffers, ports ---- */

static int eal_start(void)
{
	int err = dp_eal_init(&dp.conf);

	if (err)
		return err;
	dp_slabs.head->tsc_hz = rte_get_tsc_hz();
	dp_clock_update(rte_get_tsc_hz());
	return 0;
}

static int pool_start(void)
{
	bool af_xdp = false;

	for (uint32_t i = 0; i < dp.conf.ports.n; i++)
		af_xdp |= dp.conf.ports.v[i].kind == DP_PORT_AF_XDP;
	dp.pool = dp_pool_new("packets", dp.conf.mbufs, af_xdp);
	if (dp.pool)
		return 0;
	sh_error(SUBSYS, "%u packet buffers: %s", dp.conf.mbufs, rte_strerror(rte_errno));
	return -rte_errno;
}

static void pool_stop(void)
{
	rte_mempool_free(dp.pool);
}

static int ports_start(void)
{
	struct dp_port_params pp = {
	    .pool = dp.pool,
	    .workers = dp.conf.workers,
	    .base_port = (uint16_t)dp.conf.base_port,
	    .stun_rate = dp.conf.stun_rate,
	    .stun_burst = dp.conf.stun_burst,
	    .addrs = dp.conf.addresses.n,
	    .rundir = dp.conf.rundir,
	};
	int err = 0;

	memcpy(pp.addr, dp.addr, sizeof(pp.addr));
	for (uint32_t i = 0; i < dp.conf.ports.n && !err; i++) {
		pp.conf = &dp.conf.ports.v[i];
		err = dp_port_open(&pp);
	}
	return err;
}

/* ---- tables ---- */

static void wait_for_workers(void *arg)
{
	const struct timespec t = {.tv_nsec = 20000};

	dp_workers_wake();
	nanosleep(&t, NULL);
}

static void endpoint_gone(void *arg, uint32_t endpoint)
{
	dp_route_drop(endpoint);
}

static int tables_start(void)
{
	struct dp_table_cfg cfg = {
	    .workers = dp.conf.workers,
	    .wait = wait_for_workers,
	    .gone = endpoint_gone,
	    .wanted = dp_control_wanted,
	};
	struct dp_table_report r;
	const char *name = dp.conf.srtp == DP_CONF_SRTP_LIBSRTP2 ? "libsrtp2" : "ipsec_mb";
	int err;

	dp.backend = dp_srtp_backend_find(name);
	if (!dp.backend) {
		sh_error(SUBSYS, "srtp: %s does not run on this machine", name);
		return -ENOTSUP;
	}
	cfg.backend = dp.backend;
	err = dp_table_init(&cfg);
	if (!err)
		err = dp_table_rebuild(&r);
	if (!err && r.endpoints + r.dropped)
		sh_info(SUBSYS,
		        "taken over: %u endpoints, %u tracks, %u subscriptions; %u entries wiped",
		        r.endpoints, r.tracks, r.subs, r.dropped);
	return err;
}

/* ---- routes, workers, control ---- */

static int routes_start(void)
{
	struct dp_route_port port[DP_PORTS_MAX];
	struct dp_route_params rp = {
	    .port = port,
	    .ports = dp_port_count,
	    .endpoints = dp_slabs.endpoints,
	    .addr = dp.addr,
	    .addrs = dp.conf.addresses.n,
	};

	for (unsigned i = 0; i < dp_port_count; i++) {
		const struct dp_port *p = &dp_ports[i];

		port[i] = (struct dp_route_port){
		    .eth = p->eth,
		    .ifindex = p->ifindex,
		    .loopback = p->loopback,
		    .mtu = p->mtu,
		    .ol4 = p->ol4,
		    .ol6 = p->ol6,
		};
		memcpy(port[i].mac, p->mac, sizeof(port[i].mac));
	}
	return dp_route_open(&rp);
}

static void configure_nodes(void)
{
	const struct dp_conf *c = &dp.conf;
	struct dp_nodes_config *n = &dp_nodes_config;

	n->history_video = rte_align32pow2(RTE_MAX(c->history, 64u));
	n->history_audio = rte_align32pow2(RTE_MAX(c->history / 4, 64u));
	n->nack = c->nack;
	n->pli_interval_ms = c->pli_interval;
	n->consent_s = c->consent;
	n->bwe_start_kbps = c->bwe_start;
	n->bwe_min_kbps = c->bwe_min;
	n->bwe_max_kbps = c->bwe_max;
	n->pacing = c->pacing;
	n->probing = c->probing;
}

#ifdef CALLSTACK_IMPAIRMENT
static int configure_impairment(void)
{
	const struct dp_conf *c = &dp.conf;
	struct dp_impair_config *to = &dp_impair_config;

#define WAY(at, dir)                                                                               \
	to->way[at] = (struct dp_impair_way){c->impair_##dir##_loss,    c->impair_##dir##_loss_bad,   \
	                                     c->impair_##dir##_to_bad,  c->impair_##dir##_to_good,    \
	                                     c->impair_##dir##_rate,    c->impair_##dir##_queue,      \
	                                     c->impair_##dir##_burst,   c->impair_##dir##_delay,      \
	                                     c->impair_##dir##_jitter,  c->impair_##dir##_reorder,    \
	                                     c->impair_##dir##_reorder_by, c->impair_##dir##_duplicate}
	WAY(DP_IMPAIR_IN, in);
	WAY(DP_IMPAIR_OUT, out);
#undef WAY
	to->seed = c->impair_seed;
	if (c->impair_peer[0] && sh_addr_parse(&to->peer, c->impair_peer)) {
		sh_error(SUBSYS, "impairment.peer: %s: not an address", c->impair_peer);
		return -EINVAL;
	}
	sh_warn(SUBSYS, "this build can impair packets on purpose: not for use");
	return 0;
}
#endif

static int workers_start(void)
{
	struct dp_run_params rp = {
	    .workers = dp.conf.workers,
	    .base_port = (uint16_t)dp.conf.base_port,
	    .poll = (enum dp_poll)dp.conf.poll,
	    .poll_sleep_us = dp.conf.poll_sleep,
	    .pool = dp.pool,
	    .backend = dp.backend,
	    .enter = dp_privilege_drop_worker,
	};

	configure_nodes();
#ifdef CALLSTACK_IMPAIRMENT
	if (configure_impairment())
		return -EINVAL;
#endif
	return dp_workers_init(&rp);
}

static int control_start(void)
{
	struct dp_control_params cp = {
	    .conf = &dp.conf, .pool = dp.pool, .epoch = dp.epoch, .uid = dp.uid, .gid = dp.gid};

	return dp_control_open(&cp);
}

static int privilege_start(void)
{
	return dp_privilege_drop(dp.uid, dp.gid);
}

/* ---- stages ---- */

static const struct stage {
	const char *name;
	int (*start)(void);
	void (*stop)(void);
} stages[] = {
    {"process", process_start, NULL},
    {"state", state_start, state_stop},
    {"eal", eal_start, NULL},
    {"pool", pool_start, pool_stop},
    {"ports", ports_start, dp_ports_close},
    {"tables", tables_start, dp_table_free},
    {"routes", routes_start, dp_route_close},
    {"workers", workers_start, dp_workers_free},
    {"control", control_start, dp_control_close},
    {"privileges", privilege_start, NULL},
    {"run", dp_workers_start, dp_workers_stop},
};

/* Half-begun stages are stopped too: each stop takes what there is. */
static void stop_from(unsigned n)
{
	while (n-- > 0)
		if (stages[n].stop)
			stages[n].stop();
}

int main(int argc, char **argv)
{
	int status = sh_conf_args(&dp_conf_table, &dp.conf, argc, argv);

	if (status >= 0)
		return status;
	sh_log_levels(dp.conf.log);
	for (unsigned i = 0; i < RTE_DIM(stages); i++) {
		int err = stages[i].start();

		if (err) {
			sh_error(SUBSYS, "start: %s: %s", stages[i].name, strerror(-err));
			stop_from(i + 1);
			return EXIT_FAILURE;
		}
	}
	sh_info(SUBSYS, "%u workers on UDP %u; srtp %s", dp.conf.workers, dp.conf.base_port,
	        dp_srtp_backend_name(dp.backend));
	status = dp_control_run();
	stop_from(RTE_DIM(stages));
	return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
