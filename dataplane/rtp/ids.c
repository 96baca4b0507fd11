/* Picture numbers in VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) payload descriptors, written
 * anew. */
#include "dataplane/rtp/layers.h"
#include "dataplane/rtp/rtp.h"

static uint32_t patch_pid(uint8_t *p, uint32_t at, uint32_t len, uint16_t delta)
{
	if (at >= len)
		return len;
	if (!(p[at] & 0x80)) {
		p[at] = (uint8_t)((p[at] + delta) & 0x7f);
		return at + 1;
	}
	if (at + 1 >= len)
		return len;
	dp_put16(p + at, (uint16_t)(0x8000 | ((dp_get16(p + at) + delta) & 0x7fff)));
	return at + 2;
}

static void patch_vp8(uint8_t *p, uint32_t len, const struct dp_ids *d)
{
	uint32_t at = 2;
	uint8_t bits;

	if (len < 2 || !(p[0] & 0x80))
		return;
	bits = p[1];
	if (bits & 0x80) // I
		at = patch_pid(p, at, len, d->pid);
	if (bits & 0x40) { // L
		if (at < len)
			p[at] = (uint8_t)(p[at] + d->tl0);
		at++;
	}
	if ((bits & 0x10) && at < len) // K
		p[at] = (uint8_t)((p[at] & 0xe0) | ((p[at] + d->keyidx) & 0x1f));
}

static void patch_vp9(uint8_t *p, uint32_t len, const struct dp_ids *d)
{
	uint32_t at = 1;

	if (p[0] & 0x80) // I
		at = patch_pid(p, at, len, d->pid);
	if ((p[0] & 0x30) == 0x20 && at + 1 < len) // L without F
		p[at + 1] = (uint8_t)(p[at + 1] + d->tl0);
}

void dp_ids_patch(uint8_t *payload, uint32_t len, uint8_t has, const struct dp_ids *delta)
{
	if (len && (has & DP_IDS_VP8))
		patch_vp8(payload, len, delta);
	else if (len && (has & DP_IDS_VP9))
		patch_vp9(payload, len, delta);
}

struct dp_ids dp_ids_follow(const struct dp_ids *last, const struct dp_ids *first)
{
	enum { PICTURE = DP_IDS_PID | DP_IDS_PID15 };
	uint8_t both = last->has & first->has;
	struct dp_ids d = {0};

	if ((last->has & PICTURE) && (first->has & PICTURE))
		d.pid = (uint16_t)(last->pid + 1 - first->pid) & 0x7fff;
	if (both & DP_IDS_TL0)
		d.tl0 = (uint8_t)(last->tl0 + 1 - first->tl0);
	if (both & DP_IDS_KEYIDX)
		d.keyidx = (uint8_t)(last->keyidx + 1 - first->keyidx) & 31;
	if (both & DP_IDS_DD)
		d.frame = (uint16_t)(last->frame + 1 - first->frame);
	return d;
}
