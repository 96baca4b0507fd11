/* The accounts of one stream under any order of packets: statistics, gaps, history, replay. Each 4
 * input bytes are one packet: step of the sequence number, milliseconds since the last. Invariants
 * are checked after each. */
#include "dataplane/rtp/rtp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void check_nack(struct dp_nack *n, uint64_t now, uint8_t max)
{
	uint16_t out[256];
	uint32_t k = dp_nack_due(n, now, 1000u * max, out, max);

	require(k <= max && n->count <= DP_NACK_MAX);
	for (uint32_t i = 0; i < k; i++)
		require(dp_seq_newer(n->newest, out[i]) &&
		        (!i || dp_seq_newer(out[i], out[i - 1])));
	for (uint32_t i = 1; i < n->count; i++)
		require(dp_seq_newer(n->miss[i].seq, n->miss[i - 1].seq));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dp_hist_slot slots[64];
	struct sh_rx_stream s = {.clock_hz = 90000};
	struct dp_nack n = {0};
	struct dp_hist h;
	uint64_t now = 1;
	uint16_t seq = 0;

	dp_hist_init(&h, slots, 64);
	for (; size >= 4; data += 4, size -= 4) {
		struct dp_rtp_hdr hdr = {.ts = (uint32_t)now / 11};
		enum dp_nack_seen seen;
		bool missing = false;
		uint8_t fraction;
		int32_t lost;
		uint32_t ext;
		uint64_t index;

		hdr.seq = seq += dp_get16(data);
		now += 1000000ull * dp_get16(data + 2);
		index = dp_srtp_index_guess(&s.crypto, seq);
		if (dp_replay_check(&s.crypto, index) == 0) {
			require(dp_replay_commit(&s.crypto, index) == 0);
			require(dp_replay_check(&s.crypto, index) < 0 && s.crypto.index >= index);
		}
		ext = dp_rtp_rx_update(&s, &hdr, now);
		require((uint16_t)ext == seq && (int32_t)(s.max_ext_seq - ext) >= 0);
		for (uint32_t i = 0; i < n.count; i++)
			missing |= n.miss[i].seq == seq;
		seen = dp_nack_seen(&n, seq, now);
		require((seen == DP_NACK_RECOVERED) == missing);
		if (data[3] & 1)
			check_nack(&n, now, data[2]);
		if (data[3] & 2)
			dp_rtp_rx_loss(&s, &fraction, &lost);
		if (dp_hist_put(&h, ext, 7) == DP_HIST_NONE)
			require(dp_hist_get(&h, seq) == 7);
	}
	return 0;
}
