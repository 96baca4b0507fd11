/* The ring: its rules one by one, two threads (for TSan), two processes, and peers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shared/ring.h"
#include "tests/fakes/guarded.h"

#if defined(__SANITIZE_THREAD__)
enum { RECORDS = 200000, PROCESS_RECORDS = 200000 };
#else
enum { RECORDS = 1000000, PROCESS_RECORDS = 3000000 };
#endif
enum { CAP = 4096, LEN_MAX = 1600 };

static struct guarded memory(uint32_t capacity, struct sh_ring_end *writer,
                             struct sh_ring_end *reader)
{
	struct guarded g = guarded_alloc(sh_ring_bytes(capacity));

	assert_int_equal(sh_ring_attach(writer, g.mem, capacity), 0);
	assert_int_equal(sh_ring_attach(reader, g.mem, capacity), 0);
	return g;
}

static bool put(struct sh_ring_end *w, uint16_t type, uint16_t flags, const void *body,
                uint32_t len)
{
	void *at = sh_ring_reserve(w, type, flags, len);
	if (!at)
		return false;
	memcpy(at, body, len);
	sh_ring_commit(w);
	return true;
}

static void attach_rules(void **state)
{
	static const struct {
		uint32_t capacity;
		int offset, want;
	} t[] = {
	    {4096, 0, 0},       {4096, 8, -EINVAL},        {4095, 0, -EINVAL},
	    {2048, 0, -EINVAL}, {0, 0, -EINVAL},           {6144, 0, -EINVAL},
	    {64 << 20, 0, 0},   {128 << 20, 0, -EINVAL},   {1u << 31, 0, -EINVAL},
	    {64 << 20, 64, 0},  {0xffffffffu, 0, -EINVAL},
	};
	_Alignas(64) static uint8_t mem[256];
	struct sh_ring_end end;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(sh_ring_attach(&end, mem + t[i].offset, t[i].capacity), t[i].want);
	assert_int_equal(sh_ring_attach(&end, NULL, 4096), -EINVAL);
	assert_int_equal(sh_ring_bytes(4096), sizeof(struct sh_ring) + 4096);
}

static void one_record(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r);
	const struct sh_rec *rec;

	assert_int_equal(sh_ring_peek(&r, &rec), -EAGAIN);
	uint8_t *at = sh_ring_reserve(&w, 7, SH_REC_SECRET, 5);
	assert_non_null(at);
	assert_int_equal((uintptr_t)at % 8, 0);
	memcpy(at, "hello", 5);
	assert_int_equal(sh_ring_peek(&r, &rec), -EAGAIN); // not yet published
	sh_ring_commit(&w);
	for (int i = 0; i < 2; i++) { // peek shows the same one until release
		assert_int_equal(sh_ring_peek(&r, &rec), 0);
		assert_int_equal(rec->len, 5);
		assert_int_equal(rec->type, 7);
		assert_int_equal(rec->flags, SH_REC_SECRET);
		assert_memory_equal(rec->body, "hello", 5);
	}
	sh_ring_release(&r);
	assert_memory_equal(at, "\0\0\0\0\0\0\0\0", 8); // secret: wiped in the slot
	sh_ring_release(&r);                            // nothing shown: nothing released
	assert_int_equal(sh_ring_peek(&r, &rec), -EAGAIN);
	assert_int_equal(r.ring->tail, 16);
	guarded_free(&g);
}

static void take_copies(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r);
	uint64_t buf[2] = {0, 0x1122334455667788};
	struct sh_rec hdr;

	assert_true(put(&w, 3, SH_REC_SECRET, "12345678", 8));
	assert_true(put(&w, 4, 0, "123456789", 9));
	assert_true(put(&w, 5, 0, "", 0));
	assert_int_equal(sh_ring_take(&r, &hdr, buf, 8), 0);
	assert_int_equal(hdr.type, 3);
	assert_int_equal(hdr.len, 8);
	assert_memory_equal(buf, "12345678", 8);
	assert_int_equal(buf[1], 0x1122334455667788);
	assert_memory_equal(r.ring->data + 8, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(sh_ring_take(&r, &hdr, buf, 8),
	                 -EMSGSIZE); // skipped, and said what it was
	assert_int_equal(hdr.type, 4);
	assert_int_equal(hdr.len, 9);
	assert_int_equal(sh_ring_take(&r, &hdr, buf, 8), 0);
	assert_int_equal(hdr.type, 5);
	assert_int_equal(hdr.len, 0);
	assert_int_equal(sh_ring_take(&r, &hdr, buf, 8), -EAGAIN);
	guarded_free(&g);
}

static void full_and_too_large(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r);
	const struct sh_rec *rec;
	unsigned n = 0;

	assert_null(sh_ring_reserve(&w, 1, 0, CAP / 2));
	assert_null(sh_ring_reserve(&w, 1, 0, 65529));
	assert_null(sh_ring_reserve(&w, 1, 0, 0xffffffff));
	assert_null(sh_ring_reserve(&w, 0, 0, 8)); // the type of padding is the ring's own
	assert_int_equal(w.ring->full, 0);
	while (put(&w, 1, 0, "x", 1))
		n++;
	assert_int_equal(n, CAP / 16);
	assert_int_equal(w.ring->full, 1);
	assert_null(sh_ring_reserve(&w, 1, 0, 0));
	assert_int_equal(w.ring->full, 2);
	assert_int_equal(sh_ring_peek(&r, &rec), 0);
	sh_ring_release(&r);
	assert_true(put(&w, 1, 0, "x", 1)); // exactly the room that was made
	assert_null(sh_ring_reserve(&w, 1, 0, 0));
	guarded_free(&g);
}

/* The largest record goes in from every position of an empty ring. */
static void every_offset(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r);
	static uint8_t big[CAP / 2 - 8], got[CAP];
	struct sh_rec hdr;

	memset(big, 0xa5, sizeof(big));
	for (unsigned i = 0; i < CAP / 8 * 3; i++) {
		assert_true(put(&w, 1, 0, "", 0));
		assert_int_equal(sh_ring_take(&r, &hdr, got, sizeof(got)), 0);
		assert_true(put(&w, 2, 0, big, sizeof(big)));
		assert_int_equal(sh_ring_take(&r, &hdr, got, sizeof(got)), 0);
		assert_int_equal(hdr.len, sizeof(big));
		assert_memory_equal(got, big, sizeof(big));
	}
	assert_int_equal(w.ring->full, 0);
	guarded_free(&g);
}

static void sleeping(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r);

	assert_true(put(&w, 1, 0, "x", 1));
	assert_false(sh_ring_wake_needed(&w)); // awake
	assert_false(sh_ring_sleep(&r));       // something is there: do not block
	const struct sh_rec *rec;
	assert_int_equal(sh_ring_peek(&r, &rec), 0);
	sh_ring_release(&r);
	assert_true(sh_ring_sleep(&r));
	assert_false(sh_ring_wake_needed(&w)); // asleep, and nothing to read: two such would wake each other for ever
	assert_true(put(&w, 1, 0, "x", 1));
	assert_true(sh_ring_wake_needed(&w));
	assert_false(sh_ring_wake_needed(&w)); // once
	guarded_free(&g);
}

/* ---- records whose content follows from their number ---- */

static uint32_t mix(uint32_t n)
{
	n ^= n >> 16;
	n *= 0x7feb352dU;
	n ^= n >> 15;
	n *= 0x846ca68bU;
	return n ^ n >> 16;
}

static uint32_t len_of(uint32_t n)
{
	return 4 + mix(n) % (LEN_MAX - 4);
}

static bool write_numbered(struct sh_ring_end *w, uint32_t n)
{
	uint32_t len = len_of(n);
	uint8_t *at = sh_ring_reserve(w, (uint16_t)(1 + n % 60), 0, len);

	if (!at)
		return false;
	memcpy(at, &n, 4);
	memset(at + 4, (int)(n & 0xff), len - 4);
	sh_ring_commit(w);
	return true;
}

/* Plain checks, as cmocka's are not for other threads and processes. */
static bool numbered_ok(const struct sh_rec *hdr, const uint8_t *body, uint32_t n)
{
	uint32_t got;

	if (hdr->len != len_of(n) || hdr->type != 1 + n % 60)
		return false;
	memcpy(&got, body, 4);
	if (got != n)
		return false;
	for (uint32_t i = 4; i < hdr->len; i += 97)
		if (body[i] != (n & 0xff))
			return false;
	return body[hdr->len - 1] == (hdr->len == 4 ? ((uint8_t *)&n)[3] : (n & 0xff));
}

struct bell {
	struct sh_ring_end *w;
	int fd[2];
};

static void *writer_thread(void *arg)
{
	struct bell *b = arg;

	for (uint32_t n = 0; n < RECORDS; n++) {
		while (!write_numbered(b->w, n))
			sched_yield();
		if (sh_ring_wake_needed(b->w) && write(b->fd[1], "", 1) != 1)
			abort();
	}
	return NULL;
}

/* The reader really sleeps, so a lost wake-up would hang the test. */
static void two_threads(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(16384, &w, &r);
	static uint64_t body[LEN_MAX / 8 + 1];
	struct bell b = {.w = &w};
	unsigned sleeps = 0;
	struct sh_rec hdr;
	pthread_t t;
	char c;

	assert_int_equal(pipe(b.fd), 0);
	assert_int_equal(pthread_create(&t, NULL, writer_thread, &b), 0);
	for (uint32_t n = 0; n < RECORDS;) {
		int err = sh_ring_take(&r, &hdr, body, sizeof(body));
		if (err == 0) {
			assert_true(numbered_ok(&hdr, (uint8_t *)body, n));
			n++;
			continue;
		}
		assert_int_equal(err, -EAGAIN);
		if (sh_ring_sleep(&r)) {
			assert_int_equal(read(b.fd[0], &c, 1), 1);
			sleeps++;
		}
	}
	pthread_join(t, NULL);
	assert_true(sleeps > 0);
	assert_int_equal(sh_ring_take(&r, &hdr, body, sizeof(body)), -EAGAIN);
	close(b.fd[0]);
	close(b.fd[1]);
	guarded_free(&g);
}

/* Reads until want records came or, with want 0, until the writer is gone and the ring is empty. */
static uint32_t read_numbered(struct sh_ring_end *r, uint32_t from, uint32_t want)
{
	static uint64_t body[LEN_MAX / 8 + 1];
	struct sh_rec hdr;
	uint32_t n = from;

	while (want == 0 || n < from + want) {
		int err = sh_ring_take(r, &hdr, body, sizeof(body));
		if (err == -EAGAIN && want == 0)
			break;
		if (err == -EAGAIN) {
			sched_yield();
			continue;
		}
		assert_int_equal(err, 0);
		assert_true(numbered_ok(&hdr, (uint8_t *)body, n));
		n++;
	}
	return n - from;
}

static pid_t fork_writer(struct sh_ring_end *w, uint32_t records)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		for (uint32_t n = 0; records == 0 || n < records; n++)
			while (!write_numbered(w, n))
				sched_yield();
		_exit(0);
	}
	return pid;
}

static void two_processes(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(65536, &w, &r);
	int status;

	pid_t pid = fork_writer(&w, PROCESS_RECORDS);
	assert_int_equal(read_numbered(&r, 0, PROCESS_RECORDS), PROCESS_RECORDS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read_numbered(&r, PROCESS_RECORDS, 0), 0);
	guarded_free(&g);
}

/* Killed anywhere, even between two bytes of a record: the reader sees whole records, in order,
 * then nothing. */
static void killed_writer(void **state)
{
	for (uint32_t round = 0; round < 20; round++) {
		struct sh_ring_end w, r;
		struct guarded g = memory(65536, &w, &r);
		pid_t pid = fork_writer(&w, 0);
		uint32_t n = read_numbered(&r, 0, 1000 + mix(round) % 5000);

		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		uint32_t rest = read_numbered(&r, n, 0);
		assert_true(rest <= 65536 / 16);
		assert_int_equal(r.pos, r.ring->head);
		guarded_free(&g);
	}
}

/* ---- peers that lie ---- */

struct lie {
	const char *name;
	uint64_t head;     // what the writer claims
	struct sh_rec at0; // header at position `at`
	uint64_t pos;      // where the reader stands
	int want;
};

static void lying_writer(void **state)
{
	static const struct lie t[] = {
	    {"honest", 16, {.len = 8, .type = 1}, 0, 0},
	    {"head not a multiple of 8", 9, {.len = 1, .type = 1}, 0, -EBADMSG},
	    {"head beyond the capacity", CAP + 8, {.len = 8, .type = 1}, 0, -EBADMSG},
	    {"head far away", UINT64_MAX - 7, {.len = 8, .type = 1}, 0, -EBADMSG},
	    {"head behind the reader", 8, {.len = 8, .type = 1}, 16, -EBADMSG},
	    {"record longer than what is published", 16, {.len = 9, .type = 1}, 0, -EBADMSG},
	    {"record longer than any", 4096, {.len = 65529, .type = 1}, 0, -EBADMSG},
	    {"length that overflows", 4096, {.len = 0xffffffff, .type = 1}, 0, -EBADMSG},
	    {"length that overflows when rounded",
	     4096,
	     {.len = 0xfffffff9, .type = 1},
	     0,
	     -EBADMSG},
	    {"record over the ring's end", CAP + 8, {.len = 16, .type = 1}, CAP - 16, -EBADMSG},
	    {"record up to the ring's end", CAP, {.len = 8, .type = 1}, CAP - 16, 0},
	    {"padding at the start", 4096, {.len = 4088, .type = 0}, 0, -EBADMSG},
	    {"padding that ends too early", CAP, {.len = 8, .type = 0}, CAP - 24, -EBADMSG},
	    {"padding with nothing behind", CAP, {.len = 8, .type = 0}, CAP - 16, -EBADMSG},
	    {"padding, then padding", CAP + 16, {.len = 8, .type = 0}, CAP - 16, -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sh_ring_end w, r;
		struct guarded g = memory(CAP, &w, &r);
		const struct sh_rec *rec;
		struct sh_rec hdr;
		uint64_t body[CAP / 8];

		r.pos = r.seen = t[i].pos;
		w.ring->tail = t[i].pos;
		memcpy(w.ring->data + t[i].pos % CAP, &t[i].at0, sizeof(t[i].at0));
		w.ring->head = t[i].head;
		int err = sh_ring_peek(&r, &rec);
		if (err != t[i].want)
			fail_msg("%s: %d, not %d", t[i].name, err, t[i].want);
		assert_int_equal(sh_ring_take(&r, &hdr, body, sizeof(body)),
		                 t[i].want); // and it stays dead
		guarded_free(&g);
	}
}

static void lying_reader(void **state)
{
	static const uint64_t tails[] = {4, UINT64_MAX, UINT64_MAX - 7, 1 << 20, CAP + 8, 4088 + 8};

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct sh_ring_end w, r;
		struct guarded g = memory(CAP, &w, &r);
		unsigned n = 0;

		while (put(&w, 1, 0, "x", 1))
			n++;
		w.ring->tail = tails[i];
		if (tails[i] <= w.pos && tails[i] % 8 == 0)
			assert_true(put(&w, 1, 0, "x", 1)); // its own records' loss
		else
			assert_false(put(&w, 1, 0, "x", 1));
		guarded_free(&g);
	}
}

#if !defined(__SANITIZE_THREAD__) /* a data race on purpose */
static _Atomic bool scribbling;

static void *scribbler(void *arg)
{
	struct sh_ring *ring = arg;

	for (uint32_t n = 0; scribbling; n++) {
		uint32_t v = mix(n);
		uint32_t value = v & 1 ? v : v % 5000;
		memcpy(&ring->data[(v >> 8) % (CAP - 8)], &value, 4);
		if (n % 16 == 0)
			ring->head = n % 3 ? ring->tail + (v % 520) * 8 : v;
	}
	return NULL;
}

/* A writer that changes records while they are read: any outcome, but inside the ring and inside
 * our buffer. */
static void scribbled(void **state)
{
	struct sh_ring_end w, r;
	struct guarded g = memory(CAP, &w, &r), out = guarded_alloc(2048);
	unsigned good = 0, bad = 0;
	pthread_t t;

	scribbling = true;
	assert_int_equal(pthread_create(&t, NULL, scribbler, w.ring), 0);
	/* On a busy machine the two may not run at the same time for a while: go on until both kinds were seen. */
	for (unsigned i = 0; i < 2000000 || ((!good || !bad) && i < 1000000000); i++) {
		struct sh_rec hdr;
		int err = sh_ring_take(&r, &hdr, out.mem, 2048);
		assert_true(err == 0 || err == -EAGAIN || err == -EBADMSG || err == -EMSGSIZE);
		assert_true(err != 0 || hdr.len <= 2048);
		if (err == -EBADMSG) {
			sh_ring_attach(&r, w.ring, CAP); // torn down; here the next victim
			r.pos = r.seen = (i % 512) * 8;
			w.ring->tail = r.pos;
			bad++;
		}
		good += err == 0;
	}
	scribbling = false;
	pthread_join(t, NULL);
	assert_true(good > 0 && bad > 0);
	guarded_free(&g);
	guarded_free(&out);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach_rules),
		cmocka_unit_test(one_record),
		cmocka_unit_test(take_copies),
		cmocka_unit_test(full_and_too_large),
		cmocka_unit_test(every_offset),
		cmocka_unit_test(sleeping),
		cmocka_unit_test(two_threads),
		cmocka_unit_test(two_processes),
		cmocka_unit_test(killed_writer),
		cmocka_unit_test(lying_writer),
		cmocka_unit_test(lying_reader),
#if !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(scribbled),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
