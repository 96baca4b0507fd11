/* Message shapes: each sample is good; each fault, one at a time, is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "tests/fakes/samples.h"

static _Alignas(8) uint8_t body[SAMPLE_MAX];

static void all_samples(void **state)
{
	unsigned types = 0;

	for (unsigned t = 0; t < SH_MSG_TYPES_MAX + 8; t++) {
		uint32_t len = sample(t, body);
		uint16_t size[SH_MSG_TYPES_MAX];
		sh_msg_sizes(size);
		if (len == 0) {
			assert_int_equal(sh_msg_check(t, body, 8), -ENOENT);
			assert_string_equal(sh_msg_name(t), "?");
			assert_int_equal(sh_msg_direction(t), 0);
			continue;
		}
		types++;
		if (sh_msg_check(t, body, len))
			fail_msg("%s refused", sh_msg_name(t));
		assert_int_equal(sh_msg_direction(t), t < 32 ? 'C' : 'E');
		for (uint32_t l = 0; l <= SAMPLE_MAX; l++)
			if (l != len)
				assert_int_equal(sh_msg_check(t, body, l), -EMSGSIZE);
	}
	assert_int_equal(types, 18);
	assert_string_equal(sh_msg_name(SH_MSG_ENDPOINT_SET), "endpoint_set");
	assert_string_equal(sh_msg_name(SH_MSG_TX_PACKET), "tx_packet");
	assert_string_equal(sh_msg_name(SH_MSG_RX_DTLS), "rx_dtls");
	assert_int_equal(sh_msg_flags(SH_MSG_ENDPOINT_KEYS), SH_REC_SECRET);
	assert_int_equal(sh_msg_flags(SH_MSG_BEGIN), 0);
}

/* Each row: in a good message of that type, these bytes at that place; refused (or not). */
struct fault {
	unsigned type;
	size_t at;
	uint8_t size; // of value
	uint32_t value;
	int want;
	const char *name;
};
#define F(TYPE, suffix, field, val, want_)                                                         \
	{                                                                                          \
		SH_MSG_##TYPE, offsetof(struct sh_msg_##suffix, field),                            \
		    sizeof(((struct sh_msg_##suffix *)0)->field), val, want_,                      \
		    #suffix "." #field " = " #val                                                  \
	}
#define BAD(TYPE, suffix, field, val)  F(TYPE, suffix, field, val, -EINVAL)
#define GOOD(TYPE, suffix, field, val) F(TYPE, suffix, field, val, 0)

static const struct fault faults[] = {
    BAD(C_HELLO, c_hello, epoch, 0),
    BAD(E_HELLO, e_hello, epoch, 0),
    BAD(E_HELLO, e_hello, slab_epoch, 0),
    BAD(E_HELLO, e_hello, workers, 0),
    GOOD(E_HELLO, e_hello, workers, 16),
    BAD(E_HELLO, e_hello, workers, 17),
    BAD(E_HELLO, e_hello, base_port, 0),
    BAD(E_HELLO, e_hello, base_port, 65535),
    GOOD(E_HELLO, e_hello, base_port, 65534),
    BAD(E_HELLO, e_hello, max_endpoints, 0),
    BAD(E_HELLO, e_hello, max_tracks, 1048577),
    GOOD(E_HELLO, e_hello, max_subs, 1048576),
    BAD(E_HELLO, e_hello, addrs, 9),
    BAD(E_HELLO, e_hello, addrs, 3),
    BAD(E_HELLO, e_hello, addrs, 1),
    BAD(E_HELLO, e_hello, addr[0].family, 5),
    BAD(E_HELLO, e_hello, addr[0].family, 0),
    BAD(E_HELLO, e_hello, addr[0].port, 1),
    BAD(E_HELLO, e_hello, addr[0].pad, 1),
    BAD(E_HELLO, e_hello, addr[0].ip[4], 1),
    BAD(E_HELLO, e_hello, addr[7].ip[15], 1),
    GOOD(BEGIN, begin, txn, 0),
    BAD(ENDPOINT_SET, endpoint_set, id, 0),
    BAD(ENDPOINT_SET, endpoint_set, id, 5),
    GOOD(ENDPOINT_SET, endpoint_set, worker, 15),
    BAD(ENDPOINT_SET, endpoint_set, worker, 16),
    BAD(ENDPOINT_SET, endpoint_set, ufrag_len, 3),
    BAD(ENDPOINT_SET, endpoint_set, ufrag_len, 7),
    BAD(ENDPOINT_SET, endpoint_set, ufrag_len, 9),
    BAD(ENDPOINT_SET, endpoint_set, ufrag_len, 33),
    BAD(ENDPOINT_SET, endpoint_set, ufrag_len, 255),
    BAD(ENDPOINT_SET, endpoint_set, ufrag[0], ':'),
    BAD(ENDPOINT_SET, endpoint_set, ufrag[3], 0),
    BAD(ENDPOINT_SET, endpoint_set, ufrag[31], 'a'),
    BAD(ENDPOINT_SET, endpoint_set, pwd_len, 21),
    BAD(ENDPOINT_SET, endpoint_set, pwd_len, 33),
    BAD(ENDPOINT_SET, endpoint_set, pwd[0], 0x80),
    BAD(ENDPOINT_SET, endpoint_set, pwd[24], 1),
    BAD(ENDPOINT_SET, endpoint_set, flags, 8),
    BAD(ENDPOINT_SET, endpoint_set, ext_id[SH_EXT_RID], 1),
    GOOD(ENDPOINT_SET, endpoint_set, ext_id[SH_EXT_RID], 0),
    BAD(ENDPOINT_SET, endpoint_set, ext_two_byte, 2),
    BAD(ENDPOINT_SET, endpoint_set, pad[2], 1),
    BAD(ENDPOINT_SET, endpoint_set, pad2[0], 1),
    BAD(ENDPOINT_SET, endpoint_set, cname_len, 33),
    BAD(ENDPOINT_SET, endpoint_set, cname_len, 5),
    BAD(ENDPOINT_SET, endpoint_set, cname[31], 1),
    BAD(ENDPOINT_KEYS, endpoint_keys, id, 0),
    BAD(ENDPOINT_KEYS, endpoint_keys, profile, 0),
    BAD(ENDPOINT_KEYS, endpoint_keys, profile, 3),
    BAD(ENDPOINT_KEYS, endpoint_keys, profile, 0x100),
    GOOD(ENDPOINT_KEYS, endpoint_keys, profile, SH_SRTP_AES128_CM_SHA1_32),
    BAD(ENDPOINT_KEYS, endpoint_keys, pad, 1),
    BAD(ENDPOINT_KEYS, endpoint_keys, rx.bytes[28], 1),
    BAD(ENDPOINT_KEYS, endpoint_keys, tx.bytes[47], 1),
    GOOD(ENDPOINT_KEYS, endpoint_keys, tx.bytes[27], 1),
    BAD(TRACK_SET, track_set, id, 0),
    BAD(TRACK_SET, track_set, endpoint, 0),
    BAD(TRACK_SET, track_set, kind, 0),
    BAD(TRACK_SET, track_set, kind, 3),
    BAD(TRACK_SET, track_set, layers, 0),
    BAD(TRACK_SET, track_set, layers, 1),
    BAD(TRACK_SET, track_set, layers, 4),
    BAD(TRACK_SET, track_set, mid_len, 17),
    BAD(TRACK_SET, track_set, mid_len, 2),
    BAD(TRACK_SET, track_set, mid[15], 1),
    BAD(TRACK_SET, track_set, flags, 16 | 1),
    BAD(TRACK_SET, track_set, pt[0].pt, 128),
    BAD(TRACK_SET, track_set, pt[0].pt, 97),
    BAD(TRACK_SET, track_set, pt[0].codec, 0),
    BAD(TRACK_SET, track_set, pt[0].codec, SH_CODEC_COUNT),
    BAD(TRACK_SET, track_set, pt[0].clock_hz, 0),
    BAD(TRACK_SET, track_set, pt[0].pad, 1),
    BAD(TRACK_SET, track_set, pt[0].apt_slot, 1),
    BAD(TRACK_SET, track_set, pt[1].apt_slot, 8),
    BAD(TRACK_SET, track_set, pt[1].apt_slot, 255),
    BAD(TRACK_SET, track_set, pt[1].apt_slot, 1),
    BAD(TRACK_SET, track_set, pt[1].apt_slot, 2),
    BAD(TRACK_SET, track_set, pt[5].codec, 1),
    BAD(TRACK_SET, track_set, pt[5].clock_hz, 8000),
    BAD(TRACK_SET, track_set, pt[5].apt_slot, 3),
    GOOD(TRACK_SET, track_set, pt[5].apt_slot, 0),
    BAD(TRACK_SET, track_set, layer[0].ssrc, 2),
    BAD(TRACK_SET, track_set, layer[0].ssrc, 3),
    BAD(TRACK_SET, track_set, layer[0].rtx_ssrc, 3),
    GOOD(TRACK_SET, track_set, layer[0].ssrc, 0),
    BAD(TRACK_SET, track_set, layer[0].rid[0], 'h'),
    BAD(TRACK_SET, track_set, layer[0].rid[1], 'h'),
    BAD(TRACK_SET, track_set, layer[0].rid_len, 17),
    BAD(TRACK_SET, track_set, layer[1].pad[0], 1),
    BAD(TRACK_SET, track_set, layer[2].ssrc, 9),
    BAD(SUB_SET, sub_set, id, 0),
    BAD(SUB_SET, sub_set, track, 0),
    BAD(SUB_SET, sub_set, endpoint, 0),
    BAD(SUB_SET, sub_set, ssrc, 0),
    GOOD(SUB_SET, sub_set, rtx_ssrc, 0),
    BAD(SUB_SET, sub_set, pt[0], 128),
    GOOD(SUB_SET, sub_set, pt[0], 255),
    BAD(SUB_SET, sub_set, mid_len, 17),
    BAD(SUB_SET, sub_set, mid_len, 3),
    BAD(SUB_SET, sub_set, mid[2], 1),
    BAD(TRACK_SET, track_set, flags, SH_TRACK_SLOT),
    BAD(TRACK_SET, track_set, flags, 64),
    GOOD(TRACK_SET, track_set, flags, SH_TRACK_FOLLOW),
    BAD(TRACK_SET, track_set, slot, 1),
    BAD(TRACK_SET, track_set, pad[1], 1),
    GOOD(TRACK_SET, track_set, group, 3),
    BAD(SUB_SET, sub_set, max_temporal, 4),
    GOOD(SUB_SET, sub_set, want_height, 720),
    BAD(SUB_SET, sub_set, flags, 4),
    BAD(SUB_SET, sub_set, max_layer, 3),
    BAD(SUB_SET, sub_set, pad, 1),
    BAD(DEL, del, id, 0),
    BAD(DEL, del, what, 0),
    BAD(DEL, del, what, 4),
    BAD(DEL, del, pad[1], 1),
    BAD(COMMIT, commit, full, 2),
    BAD(TX_PACKET, packet, endpoint, 0),
    BAD(TX_PACKET, packet, len, 0),
    BAD(TX_PACKET, packet, len, 1501),
    F(TX_PACKET, packet, len, 99, -EMSGSIZE),
    F(RX_DTLS, packet, len, 101, -EMSGSIZE),
    BAD(RX_DTLS, packet, pad, 1),
    BAD(KEYFRAME, keyframe, track, 7),
    BAD(COMMITTED, committed, error, 1),
    BAD(COMMITTED, committed, error, (uint32_t)-5000),
    GOOD(COMMITTED, committed, error, 0),
    BAD(ENDPOINT_STATE, endpoint_state, id, 0),
    BAD(ENDPOINT_STATE, endpoint_state, ice, 3),
    BAD(ENDPOINT_STATE, endpoint_state, pad[0], 1),
    BAD(ENDPOINT_STATE, endpoint_state, local.family, 0),
    BAD(ENDPOINT_STATE, endpoint_state, remote.family, 7),
    BAD(ENDPOINT_STATE, endpoint_state, remote.ip[15], 1),
    BAD(TRACK_STATE, track_state, id, 0),
    BAD(TRACK_STATE, track_state, layer_active, 8),
    BAD(TRACK_STATE, track_state, pad[2], 1),
    BAD(SPEAKERS, speakers, group, 0),
    BAD(SPEAKERS, speakers, audio_slots, 17),
    BAD(SPEAKERS, speakers, audio[0], 5),
    BAD(SPEAKERS, speakers, audio[2], SH_ID(1, 1)),
    GOOD(SPEAKERS, speakers, dominant, 0),
    BAD(TRACK_WATCH, track_watch, layers, 8),
    BAD(TRACK_WATCH, track_watch, pad[0], 1),
    BAD(QUALITY, quality, rows, 0),
    BAD(QUALITY, quality, rows, 65),
    BAD(QUALITY, quality, row[0].what, 0),
    BAD(QUALITY, quality, row[1].mos, 46),
    BAD(QUALITY, quality, row[2].id, SH_ID(1, 1)),
};

static void each_fault(void **state)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const struct fault *f = &faults[i];
		uint32_t len = sample(f->type, body);
		const uint64_t value =
		    f->value; // little-endian host, as DPDK's x86-64 and arm64 are

		memcpy(body + f->at, &value, f->size);
		int err = sh_msg_check(f->type, body, len);
		if (err != f->want)
			fail_msg("%s: %d, not %d", f->name, err, f->want);
	}
}

static void largest_packet(void **state)
{
	struct sh_msg_packet *m = (struct sh_msg_packet *)body;

	sample(SH_MSG_TX_PACKET, body);
	m->len = SH_PACKET_MAX;
	assert_int_equal(sh_msg_check(SH_MSG_TX_PACKET, body, sizeof(*m)), 0);
	assert_int_equal(sh_msg_check(SH_MSG_TX_PACKET, body, 7), -EMSGSIZE);
}

static void hello_differences(void **state)
{
	struct sh_msg_c_hello *m = (struct sh_msg_c_hello *)body;
	char why[160];
	uint32_t len = sample(SH_MSG_C_HELLO, body);

	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_C_HELLO, body, len, why, sizeof(why)), 0);
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_BEGIN, body, 8, why, sizeof(why)), -EPROTO);
	assert_string_equal(why, "first record is type 2 (begin), not c_hello");
	m->size[SH_MSG_SUB_SET]++;
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_C_HELLO, body, len, why, sizeof(why)),
	    -EPROTO);
	assert_string_equal(
	    why, "message 6 (sub_set) has 53 bytes in the peer's build and 52 in this one");
	m->version = 7; // whatever else the other version changed
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_C_HELLO, body, 4, why, sizeof(why)), -EPROTO);
	assert_string_equal(why, "peer speaks version 7 of the messages, this build version 2");
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_C_HELLO, body, 0, why, sizeof(why)), -EPROTO);
	len = sample(SH_MSG_C_HELLO, body);
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_C_HELLO, SH_MSG_C_HELLO, body, len - 1, why, sizeof(why)),
	    -EPROTO);
	len = sample(SH_MSG_E_HELLO, body);
	assert_int_equal(
	    sh_msg_hello_check(SH_MSG_E_HELLO, SH_MSG_E_HELLO, body, len, why, sizeof(why)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_samples),
	    cmocka_unit_test(each_fault),
	    cmocka_unit_test(largest_packet),
	    cmocka_unit_test(hello_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
