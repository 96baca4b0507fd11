#include "bench/forward.h"
#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "dataplane/rtp/rtp.h"

enum { PLAINS = 64, PLAIN = 1536, SLOT = 2048 };

static struct {
	struct fwd_shape shape;
	struct dp_srtp_batch *batch;
	uint8_t (*plain)[PLAIN]; // what publishers sent, decrypted
	uint8_t (*slot)[SLOT];   // egress packets of one vector
	struct dp_srtp_op op[DP_VECTOR];
	unsigned n, hdr;
	uint64_t index, ticks, packets;
} fl;

/* The header that subscribers get, from the template that their subscriptions are given. */
static unsigned make_header(uint8_t *out, uint32_t ssrc)
{
	static const uint8_t ids[SH_EXT_COUNT] = {[SH_EXT_MID] = 1,
	                                          [SH_EXT_ABS_SEND_TIME] = 2,
	                                          [SH_EXT_TWCC] = 3,
	                                          [SH_EXT_AUDIO_LEVEL] = 4};
	struct dp_rtp_tmpl t;
	struct dp_rtp_exts x = {.present = 1 << SH_EXT_AUDIO_LEVEL};
	uint8_t level = 0x7f;
	struct dp_rtp_write w = {.ssrc = ssrc, .pt = 102, .marker = 1};

	if (fl.shape.payload <= FWD_AUDIO_MAX) {
		x.len[SH_EXT_AUDIO_LEVEL] = 1;
		w.exts = &x;
		w.exts_buf = &level;
	}
	dp_rtp_tmpl_init(&t, ids, false, (const uint8_t *)"0", 1);
	return (unsigned)dp_rtp_write(out, 256, &t, &w);
}

void fwd_floor_open(const struct fwd_shape *shape)
{
	uint64_t seed = 3;

	if (!fl.slot) {
		fl.plain = bench_memory(PLAINS * sizeof(*fl.plain));
		fl.slot = bench_memory(DP_VECTOR * sizeof(*fl.slot));
		if (dp_srtp_batch_new(&fl.batch, fwd_backend()))
			abort();
		for (unsigned i = 0; i < PLAINS * PLAIN; i++)
			((uint8_t *)fl.plain)[i] = (uint8_t)bench_random(&seed);
	}
	fl.shape = *shape;
	fl.index = 1;
	for (unsigned i = 0; i < DP_VECTOR; i++)
		fl.hdr = make_header(fl.slot[i], i + 1);
}

/* Only the call is timed. */
static void flush(void)
{
	uint64_t switches = bench_switches(), t = bench_ticks();
	unsigned done = dp_srtp_protect(fl.batch, fl.op, fl.n);

	t = bench_ticks() - t;
	if (done != fl.n)
		abort();
	if (bench_switches() == switches) {
		fl.ticks += t;
		fl.packets += fl.n;
	}
	fl.n = 0;
}

uint64_t fwd_floor_run(unsigned n, bool hot, uint64_t *ticks)
{
	uint32_t tracks = fwd_tracks(&fl.shape);

	fl.ticks = fl.packets = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct dp_fanout *list = dp_fanout(fwd_feed_tracks()[i], 0);

		fl.index++;
		for (uint32_t k = 0; k < list->n; k++) {
			fl.op[fl.n] = (struct dp_srtp_op){
			    .session = dp_session(tracks + (hot ? 0 : list->sub[k])),
			    .src = fl.plain[i % PLAINS],
			    .dst = fl.slot[fl.n],
			    .index = fl.index,
			    .len = (uint16_t)(fl.hdr + fl.shape.payload),
			    .hdr_len = (uint16_t)fl.hdr,
			};
			if (++fl.n == DP_VECTOR)
				flush();
		}
	}
	if (fl.n)
		flush();
	*ticks += fl.ticks;
	return fl.packets;
}
