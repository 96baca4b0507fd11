#include "bench/bench.h"
#include "bench/room.h"
#include "dataplane/event.h"
#include "dataplane/speaker.h"

static struct {
	bool open;
	uint64_t at_ns;
	double took;
	unsigned looks;
} slots;

void room_slots_open(void)
{
	if (dp_event_init() || dp_speakers_init())
		fwd_die("no memory for speakers");
	slots.open = true;
	slots.at_ns = 0;
}

void room_slots_close(void)
{
	slots.open = false;
	dp_speakers_free();
	dp_event_free();
}

void room_slots_tick(uint64_t now_ns)
{
	uint64_t start;

	if (!slots.open || now_ns - slots.at_ns < DP_SPEAKERS_MS * UINT64_C(1000000))
		return;
	slots.at_ns = now_ns;
	start = bench_ticks();
	dp_speakers_tick(now_ns);
	slots.took += (double)(bench_ticks() - start);
	slots.looks++;
}

double room_slots_took(unsigned *looks)
{
	double took = slots.took;

	*looks = slots.looks;
	slots.took = 0;
	slots.looks = 0;
	return took;
}
