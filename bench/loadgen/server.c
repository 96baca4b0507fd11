#include "bench/loadgen/server.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>
#include "bench/bench.h"
#include "bench/loadgen/lg.h"

enum { PIDS = 10, NODES_MS = 1000 };

static pid_t pid[PIDS], dataplane;
static unsigned pids;

static pid_t read_pid(const char *name)
{
	char path[320], line[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.pid", lg_sc.rundir, name);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		lg_say("server.rundir: %s: %s", path, strerror(errno));
	if (f)
		fclose(f);
	return atoi(line);
}

int lg_server_open(void)
{
	for (unsigned i = 0; i < lg_sc.pids.n; i++) {
		pid[pids] = atoi(lg_sc.pids.v[i]);
		if (pid[pids] <= 0 || kill(pid[pids], 0) < 0) {
			lg_say("server.pids: %s: no such process", lg_sc.pids.v[i]);
			return -ESRCH;
		}
		pids++;
	}
	if (!lg_sc.rundir[0])
		return 0;
	dataplane = read_pid("callstack-dataplane");
	if (dataplane <= 0)
		return -ESRCH;
	if (pids == 0) {
		pid[pids++] = dataplane;
		pid[pids] = read_pid("callstackd");
		pids += pid[pids] > 0;
	}
	return 0;
}

bool lg_server_known(void)
{
	return pids > 0;
}

/* schedstat of each thread would be exact but is not everywhere; stat counts ticks of 10 ms. */
static uint64_t cpu_of(pid_t p)
{
	char path[64], line[1024];
	unsigned long user = 0, sys = 0;
	FILE *f;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)p);
	f = fopen(path, "re");
	if (!f)
		return 0;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	fclose(f);
	return (user + sys) * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t rss_of(pid_t p)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)p);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %lu", &kb) != 1)
		;
	if (f)
		fclose(f);
	return kb;
}

/* Of the time-stamp counter. */
static double own_hz(void)
{
	static double hz;
	uint64_t ticks, ns;

	if (hz > 0)
		return hz;
	ticks = bench_ticks();
	ns = lg_now();
	usleep(50000);
	ticks = bench_ticks() - ticks;
	hz = (double)ticks * 1e9 / (double)(lg_now() - ns);
	return hz;
}

static void add_node(struct lg_server *s, const json_t *n)
{
	const char *name = json_string_value(json_object_get(n, "name"));
	unsigned i = 0;

	if (!name)
		return;
	while (i < s->nodes && strcmp(s->node[i].name, name) != 0)
		i++;
	if (i == LG_NODES)
		return;
	if (i == s->nodes) {
		snprintf(s->node[i].name, sizeof(s->node[i].name), "%s", name);
		s->nodes++;
	}
	s->node[i].packets += (uint64_t)json_integer_value(json_object_get(n, "packets"));
	s->node[i].cycles += (uint64_t)json_integer_value(json_object_get(n, "cycles"));
}

/* The dataplane writes it anew for us. */
static void read_nodes(struct lg_server *s)
{
	char path[320];
	struct stat old = {0}, st;
	json_t *root, *w, *n;
	size_t i, k;

	snprintf(path, sizeof(path), "%s/nodes.json", lg_sc.rundir);
	stat(path, &old);
	if (kill(dataplane, SIGUSR1) < 0)
		return;
	for (unsigned ms = 0; ms < NODES_MS; ms++) {
		if (stat(path, &st) == 0 && st.st_ino != old.st_ino)
			break;
		usleep(1000);
	}
	root = json_load_file(path, 0, NULL);
	if (!root)
		return;
	s->hz = (double)json_integer_value(json_object_get(root, "tsc_hz"));
	json_array_foreach (json_object_get(root, "workers"), i, w)
		json_array_foreach (json_object_get(w, "nodes"), k, n)
			add_node(s, n);
	json_decref(root);
}

void lg_server_read(struct lg_server *s)
{
	memset(s, 0, sizeof(*s));
	s->hz = own_hz();
	if (dataplane > 0)
		read_nodes(s);
	s->at_ns = lg_now();
	for (unsigned i = 0; i < pids; i++)
		s->cpu_ns += cpu_of(pid[i]);
	for (unsigned i = 0; i < pids; i++)
		s->rss_kb += rss_of(pid[i]);
}

double lg_server_cpu(const struct lg_server *from, const struct lg_server *to)
{
	return to->at_ns > from->at_ns
	           ? (double)(to->cpu_ns - from->cpu_ns) / (double)(to->at_ns - from->at_ns)
	           : 0;
}

bool lg_server_node(const struct lg_server *from, const struct lg_server *to, unsigned i,
                    struct lg_node *out)
{
	if (i >= to->nodes)
		return false;
	*out = to->node[i];
	for (unsigned k = 0; k < from->nodes; k++)
		if (strcmp(from->node[k].name, out->name) == 0) {
			out->packets -= from->node[k].packets;
			out->cycles -= from->node[k].cycles;
		}
	return true;
}
