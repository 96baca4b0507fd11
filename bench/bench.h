/* What every bench shares: a clock, minimum/median/maximum of several runs, a table on standard
 * output, and the same rows as JSON. A bench measures its floor in the same run and gives it with
 * each row, so that results compare across machines as ratios. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;

struct bench_stat {
	double min, median, max; // ns an item, as a rule
	unsigned runs;           // 0: not measured
};

/* Parses the options that all benches have: --quick (small and short, for tests), --json FILE,
 * --runs N, --filter TEXT (rows whose values hold TEXT), --help. `usage` describes further ones,
 * which bench_option() takes. Exits with a message when an option is wrong. The table's heading is
 * printed by the first row. */
struct bench *bench_open(const char *name, const char *usage, int argc, char **argv);
/* Value of "--name N" as a number, or `otherwise`; call for each option before the first row. */
unsigned long bench_option(struct bench *b, const char *name, unsigned long otherwise);
/* The same as text; NULL: not given. */
const char *bench_text(struct bench *b, const char *name);
bool bench_quick(const struct bench *b);
unsigned bench_runs(const struct bench *b); // how often to measure each row; 1..BENCH_RUNS_MAX
enum { BENCH_RUNS_MAX = 64 };

/* Names of the columns that tell rows apart, NULL behind the last. Literals, not copied. */
void bench_columns(struct bench *b, const char *const *names);
/* Whether --filter lets a row with these values through; ask before measuring. */
bool bench_wanted(const struct bench *b, const char *const *values);
/* A row: as many values as columns; value's unit is ns a packet unless the columns say otherwise.
 * floor: what the ratio (median to median) is taken to; NULL: no ratio. */
void bench_row(struct bench *b, const char *const *values, const struct bench_stat *stat,
               const struct bench_stat *floor);
/* More about the last row, for the JSON; group: name of an object in it, or NULL. */
void bench_row_value(struct bench *b, const char *group, const char *key, double value);
/* A fact about the run, for both outputs: "cpu", "tsc_hz", … */
void bench_fact(struct bench *b, const char *key, const char *value);
void bench_tsc_fact(struct bench *b); // "tsc_hz": of bench_ticks()
/* Writes the JSON file; returns the process's exit code. b is freed. */
int bench_close(struct bench *b);

/* Of n samples, which are sorted in place. */
struct bench_stat bench_stat(double *samples, unsigned n);

/* Cycles of a clock of constant rate, and its rate. On x86 the time-stamp counter; elsewhere ns. */
uint64_t bench_ticks(void);
double bench_ticks_to_ns(double ticks);

/* How often the kernel took the CPU away from this thread: what was timed meanwhile says nothing.
 */
uint64_t bench_switches(void);

/* What others have taken of this thread and its CPU since they began to count. */
struct bench_host {
	uint64_t switches; // times that the kernel took the CPU away
	double waited_ms;  // this thread was runnable and another ran
	double stolen_ms;  // the hypervisor ran another guest on the CPU, in the kernel's ticks
};
void bench_host(struct bench_host *out, unsigned cpu);

/* n bytes of zeroed memory on huge pages when the kernel gives them, 2 MiB aligned; aborts when
 * there is none. Never freed: it is a bench. */
void *bench_memory(size_t n);
/* A deterministic sequence, so that runs compare. */
uint64_t bench_random(uint64_t *state);
