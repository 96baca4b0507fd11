/* For daemon_test.py and ctl_top_test.py: the mapping of a dataplane that saw some packets and is
 * gone. make_state PATH [STREAMS]: so many of each direction, which stay fresh for an hour. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "shared/state.h"

enum { ENTRIES = 64 };

static uint64_t in_an_hour(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec + 3600) * 1000000000u;
}

/* Each worse than the one before. */
static struct sh_quality quality(unsigned i)
{
	return (struct sh_quality){
	    .at_ns = in_an_hour(),
	    .bps = 1234567 - i,
	    .lost = (uint8_t)i,
	    .codec = i % 2 ? SH_CODEC_VP8 : SH_CODEC_OPUS,
	};
}

static void make_streams(struct sh_slabs *s, unsigned n)
{
	for (unsigned i = 0; i < n && i < ENTRIES; i++) {
		struct sh_endpoint *e = &s->endpoint[i];
		struct sh_track *t = &s->track[i];
		struct sh_sub *b = &s->sub[i];

		e->set.id = t->set.endpoint = b->set.endpoint = t->set.id = b->set.track =
		    b->set.id = SH_ID(i, 1);
		t->set.kind = i % 2 ? SH_KIND_VIDEO : SH_KIND_AUDIO;
		t->set.layers = 1;
		t->quality[0] = b->quality = quality(i);
		e->state = t->state = b->state = SH_LIVE;
	}
}

int main(int argc, char **argv)
{
	struct sh_slabs s;
	bool created;

	if (argc < 2 || argc > 3 ||
	    sh_slabs_create(&s, argv[1], ENTRIES, ENTRIES, ENTRIES, &created))
		return 1;
	s.head->workers = 2;
	s.head->stats[0].v[SH_STAT_drop_srtp_replay] = 3;
	s.head->stats[1].v[SH_STAT_drop_srtp_replay] = 4;
	s.head->stats[SH_MAX_WORKERS].v[SH_STAT_drop_no_route] = 5;
	s.head->stats[0].v[SH_STAT_rx_packets] = 1000;
	if (argc == 3)
		make_streams(&s, (unsigned)atoi(argv[2]));
	sh_slabs_close(&s);
	return 0;
}
