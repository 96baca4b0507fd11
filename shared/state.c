#include "shared/state.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PAGE = 4096, HUGE = 2 << 20 };
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* The one layout for these counts. A mapping whose head says anything else is another build's. */
static void layout(struct sh_state *head, uint32_t endpoints, uint32_t tracks, uint32_t subs)
{
	const uint32_t size[3] = {sizeof(struct sh_endpoint), sizeof(struct sh_track),
	                          sizeof(struct sh_sub)};
	const uint32_t count[3] = {endpoints, tracks, subs};
	uint64_t at = page_up(sizeof(*head));

	head->magic = SH_STATE_MAGIC;
	head->version = SH_STATE_VERSION;
	head->counters = sh_stat_names(sh_stat_info, SH_STAT_COUNT);
	for (int i = 0; i < 3; i++) {
		head->entry_size[i] = size[i];
		head->count[i] = count[i];
		head->offset[i] = at;
		at = page_up(at + (uint64_t)size[i] * count[i]);
	}
	head->total = at;
}

static bool same_shape(const struct sh_state *a, const struct sh_state *b)
{
	return !memcmp(a, b, offsetof(struct sh_state, slab_epoch));
}

static bool counts_ok(const uint32_t count[3])
{
	for (int i = 0; i < 3; i++)
		if (count[i] < 1 || count[i] > 1u << SH_ID_INDEX_BITS)
			return false;
	return true;
}

/* Reads and checks the head without mapping, so that a truncated file is an error and not a SIGBUS.
 */
static int read_head(int fd, struct sh_state *head)
{
	struct sh_state want = {0};
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	ssize_t n = pread(fd, head, sizeof(*head), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*head) || head->magic != SH_STATE_MAGIC || !counts_ok(head->count))
		return -EPROTO;
	layout(&want, head->count[0], head->count[1], head->count[2]);
	if (!same_shape(head, &want) || (uint64_t)st.st_size != want.total)
		return -EPROTO;
	return 0;
}

/* The file at an address where huge pages can lie. */
static uint8_t *map_aligned(int fd, uint64_t total, int prot)
{
	uint8_t *room = mmap(NULL, total + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at, *end, *mem;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	at = (uint8_t *)(((uintptr_t)room + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	end = at + page_up(total);
	mem = mmap(at, total, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	if (mem == MAP_FAILED) {
		int err = errno;

		munmap(room, total + HUGE);
		errno = err;
		return mem;
	}
	if (at > room)
		munmap(room, (size_t)(at - room));
	if (room + page_up(total + HUGE) > end)
		munmap(end, (size_t)(room + page_up(total + HUGE) - end));
	return mem;
}

static int map(struct sh_slabs *out, int fd, const struct sh_state *shape, int prot)
{
	uint8_t *mem = map_aligned(fd, shape->total, prot);
	if (mem == MAP_FAILED)
		return -errno;
	/* A wish: with tens of thousands of entries, workers wait for page walks otherwise. Whatever
	 * transparent_hugepage/shmem_enabled says but "deny", and in kernels since 6.1. */
	if ((prot & PROT_WRITE) && shape->total >= HUGE)
		(void)madvise(mem, shape->total, MADV_COLLAPSE);
	*out = (struct sh_slabs){
	    .head = (struct sh_state *)mem,
	    .endpoint = (struct sh_endpoint *)(mem + shape->offset[0]),
	    .track = (struct sh_track *)(mem + shape->offset[1]),
	    .sub = (struct sh_sub *)(mem + shape->offset[2]),
	    .endpoints = shape->count[0],
	    .tracks = shape->count[1],
	    .subs = shape->count[2],
	    .fd = fd,
	    .bytes = shape->total,
	};
	return 0;
}

/* The lock says that a dataplane lives; it goes with the last descriptor, so a crash releases it.
 */
static int lock(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

/* An existing file of our shape. -EPROTO: there is one, but of another shape or not ours to trust.
 */
static int reuse(struct sh_slabs *out, int fd, const struct sh_state *want)
{
	struct sh_state head;
	struct stat st;

	int err = read_head(fd, &head);
	if (err)
		return err;
	if (!same_shape(&head, want))
		return -EPROTO;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid() && geteuid() != 0)
		return -EPROTO;
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600))
		return -errno;
	return map(out, fd, want, PROT_READ | PROT_WRITE);
}

/* Allocates every page now: on a full tmpfs a later first touch would be a SIGBUS in a worker. */
static int fill(struct sh_slabs *out, int fd, struct sh_state *want)
{
	if (fchmod(fd, 0600))
		return -errno;
	int err = lock(fd);
	if (err)
		return err;
	err = posix_fallocate(fd, 0, (off_t)want->total);
	if (err)
		return -err;
	do {
		if (getrandom(&want->slab_epoch, sizeof(want->slab_epoch), 0) < 0)
			return -errno;
	} while (want->slab_epoch == 0);
	err = map(out, fd, want, PROT_READ | PROT_WRITE);
	if (err)
		return err;
	memcpy(out->head, want, sizeof(*want));
	return 0;
}

/* A new file takes the old one's name in one step: whoever still maps the old one keeps it whole.
 */
static int replace(struct sh_slabs *out, const char *path, struct sh_state *want)
{
	char tmp[4096];

	if (snprintf(tmp, sizeof(tmp), "%s.%ld", path, (long)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	if (unlink(tmp) && errno != ENOENT)
		return -errno;
	int fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int err = fill(out, fd, want);
	if (!err && rename(tmp, path)) {
		err = -errno;
		munmap(out->head, want->total);
	}
	if (err) {
		unlink(tmp);
		close(fd);
	}
	return err;
}

const char *sh_state_path(char *buf, size_t size, const char *rundir)
{
	struct statfs fs;
	char real[PATH_MAX];
	uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a
	int n;

	if (statfs(rundir, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC && realpath(rundir, real)) {
		for (const char *c = real; *c; c++)
			hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
		n = snprintf(buf, size, "/dev/shm/callstack-%016llx.state", (unsigned long long)hash);
	} else {
		n = snprintf(buf, size, "%s/%s", rundir, SH_STATE_FILE);
	}
	return n >= 0 && (size_t)n < size ? buf : NULL;
}

int sh_slabs_create(struct sh_slabs *out, const char *path, uint32_t endpoints, uint32_t tracks,
                    uint32_t subs, bool *created)
{
	struct sh_state want = {0};
	const uint32_t count[3] = {endpoints, tracks, subs};

	*out = (struct sh_slabs){.fd = -1};
	*created = false;
	if (!counts_ok(count))
		return -EINVAL;
	layout(&want, endpoints, tracks, subs);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT && errno != EACCES)
		return -errno;
	int err = -EPROTO;
	if (fd >= 0) {
		err = lock(fd);
		if (!err)
			err = reuse(out, fd, &want);
	}
	if (err == -EPROTO) {
		err = replace(out, path, &want);
		*created = !err;
		if (fd >= 0)
			close(fd);
	} else if (err) {
		close(fd);
	}
	if (err)
		*out = (struct sh_slabs){.fd = -1};
	return err;
}

int sh_slabs_open(struct sh_slabs *out, const char *path)
{
	struct sh_state head;

	*out = (struct sh_slabs){.fd = -1};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int err = read_head(fd, &head);
	if (!err)
		err = map(out, fd, &head, PROT_READ);
	if (err)
		close(fd);
	return err;
}

void sh_slabs_close(struct sh_slabs *s)
{
	if (s->head)
		munmap(s->head, s->bytes);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct sh_slabs){.fd = -1};
}
