#include "controlplane/ops/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int join(const struct doctor *d, char *path, size_t size, const char *fmt, va_list ap)
{
	int n = snprintf(path, size, "%s", d->root), m;

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	m = vsnprintf(path + n, size - (size_t)n, fmt, ap);
	return m < 0 || (size_t)m >= size - (size_t)n ? -ENAMETOOLONG : 0;
}

#define JOIN(path)                                                                                 \
	char path[PATH_MAX];                                                                       \
	va_list ap_;                                                                               \
	int err;                                                                                   \
                                                                                                   \
	va_start(ap_, fmt);                                                                        \
	err = join(d, path, sizeof(path), fmt, ap_);                                               \
	va_end(ap_);                                                                               \
	if (err)                                                                                   \
		return err;

int doctor_path(const struct doctor *d, char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = join(d, out, size, fmt, ap);
	va_end(ap);
	return err;
}

static int first_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");
	bool got;

	if (!f)
		return -errno;
	errno = 0;
	got = fgets(out, (int)size, f);
	if (!got) {
		int error = ferror(f) ? errno : 0;

		fclose(f);
		out[0] = '\0';
		return -error; // an empty file is an empty line
	}
	fclose(f);
	for (size_t n = strlen(out); n && isspace((unsigned char)out[n - 1]); n--)
		out[n - 1] = '\0';
	return 0;
}

int doctor_line(const struct doctor *d, char *out, size_t size, const char *fmt, ...)
{
	JOIN(path);
	return first_line(path, out, size);
}

int doctor_number(const struct doctor *d, long long *out, const char *fmt, ...)
{
	char text[64], *end;

	JOIN(path);
	err = first_line(path, text, sizeof(text));
	if (err)
		return err;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return end == text || errno ? -EINVAL : 0;
}

int doctor_cpus(const struct doctor *d, cpu_set_t *out, const char *fmt, ...)
{
	char text[4096];

	CPU_ZERO(out);
	JOIN(path);
	err = first_line(path, text, sizeof(text));
	return err ? err : doctor_parse_cpus(text, out);
}

int doctor_link(const struct doctor *d, char *out, size_t size, const char *fmt, ...)
{
	char to[PATH_MAX], *slash;
	ssize_t n;

	JOIN(path);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	slash = strrchr(to, '/');
	snprintf(out, size, "%s", slash ? slash + 1 : to);
	return 0;
}

int doctor_field(const struct doctor *d, char *out, size_t size, const char *name, const char *key)
{
	size_t n = strlen(key), cap = 0;
	char path[PATH_MAX], *line = NULL;
	int err = doctor_path(d, path, sizeof(path), "%s", name);
	FILE *f = err ? NULL : fopen(path, "re");

	if (!f)
		return err ? err : -errno;
	err = -ENOENT;
	while (err && getline(&line, &cap, f) > 0) {
		char *at = line + n, *end;

		if (strncmp(line, key, n) != 0)
			continue;
		at += strspn(at, " \t");
		if (*at++ != ':')
			continue;
		at += strspn(at, " \t");
		for (end = at + strlen(at); end > at && isspace((unsigned char)end[-1]);)
			*--end = '\0';
		snprintf(out, size, "%s", at);
		err = 0;
	}
	free(line);
	fclose(f);
	return err;
}

int doctor_entries(const struct doctor *d, void (*each)(const char *name, void *arg), void *arg,
                   const char *fmt, ...)
{
	struct dirent *e;
	DIR *dir;

	JOIN(path);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			each(e->d_name, arg);
	closedir(dir);
	return 0;
}

/* Calls for each CPU; stops at what is not a list. */
static int walk(const char *text, void (*each)(unsigned cpu, void *arg), void *arg)
{
	while (isdigit((unsigned char)*text)) {
		char *end;
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		if (b >= DOCTOR_CPUS)
			return -ERANGE;
		for (; a <= b; a++)
			each((unsigned)a, arg);
		if (*end != ',')
			return *end ? -EINVAL : 0;
		text = end + 1;
	}
	return *text ? -EINVAL : 0;
}

static void into_set(unsigned cpu, void *arg)
{
	CPU_SET(cpu, (cpu_set_t *)arg);
}

int doctor_parse_cpus(const char *text, cpu_set_t *out)
{
	CPU_ZERO(out);
	return walk(text, into_set, out);
}

struct order {
	int *v;
	unsigned n, most;
};

static void into_order(unsigned cpu, void *arg)
{
	struct order *o = arg;

	if (o->n < o->most)
		o->v[o->n] = (int)cpu;
	o->n++;
}

unsigned doctor_parse_order(const char *text, int *v, unsigned most)
{
	struct order o = {v, 0, most};

	walk(text, into_order, &o);
	return o.n;
}

void doctor_parse_mask(const char *text, cpu_set_t *out)
{
	unsigned cpu = 0;

	CPU_ZERO(out);
	for (const char *p = text + strlen(text); p > text && cpu + 4 <= DOCTOR_CPUS;) {
		int c = tolower((unsigned char)*--p), v;

		if (!isxdigit(c))
			continue;
		v = isdigit(c) ? c - '0' : c - 'a' + 10;
		for (unsigned b = 0; b < 4; b++)
			if (v >> b & 1)
				CPU_SET(cpu + b, out);
		cpu += 4;
	}
}

const char *doctor_cpu_text(char *buf, size_t size, const cpu_set_t *set)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int a = 0; a < DOCTOR_CPUS && at < size; a++) {
		int b = a;

		if (!CPU_ISSET(a, set))
			continue;
		while (b + 1 < DOCTOR_CPUS && CPU_ISSET(b + 1, set))
			b++;
		at += (size_t)snprintf(buf + at, size - at, b > a ? "%s%d-%d" : "%s%d",
		                       at ? "," : "", a, b);
		a = b;
	}
	return buf;
}

bool doctor_has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n)
		if ((p == text || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}
