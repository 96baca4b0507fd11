/* Hostile ring memory into the reader, and a hostile tail into the writer. Input: 8 bytes head, 8
 * bytes tail, 2 bytes reader's position / 8, then the ring's bytes, repeated to fill it. Behind the
 * ring is nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include "shared/ring.h"
#include "tests/fakes/guarded.h"

enum { CAP = 4096, OUT = 512 };

static void read_all(struct sh_ring_end *r)
{
	static struct guarded out;
	struct sh_rec hdr;
	const struct sh_rec *rec;

	if (!out.mem)
		out = guarded_alloc(OUT);
	for (unsigned n = 0;; n++) {
		if (n > CAP / 8 + 1)
			abort(); // a ring holds no more records than that
		int peeked = sh_ring_peek(r, &rec);
		if (peeked == 0 && ((uintptr_t)rec % 8 || rec->len > CAP))
			abort();
		int err = sh_ring_take(r, &hdr, out.mem, OUT);
		if (err == -EAGAIN || err == -EBADMSG) {
			if (peeked != err)
				abort();
			return;
		}
		if (err == 0 && hdr.len > OUT)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guarded g;
	struct sh_ring_end r, w;
	uint64_t head, tail;
	uint16_t pos;

	if (size < 19)
		return 0;
	if (!g.mem)
		g = guarded_alloc(sh_ring_bytes(CAP));
	memcpy(&head, data, 8);
	memcpy(&tail, data + 8, 8);
	memcpy(&pos, data + 16, 2);
	data += 18;
	size -= 18;
	struct sh_ring *ring = g.mem;
	for (size_t at = 0; at < CAP; at += size)
		memcpy(ring->data + at, data, size < CAP - at ? size : CAP - at);
	if (sh_ring_attach(&r, g.mem, CAP) || sh_ring_attach(&w, g.mem, CAP))
		abort();
	r.pos = r.seen = pos * 8u;
	ring->head = head;
	ring->tail = tail;
	read_all(&r);
	/* And the writer: whatever tail says, what it writes is inside. */
	w.pos = w.seen = pos * 8u;
	for (unsigned n = 0; n < 64; n++) {
		ring->tail = n & 1 ? tail : tail + n * 8;
		uint8_t *at = sh_ring_reserve(&w, 1, 0, data[n % size] * 8u);
		if (!at)
			continue;
		memset(at, 0xee, data[n % size] * 8u);
		sh_ring_commit(&w);
	}
	return 0;
}
