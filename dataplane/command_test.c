/* Commands of the daemon: what is taken, what is refused, and what is answered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/command.h"
#include "dataplane/event.h"
#include "dataplane/event_fixture.h"
#include "dataplane/table/table.h"
#include "shared/log.h"

static unsigned injected;

static void hello(void *arg, struct sh_msg_e_hello *m)
{
	m->version = SH_MSG_VERSION;
	m->pid = 1;
	m->epoch = m->slab_epoch = 1;
	m->workers = 1;
	m->base_port = 10000;
	m->max_endpoints = ENDPOINTS;
	m->max_tracks = m->max_subs = 8;
	sh_msg_sizes(m->size);
}

static int reply(void *arg, unsigned type, const void *data, uint32_t len)
{
	return dp_event_reply(type, data, len);
}

static void inject(void *arg, uint32_t endpoint, const void *data, uint32_t len)
{
	injected++;
}

static void applied(void *arg, bool full)
{
}

static int give(struct dp_command *c, unsigned type, unsigned flags, const void *data, uint32_t len)
{
	static _Alignas(8) uint8_t buf[4096];
	struct sh_rec hdr = {.len = len, .type = (uint16_t)type, .flags = (uint16_t)flags};

	memcpy(buf, data, len);
	int err = dp_command_take(c, &hdr, buf);
	if (type == SH_MSG_ENDPOINT_KEYS)
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(buf[i], 0); // wiped, accepted or not
	return err;
}

static void commands(void **state)
{
	static const struct dp_command_h h = {
	    .hello = hello, .reply = reply, .inject = inject, .applied = applied};
	struct sh_msg_c_hello m = {.version = SH_MSG_VERSION + 1, .pid = 1, .epoch = 9};
	struct sh_msg_begin b = {.txn = 1};
	struct sh_msg_commit cm = {.txn = 1, .records = 1};
	struct sh_msg_endpoint_keys k = {.id = 1, .profile = SH_SRTP_AEAD_AES_128_GCM};
	struct sh_msg_packet p = {.endpoint = SH_ID(1u, 1u), .len = 5};
	struct dp_command c;

	sh_log_levels("error");
	sh_msg_sizes(m.size);
	dp_command_init(&c, &h);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), -EPROTO);   // before the hello
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), -EPROTO); // of another version
	m.version = SH_MSG_VERSION;
	m.size[SH_MSG_TRACK_SET]++;
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), -EPROTO); // of another build
	sh_msg_sizes(m.size);
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), 0);
	assert_int_equal(event_next(), SH_MSG_E_HELLO);
	/* A second one is a mistake, and no reason to part. */
	assert_int_equal(give(&c, SH_MSG_C_HELLO, 0, &m, sizeof(m)), 0);
	assert_int_equal(event_counter(SH_STAT_records_refused), 1);
	/* Keys without the flag that has them wiped from the ring. */
	memset(k.rx.bytes, 1, 28);
	memset(k.tx.bytes, 2, 28);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	assert_int_equal(give(&c, SH_MSG_ENDPOINT_KEYS, 0, &k, sizeof(k)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMIT, 0, &cm, sizeof(cm)), 0);
	assert_int_equal(event_next(), SH_MSG_COMMITTED);
	assert_int_equal(event_body.committed.error, -EINVAL);
	assert_int_equal(event_counter(SH_STAT_commits_refused), 1);
	/* Staged records without BEGIN; an event; a length that is not the type's. */
	assert_int_equal(give(&c, SH_MSG_ENDPOINT_KEYS, SH_REC_SECRET, &k, sizeof(k)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMITTED, 0, &k, sizeof(struct sh_msg_committed)), 0);
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, 7), 0);
	assert_int_equal(event_counter(SH_STAT_records_refused), 5);
	/* Packets: to a live endpoint only. */
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 0);
	assert_int_equal(event_counter(SH_STAT_drop_inject_unknown), 1);
	event_alive(1);
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 1);
	p.endpoint = SH_ID(1u, 2u);
	assert_int_equal(give(&c, SH_MSG_TX_PACKET, 0, &p, sh_msg_packet_size(5)), 0);
	assert_int_equal(injected, 1);
	/* Key frames: every layer of a live track. */
	dp_slabs.track[2].set.id = SH_ID(2u, 1u);
	dp_slabs.track[2].set.layers = 3;
	dp_slabs.track[2].state = SH_LIVE;
	struct sh_msg_keyframe kf = {.track = SH_ID(2u, 1u)};
	assert_int_equal(give(&c, SH_MSG_KEYFRAME, 0, &kf, sizeof(kf)), 0);
	assert_int_equal(dp_keyframe_take(2), 7);
	kf.track = SH_ID(2u, 9u);
	assert_int_equal(give(&c, SH_MSG_KEYFRAME, 0, &kf, sizeof(kf)), 0);
	assert_int_equal(dp_keyframe_take(2), 0);
	/* An empty transaction is applied, and its daemon remembered. */
	cm.records = 0;
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	assert_int_equal(give(&c, SH_MSG_COMMIT, 0, &cm, sizeof(cm)), 0);
	assert_int_equal(event_next(), SH_MSG_COMMITTED);
	assert_int_equal(event_body.committed.error, 0);
	assert_int_equal(dp_slabs.head->daemon_epoch, 9);
	/* What was begun ends with the daemon. */
	assert_int_equal(give(&c, SH_MSG_BEGIN, 0, &b, sizeof(b)), 0);
	dp_command_end(&c);
	assert_false(dp_stage_open());
	dp_slabs.track[2].state = SH_FREE;
	dp_slabs.endpoint[1].state = SH_FREE;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, event_setup, event_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(commands),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
