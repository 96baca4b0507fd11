#include "tests/fakes/nth_alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_ulong counted, failing;
static atomic_long live;
static atomic_bool on;

/* Code that is not under test. */
static struct {
	uintptr_t from, to;
} exempt[16];
static unsigned n_exempt;

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (!strstr(info->dlpi_name, "libcmocka") && !strstr(info->dlpi_name, "/ld-"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && n_exempt < 16; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type != PT_LOAD || !(h->p_flags & PF_X))
			continue;
		exempt[n_exempt].from = info->dlpi_addr + h->p_vaddr;
		exempt[n_exempt++].to = info->dlpi_addr + h->p_vaddr + h->p_memsz;
	}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("NTH_ALLOC");

	dl_iterate_phdr(look, NULL);
	failing = n ? strtoul(n, NULL, 10) : 0;
	on = true;
}

/* For the runner: how many there were. */
__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("NTH_ALLOC_REPORT");
	char text[32];

	on = false;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	int len = snprintf(text, sizeof(text), "%lu\n", counted);
	if (write(fd, text, (size_t)len) != len)
		abort();
	close(fd);
}

static bool under_test(const void *caller)
{
	if (!on)
		return false;
	for (unsigned i = 0; i < n_exempt; i++)
		if ((uintptr_t)caller >= exempt[i].from && (uintptr_t)caller < exempt[i].to)
			return false;
	return true;
}

/* Is this the one? */
static bool fails(const void *caller)
{
	if (!under_test(caller))
		return false;
	unsigned long n = ++counted;
	if (n != failing)
		return false;
	errno = ENOMEM;
	return true;
}

static void *got(void *p, const void *caller)
{
	if (p && under_test(caller))
		live++;
	return p;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
	return fails(CALLER) ? NULL : got(__libc_malloc(n), CALLER);
}

void *calloc(size_t n, size_t size)
{
	return fails(CALLER) ? NULL : got(__libc_calloc(n, size), CALLER);
}

void *realloc(void *p, size_t n)
{
	if (fails(CALLER))
		return NULL;
	void *q = __libc_realloc(p, n);
	return p ? q : got(q, CALLER);
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
	return fails(CALLER) ? NULL : got(__libc_memalign(align, n), CALLER);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails(CALLER) ? NULL : got(__libc_memalign(align, n), CALLER);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	if (fails(CALLER))
		return ENOMEM;
	*out = got(__libc_memalign(align, n), CALLER);
	return *out ? 0 : ENOMEM;
}

void free(void *p)
{
	if (p && under_test(CALLER))
		live--;
	__libc_free(p);
}

void nth_alloc_arm(unsigned long n)
{
	counted = 0;
	failing = n;
}

unsigned long nth_alloc_count(void)
{
	return counted;
}

long nth_alloc_live(void)
{
	return live;
}
