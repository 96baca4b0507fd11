/* SRTP and SRTCP replay windows, RFC 3711 §3.3.2: checked before authentication, moved only after
 * it. A window is a ring of bits by index modulo its size, so moving it forward means clearing the
 * bits of the indexes that were skipped. */
#include "dataplane/rtp/rtp.h"
#include <errno.h>
#include <string.h>

#define SRTP_INDEX_MAX  ((1ull << 48) - 1)
#define SRTCP_INDEX_MAX ((1u << 31) - 1)

static inline bool bit_get(const uint64_t *window, uint64_t i, uint32_t bits)
{
	return window[i % bits / 64] >> (i % 64) & 1;
}

static inline void bit_set(uint64_t *window, uint64_t i, uint32_t bits)
{
	window[i % bits / 64] |= 1ull << (i % 64);
}

static int window_check(const uint64_t *window, uint32_t bits, uint64_t newest, uint64_t i)
{
	if (i > newest)
		return 0;
	if (newest - i >= bits)
		return -ESTALE;
	return bit_get(window, i, bits) ? -EALREADY : 0;
}

/* Moves the window from newest to i when i is newer, then marks i. Returns the new newest. */
static uint64_t window_commit(uint64_t *window, uint32_t bits, uint64_t newest, uint64_t i)
{
	if (i > newest && i - newest >= bits)
		memset(window, 0, bits / 8);
	else
		for (uint64_t j = newest + 1; j < i; j++)
			window[j % bits / 64] &= ~(1ull << (j % 64));
	bit_set(window, i, bits);
	return i > newest ? i : newest;
}

int dp_replay_check(const struct sh_rx_crypto *c, uint64_t index)
{
	if (index == UINT64_MAX)
		return -ESTALE;
	if (index > SRTP_INDEX_MAX)
		return -EOVERFLOW;
	return c->started ? window_check(c->window, SH_REPLAY_BITS, c->index, index) : 0;
}

int dp_replay_commit(struct sh_rx_crypto *c, uint64_t index)
{
	int err = dp_replay_check(c, index);

	if (err)
		return err;
	if (!c->started) {
		memset(c->window, 0, sizeof(c->window));
		c->index = index;
		c->started = 1;
	}
	c->index = window_commit(c->window, SH_REPLAY_BITS, c->index, index);
	return 0;
}

_Static_assert(SH_REPLAY_RTCP_BITS == 64, "one word says whether a place is taken");

static int find_ssrc(const struct sh_endpoint *e, uint32_t ssrc)
{
	for (int i = 0; i < SH_SRTCP_SSRCS && e->srtcp_rx[i].window[0]; i++)
		if (e->srtcp_rx[i].ssrc == ssrc)
			return i;
	return -1;
}

int dp_replay_rtcp_check(const struct sh_endpoint *e, uint32_t ssrc, uint32_t index)
{
	int i = find_ssrc(e, ssrc);

	if (index > SRTCP_INDEX_MAX)
		return -EOVERFLOW;
	if (i < 0)
		return 0;
	return window_check(e->srtcp_rx[i].window, SH_REPLAY_RTCP_BITS, e->srtcp_rx[i].index,
	                    index);
}

int dp_replay_rtcp_commit(struct sh_endpoint *e, uint32_t ssrc, uint32_t index)
{
	int err = dp_replay_rtcp_check(e, ssrc, index), i = find_ssrc(e, ssrc);
	struct sh_rx_srtcp s = {.ssrc = ssrc, .index = index};

	if (err)
		return err;
	if (i >= 0)
		s = e->srtcp_rx[i];
	else
		i = SH_SRTCP_SSRCS - 1;
	s.index = window_commit(s.window, SH_REPLAY_RTCP_BITS, s.index, index);
	memmove(&e->srtcp_rx[1], &e->srtcp_rx[0], (size_t)i * sizeof(s));
	e->srtcp_rx[0] = s;
	return 0;
}
