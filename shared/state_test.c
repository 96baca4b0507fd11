/* Slabs: a file that is kept, replaced, shared read-only, and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shared/state.h"

static char dir[64], path[96];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/dev/shm/shared-state-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/state", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir); // fails if a temporary file was left
}

static void patch(size_t at, uint32_t value)
{
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &value, sizeof(value), (off_t)at), sizeof(value));
	close(fd);
}

static void made_and_kept(void **state)
{
	struct sh_slabs s, again;
	struct stat st;
	bool created;

	assert_int_equal(sh_slabs_open(&s, path), -ENOENT);
	umask(0); // the mode is not left to it
	assert_int_equal(sh_slabs_create(&s, path, 10, 20, 30, &created), 0);
	assert_true(created);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, s.head->total);
	assert_true(st.st_blocks * 512 >= st.st_size); // no page is missing
	for (int i = 0; i < 3; i++)
		assert_int_equal(s.head->offset[i] % 4096, 0);
	assert_ptr_equal(s.endpoint, (uint8_t *)s.head + s.head->offset[0]);
	assert_true((uint8_t *)(s.endpoint + s.endpoints) <= (uint8_t *)s.track);
	assert_true((uint8_t *)(s.track + s.tracks) <= (uint8_t *)s.sub);
	assert_true((uint8_t *)(s.sub + s.subs) <= (uint8_t *)s.head + s.head->total);
	assert_int_equal(s.endpoints, 10);
	assert_int_equal(s.tracks, 20);
	assert_int_equal(s.subs, 30);
	uint64_t epoch = s.head->slab_epoch;
	assert_true(epoch != 0);
	s.endpoint[9].state = SH_LIVE;
	s.endpoint[9].rx_packets = 12345;
	assert_int_equal(sh_slabs_create(&again, path, 10, 20, 30, &created),
	                 -EBUSY); // one dataplane at a time
	sh_slabs_close(&s);
	sh_slabs_close(&s); // harmless
	assert_int_equal(sh_slabs_create(&again, path, 10, 20, 30, &created), 0);
	assert_false(created);
	assert_int_equal(again.head->slab_epoch, epoch);
	assert_int_equal(again.endpoint[9].rx_packets, 12345);
	sh_slabs_close(&again);
}

static void other_shape_is_replaced(void **state)
{
	struct sh_slabs s, reader;
	bool created;

	assert_int_equal(sh_slabs_create(&s, path, 10, 20, 30, &created), 0);
	s.sub[29].packets = 7;
	uint64_t epoch = s.head->slab_epoch;
	sh_slabs_close(&s);
	assert_int_equal(sh_slabs_open(&reader, path), 0);
	assert_int_equal(sh_slabs_create(&s, path, 10, 20, 31, &created), 0);
	assert_true(created);
	assert_true(s.head->slab_epoch != epoch);
	assert_int_equal(s.sub[29].packets, 0);
	assert_int_equal(reader.sub[29].packets, 7); // who still maps the old one, keeps it
	sh_slabs_close(&reader);
	sh_slabs_close(&s);
}

static void other_builds(void **state)
{
	static const size_t fields[] = {
	    offsetof(struct sh_state, magic),         offsetof(struct sh_state, version),
	    offsetof(struct sh_state, entry_size[0]), offsetof(struct sh_state, entry_size[2]),
	    offsetof(struct sh_state, count[1]),      offsetof(struct sh_state, offset[2]),
	    offsetof(struct sh_state, total),         offsetof(struct sh_state, counters),
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct sh_slabs s, reader;
		bool created;
		assert_int_equal(sh_slabs_create(&s, path, 10, 20, 30, &created), 0);
		sh_slabs_close(&s);
		patch(fields[i], 0xfffffff0u);
		assert_int_equal(sh_slabs_open(&reader, path), -EPROTO);
		assert_int_equal(sh_slabs_create(&s, path, 10, 20, 30, &created), 0);
		assert_true(created);
		assert_int_equal(sh_slabs_open(&reader, path), 0);
		sh_slabs_close(&reader);
		sh_slabs_close(&s);
	}
}

/* Two counters that changed places, or one that got another name, make another stats.def. */
static void counters_by_position(void **state)
{
	struct sh_stat_info info[SH_STAT_COUNT], first;
	const uint64_t ours = sh_stat_names(sh_stat_info, SH_STAT_COUNT);
	struct sh_slabs s;
	bool created;

	assert_int_equal(sh_slabs_create(&s, path, 1, 1, 1, &created), 0);
	assert_true(s.head->counters == ours);
	sh_slabs_close(&s);
	for (unsigned i = 1; i < SH_STAT_COUNT; i++) {
		memcpy(info, sh_stat_info, sizeof(info));
		first = info[i - 1];
		info[i - 1] = info[i];
		info[i] = first;
		assert_false(sh_stat_names(info, SH_STAT_COUNT) == ours);
	}
	memcpy(info, sh_stat_info, sizeof(info));
	info[3].kind = SH_STAT_KIND_DROP;
	assert_false(sh_stat_names(info, SH_STAT_COUNT) == ours);
	assert_false(sh_stat_names(sh_stat_info, SH_STAT_COUNT - 1) == ours);
}

static void truncated(void **state)
{
	static const off_t sizes[] = {
	    0, 1, 4095, sizeof(struct sh_state) - 1, sizeof(struct sh_state), 40960};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct sh_slabs s, reader;
		bool created;
		assert_int_equal(sh_slabs_create(&s, path, 100, 200, 300, &created), 0);
		sh_slabs_close(&s);
		assert_int_equal(truncate(path, sizes[i]), 0);
		assert_int_equal(sh_slabs_open(&reader, path), -EPROTO);
		assert_int_equal(sh_slabs_create(&s, path, 100, 200, 300, &created), 0);
		assert_true(created);
		s.sub[299].packets = 1; // the last page is there
		sh_slabs_close(&s);
	}
}

static void read_only(void **state)
{
	struct sh_slabs s, reader;
	bool created;

	assert_int_equal(sh_slabs_create(&s, path, 1, 1, 1, &created), 0);
	assert_int_equal(sh_slabs_open(&reader, path), 0);
	s.endpoint[0].tx_packets = 99;
	assert_int_equal(reader.endpoint[0].tx_packets, 99);
	assert_int_equal(write(reader.fd, "x", 1), -1); // and no descriptor to write by
	sh_slabs_close(&reader);
	sh_slabs_close(&s);
}

static void bad_arguments(void **state)
{
	static const uint32_t t[][3] = {
	    {0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {1048577, 1, 1}, {1, 1, 0xffffffff}};
	struct sh_slabs s;
	char link[112];
	bool created;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(sh_slabs_create(&s, path, t[i][0], t[i][1], t[i][2], &created),
		                 -EINVAL);
	assert_int_equal(sh_slabs_create(&s, "/dev/shm/no/such/folder", 1, 1, 1, &created),
	                 -ENOENT);
	assert_int_equal(sh_slabs_open(&s, dir), -EPROTO);
	/* A symbolic link may lead anywhere: not followed, not replaced. */
	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(sh_slabs_create(&s, link, 1, 1, 1, &created), -ELOOP);
	assert_int_equal(sh_slabs_open(&s, link), -ELOOP);
	unlink(link);
}

static void loose_mode_is_tightened(void **state)
{
	struct sh_slabs s;
	struct stat st;
	bool created;

	assert_int_equal(sh_slabs_create(&s, path, 1, 1, 1, &created), 0);
	sh_slabs_close(&s);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(sh_slabs_create(&s, path, 1, 1, 1, &created), 0);
	assert_false(created);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	sh_slabs_close(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(made_and_kept),
	    T(other_shape_is_replaced),
	    T(other_builds),
	    T(counters_by_position),
	    T(truncated),
	    T(read_only),
	    T(bad_arguments),
	    T(loose_mode_is_tightened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
