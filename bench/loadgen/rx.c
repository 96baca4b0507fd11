#include "bench/loadgen/rx.h"
#include <string.h>

enum { FREEZE_MS = 500 };

void lg_rx_init(struct lg_rx *r, uint32_t ssrc, uint8_t pt, bool video, uint32_t clock_hz)
{
	memset(r, 0, sizeof(*r));
	r->ssrc = ssrc;
	r->pt = pt;
	r->video = video;
	r->clock_hz = clock_hz;
}

static void set(struct lg_rx *r, uint64_t ext)
{
	r->seen[ext % LG_RX_WINDOW / 64] |= 1ULL << ext % 64;
}

static bool test(const struct lg_rx *r, uint64_t ext)
{
	return r->seen[ext % LG_RX_WINDOW / 64] >> ext % 64 & 1;
}

static void forget(struct lg_rx *r, uint64_t from, uint64_t to)
{
	if (to - from >= LG_RX_WINDOW)
		memset(r->seen, 0, sizeof(r->seen));
	else
		for (uint64_t e = from; e <= to; e++)
			r->seen[e % LG_RX_WINDOW / 64] &= ~(1ULL << e % 64);
}

static void take_time(struct lg_rx *r, uint32_t ts, uint64_t now_ns)
{
	uint32_t arrival = (uint32_t)(now_ns / 1000000000 * r->clock_hz +
	                              now_ns % 1000000000 * r->clock_hz / 1000000000);
	int64_t transit = (int32_t)(arrival - ts), d;

	if (r->last_ns) {
		d = transit - r->transit;
		r->jitter += ((double)(d < 0 ? -d : d) - r->jitter) / 16;
	}
	r->transit = transit;
	if (r->video && r->last_ns && now_ns > r->last_ns + FREEZE_MS * 1000000ULL) {
		r->freezes++;
		r->frozen_ns += now_ns - r->last_ns;
	}
	r->last_ns = now_ns;
}

/* Notes a number; false: had it already, or too old to tell. */
static bool take_seq(struct lg_rx *r, uint16_t seq)
{
	int64_t ext = (int64_t)r->max_ext + (int16_t)(seq - (uint16_t)r->max_ext);

	if (ext > (int64_t)r->max_ext) {
		if (ext > (int64_t)r->max_ext + 1) // else set() below is all
			forget(r, r->max_ext + 1, (uint64_t)ext);
		r->max_ext = (uint64_t)ext;
	} else if ((uint64_t)ext < r->first_ext || r->max_ext - (uint64_t)ext >= LG_RX_WINDOW ||
	           test(r, (uint64_t)ext)) {
		return false;
	}
	set(r, (uint64_t)ext);
	r->packets++;
	return true;
}

bool lg_rx_packet(struct lg_rx *r, uint16_t seq, uint32_t ts, uint64_t now_ns)
{
	uint64_t before = r->max_ext;

	if (!r->packets) {
		r->first_ext = r->max_ext = 0x10000ULL + seq;
		if (!r->first_ns)
			r->first_ns = now_ns;
		memset(r->seen, 0, sizeof(r->seen));
		set(r, r->max_ext);
		r->packets = 1;
	} else if (!take_seq(r, seq)) {
		r->duplicates++;
		return false;
	} else {
		r->reordered += r->max_ext == before;
	}
	take_time(r, ts, now_ns);
	return true;
}

bool lg_rx_repair(struct lg_rx *r, uint16_t seq)
{
	if (!r->packets || !take_seq(r, seq))
		return false;
	r->repaired++;
	return true;
}

static uint64_t expected(const struct lg_rx *r)
{
	return r->packets ? r->max_ext - r->first_ext + 1 : 0;
}

uint64_t lg_rx_lost(const struct lg_rx *r)
{
	return expected(r) - r->packets;
}

void lg_rx_restart(struct lg_rx *r)
{
	r->packets = r->repaired = r->duplicates = r->reordered = 0;
	r->prior_expected = r->prior_packets = 0;
	r->freezes = 0;
	r->frozen_ns = r->last_ns = 0;
}

void lg_rx_report(struct lg_rx *r, struct lg_rx_report *out, uint64_t now_ns)
{
	uint64_t came = r->packets - r->repaired, lost = expected(r) - came;
	uint64_t e = expected(r) - r->prior_expected, p = came - r->prior_packets;

	*out = (struct lg_rx_report){
	    .ssrc = r->ssrc,
	    .fraction = e > p ? (uint8_t)((e - p) * 256 / e > 255 ? 255 : (e - p) * 256 / e) : 0,
	    .lost = lost > 0x7fffff ? 0x7fffff : (uint32_t)lost,
	    .max_seq = (uint32_t)r->max_ext,
	    .jitter = (uint32_t)r->jitter,
	    .last_sr = r->last_sr,
	    .delay = r->last_sr_ns ? (uint32_t)((now_ns - r->last_sr_ns) * 65536 / 1000000000) : 0,
	};
	r->prior_expected = expected(r);
	r->prior_packets = came;
}
