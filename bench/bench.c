#include "bench/bench.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct bench {
	const char *name, *json_file, *filter;
	bool quick;
	unsigned runs;
	const char *const *columns;
	unsigned n_columns;
	bool heading;
	char **argv;
	json_t *rows, *facts;
};

static double tick_ns; // ns a tick

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	unsigned aux;

	return __rdtscp(&aux);
#else
	return clock_ns();
#endif
}

double bench_ticks_to_ns(double ticks)
{
	return ticks * tick_ns;
}

static void calibrate(void)
{
	uint64_t t0 = clock_ns(), c0 = bench_ticks(), t1;

	do
		t1 = clock_ns();
	while (t1 - t0 < 20000000);
	tick_ns = (double)(t1 - t0) / (double)(bench_ticks() - c0);
}

static void cpu_fact(struct bench *b)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256], family[32] = "";

	while (f && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		line[strcspn(line, "\n")] = 0;
		if (value && strncmp(line, "cpu family", 10) == 0) {
			snprintf(family, sizeof(family), "%.16s", value + 2);
			bench_fact(b, "cpu_family", family);
		} else if (value && strncmp(line, "model name", 10) == 0) {
			bench_fact(b, "cpu", value + 2);
			break;
		}
	}
	if (f)
		fclose(f);
}

static __attribute__((noreturn)) void usage_exit(const char *name, const char *usage, int code)
{
	fprintf(code ? stderr : stdout,
	        "usage: %s [--quick] [--json FILE] [--runs N] [--filter TEXT]%s%s\n", name,
	        *usage ? " " : "", usage);
	exit(code);
}

struct bench *bench_open(const char *name, const char *usage, int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->name = name;
	b->argv = argv;
	b->rows = json_array();
	b->facts = json_object();
	for (int i = 1; i < argc; i++) {
		const char *value = argv[i + 1];

		if (strcmp(argv[i], "--quick") == 0) {
			b->quick = true;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0)
			usage_exit(name, usage, 0);
		if (strncmp(argv[i], "--", 2) != 0 || !value)
			usage_exit(name, usage, 2);
		if (strcmp(argv[i], "--json") == 0)
			b->json_file = value;
		else if (strcmp(argv[i], "--filter") == 0)
			b->filter = value;
		else if (strcmp(argv[i], "--runs") == 0)
			b->runs = (unsigned)strtoul(value, NULL, 10);
		else if (!strstr(usage, argv[i]))
			usage_exit(name, usage, 2);
		i++;
	}
	if (b->runs == 0)
		b->runs = b->quick ? 3 : 7;
	if (b->runs > BENCH_RUNS_MAX)
		b->runs = BENCH_RUNS_MAX;
	calibrate();
	cpu_fact(b);
	return b;
}

unsigned long bench_option(struct bench *b, const char *name, unsigned long otherwise)
{
	for (char **a = b->argv + 1; *a; a++) {
		char *end;
		unsigned long v;

		if (strcmp(*a, name) != 0 || !a[1])
			continue;
		v = strtoul(a[1], &end, 10);
		if (*end || end == a[1]) {
			fprintf(stderr, "%s: %s wants a number, not \"%s\"\n", b->name, name, a[1]);
			exit(2);
		}
		return v;
	}
	return otherwise;
}

const char *bench_text(struct bench *b, const char *name)
{
	for (char **a = b->argv + 1; *a; a++)
		if (strcmp(*a, name) == 0)
			return a[1];
	return NULL;
}

bool bench_quick(const struct bench *b)
{
	return b->quick;
}

unsigned bench_runs(const struct bench *b)
{
	return b->runs;
}

void bench_columns(struct bench *b, const char *const *names)
{
	b->columns = names;
	for (b->n_columns = 0; names[b->n_columns]; b->n_columns++)
		;
	b->heading = false;
}

bool bench_wanted(const struct bench *b, const char *const *values)
{
	if (!b->filter)
		return true;
	for (unsigned i = 0; i < b->n_columns; i++)
		if (strstr(values[i], b->filter))
			return true;
	return false;
}

void bench_fact(struct bench *b, const char *key, const char *value)
{
	printf("%s: %s\n", key, value);
	json_object_set_new(b->facts, key, json_string(value));
}

void bench_tsc_fact(struct bench *b)
{
	char text[32];

	snprintf(text, sizeof(text), "%.0f", 1e9 / tick_ns);
	bench_fact(b, "tsc_hz", text);
}

static json_t *json_value(const char *text)
{
	char *end;
	long long v = strtoll(text, &end, 10);

	return *text && !*end ? json_integer(v) : json_string(text);
}

void bench_row(struct bench *b, const char *const *values, const struct bench_stat *stat,
               const struct bench_stat *floor)
{
	json_t *row = json_object();

	if (!b->heading) {
		for (unsigned i = 0; i < b->n_columns; i++)
			printf("%-*s", i ? 11 : 20, b->columns[i]);
		printf("%10s%10s%10s%10s%8s\n", "min", "median", "max", "floor", "ratio");
		b->heading = true;
	}
	for (unsigned i = 0; i < b->n_columns; i++) {
		printf("%-*s", i ? 11 : 20, values[i]);
		json_object_set_new(row, b->columns[i], json_value(values[i]));
	}
	printf("%10.1f%10.1f%10.1f", stat->min, stat->median, stat->max);
	json_object_set_new(row, "min", json_real(stat->min));
	json_object_set_new(row, "median", json_real(stat->median));
	json_object_set_new(row, "max", json_real(stat->max));
	json_object_set_new(row, "runs", json_integer(stat->runs));
	if (floor && floor->runs) {
		printf("%10.1f%8.2f", floor->median, stat->median / floor->median);
		json_object_set_new(row, "floor", json_real(floor->median));
		json_object_set_new(row, "ratio", json_real(stat->median / floor->median));
	}
	putchar('\n');
	fflush(stdout);
	json_array_append_new(b->rows, row);
}

void bench_row_value(struct bench *b, const char *group, const char *key, double value)
{
	json_t *row = json_array_get(b->rows, json_array_size(b->rows) - 1);

	if (group && !json_object_get(row, group))
		json_object_set_new(row, group, json_object());
	json_object_set_new(group ? json_object_get(row, group) : row, key, json_real(value));
}

int bench_close(struct bench *b)
{
	json_t *root = json_pack("{s:s, s:s, s:b, s:o, s:o}", "bench", b->name, "unit", "ns",
	                         "quick", b->quick, "facts", b->facts, "rows", b->rows);
	int err = 0;

	if (b->json_file &&
	    json_dump_file(root, b->json_file, JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
		fprintf(stderr, "%s: cannot write %s: %s\n", b->name, b->json_file,
		        strerror(errno));
		err = 1;
	}
	json_decref(root);
	free(b);
	return err;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct bench_stat bench_stat(double *samples, unsigned n)
{
	qsort(samples, n, sizeof(*samples), by_value);
	return (struct bench_stat){
	    .min = samples[0],
	    .median = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2,
	    .max = samples[n - 1],
	    .runs = n,
	};
}

uint64_t bench_switches(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? (uint64_t)u.ru_nivcsw : 0;
}

static double stolen_ms(unsigned cpu)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[256], name[16];
	unsigned long long stolen = 0;

	snprintf(name, sizeof(name), "cpu%u ", cpu);
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 &&
		    sscanf(line, "%*s %*u %*u %*u %*u %*u %*u %*u %llu", &stolen) == 1)
			break;
	if (f)
		fclose(f);
	return (double)stolen * 1000 / (double)sysconf(_SC_CLK_TCK);
}

void bench_host(struct bench_host *out, unsigned cpu)
{
	FILE *f = fopen("/proc/thread-self/schedstat", "r");
	unsigned long long waited = 0;

	if (f && fscanf(f, "%*u %llu", &waited) != 1)
		waited = 0;
	if (f)
		fclose(f);
	*out = (struct bench_host){bench_switches(), (double)waited / 1e6, stolen_ms(cpu)};
}

void *bench_memory(size_t n)
{
	const size_t huge = 2u << 20;
	uint8_t *p =
	    mmap(NULL, n + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "no memory: %zu bytes\n", n);
		abort();
	}
	p = (uint8_t *)(((uintptr_t)p + huge - 1) & ~(uintptr_t)(huge - 1));
	madvise(p, n, MADV_HUGEPAGE);
	memset(p, 0, n);
	return p;
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
