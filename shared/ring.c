/* shared/: the contract of the two planes, and what both are made of.
 *
 *   ring.c    SPSC byte rings in shared memory            any one writer thread, any one reader
 *   msg.c     what may travel in them (msg.def, msg.h)    pure
 *   link.c    how two processes come to share them        control threads
 *   state.c   the slabs that outlive both processes       dataplane: rw, others: ro
 *   stats.c   the counters' names (stats.def)             pure
 *   addr.c    transport addresses as text                 pure
 *   log.c     one line to stderr                          control threads
 *   conf*.c   option tables, YAML, command line           start-up (library sh_conf, the only one
 *                                                         with libyaml)
 *
 * Here: positions are free-running 64-bit byte counts, so full and empty differ without a spare
 * byte and no position ever repeats. Whatever the peer can write is read once into a local, checked
 * against what we alone know (capacity, our own position), and only then used. */
#include "shared/ring.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "shared/secret.h"

enum {
	CAPACITY_MIN = 4096,
	CAPACITY_MAX = 64 << 20,
	BODY_MAX = 65528,
	TYPE_PAD = 0,
};

_Static_assert(sizeof(struct sh_rec) == 8, "positions are multiples of 8");
_Static_assert(offsetof(struct sh_ring, data) % 64 == 0, "records are 8-aligned");

static uint32_t record_bytes(uint32_t len)
{
	return (uint32_t)sizeof(struct sh_rec) + ((len + 7) & ~7u);
}

static struct sh_rec *record_at(const struct sh_ring_end *end, uint64_t pos)
{
	return (struct sh_rec *)(end->ring->data + (pos & (end->capacity - 1)));
}

uint64_t sh_ring_bytes(uint32_t capacity)
{
	return sizeof(struct sh_ring) + (uint64_t)capacity;
}

int sh_ring_attach(struct sh_ring_end *end, void *mem, uint32_t capacity)
{
	if (capacity < CAPACITY_MIN || capacity > CAPACITY_MAX || (capacity & (capacity - 1)))
		return -EINVAL;
	if (!mem || (uintptr_t)mem % 64)
		return -EINVAL;
	*end = (struct sh_ring_end){.ring = mem, .capacity = capacity};
	return 0;
}

/* Room for `bytes` behind our position. A tail that cannot be is a broken reader: full is all it
 * gets. */
static bool has_room(struct sh_ring_end *end, uint32_t bytes)
{
	if (end->capacity - (end->pos - end->seen) >= bytes)
		return true;
	uint64_t tail = atomic_load_explicit(&end->ring->tail, memory_order_acquire);
	if (tail % 8 || end->pos - tail > end->capacity)
		return false;
	end->seen = tail;
	return end->capacity - (end->pos - tail) >= bytes;
}

void *sh_ring_reserve(struct sh_ring_end *end, uint16_t type, uint16_t flags, uint32_t len)
{
	struct sh_ring *ring = end->ring;

	if (len > BODY_MAX || type == TYPE_PAD || record_bytes(len) > end->capacity / 2)
		return NULL;
	uint32_t need = record_bytes(len);
	uint32_t to_end = end->capacity - (uint32_t)(end->pos & (end->capacity - 1));
	uint32_t pad = need > to_end ? to_end : 0;
	if (!has_room(end, pad + need)) {
		atomic_fetch_add_explicit(&ring->full, 1, memory_order_relaxed);
		return NULL;
	}
	if (pad) {
		*record_at(end, end->pos) =
		    (struct sh_rec){.len = pad - (uint32_t)sizeof(struct sh_rec), .type = TYPE_PAD};
		end->pos += pad;
	}
	struct sh_rec *rec = record_at(end, end->pos);
	*rec = (struct sh_rec){.len = len, .type = type, .flags = flags};
	end->pos += need;
	return rec->body;
}

/* Sequentially consistent, as are `asleep` and the look at head before sleeping: writer and reader
 * each store one and then load the other (Dekker), so one of the two always sees the other's store.
 */
void sh_ring_commit(struct sh_ring_end *end)
{
	atomic_store(&end->ring->head, end->pos);
}

bool sh_ring_wake_needed(struct sh_ring_end *end)
{
	/* Woken for nothing, the reader would look at its own ring to us and wake us in turn, for ever. */
	if (atomic_load(&end->ring->tail) == end->pos)
		return false;
	return atomic_load(&end->ring->asleep) && atomic_exchange(&end->ring->asleep, 0);
}

int sh_ring_peek(struct sh_ring_end *end, const struct sh_rec **out)
{
	struct sh_ring *ring = end->ring;

	if (end->pos == end->seen) {
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (head == end->pos)
			return -EAGAIN;
		if (head % 8 || head - end->pos > end->capacity)
			return -EBADMSG;
		end->seen = head;
	}
	for (bool padded = false;; padded = true) {
		uint32_t off = (uint32_t)(end->pos & (end->capacity - 1));
		const volatile struct sh_rec *rec = record_at(end, end->pos);
		uint32_t len = rec->len;
		uint16_t type = rec->type, flags = rec->flags;

		if (len > BODY_MAX || record_bytes(len) > end->capacity - off ||
		    record_bytes(len) > end->seen - end->pos)
			return -EBADMSG;
		if (type != TYPE_PAD) {
			end->rec_bytes = record_bytes(len);
			end->rec_flags = flags;
			*out = record_at(end, end->pos);
			return 0;
		}
		/* Padding only fills the ring up to its end, and a record published with it
		 * follows. */
		if (padded || off == 0 || off + record_bytes(len) != end->capacity ||
		    record_bytes(len) == end->seen - end->pos)
			return -EBADMSG;
		end->pos += record_bytes(len);
		atomic_store_explicit(&ring->tail, end->pos, memory_order_release);
	}
}

void sh_ring_release(struct sh_ring_end *end)
{
	if (!end->rec_bytes)
		return;
	if (end->rec_flags & SH_REC_SECRET)
		sh_secret_wipe(record_at(end, end->pos)->body,
		               end->rec_bytes - sizeof(struct sh_rec));
	end->pos += end->rec_bytes;
	end->rec_bytes = 0;
	atomic_store_explicit(&end->ring->tail, end->pos, memory_order_release);
}

int sh_ring_take(struct sh_ring_end *end, struct sh_rec *hdr, void *body, uint32_t size)
{
	const struct sh_rec *rec;
	int err = sh_ring_peek(end, &rec);
	if (err)
		return err;
	/* One read of a length that the peer may be changing: from here on only the copy counts. */
	uint32_t len = ((const volatile struct sh_rec *)rec)->len;
	*hdr = (struct sh_rec){.len = len, .type = rec->type, .flags = end->rec_flags};
	if (hdr->type == TYPE_PAD || len > BODY_MAX || record_bytes(len) != end->rec_bytes)
		return -EBADMSG;
	err = len > size ? -EMSGSIZE : 0;
	if (!err)
		memcpy(body, rec->body, len);
	sh_ring_release(end);
	return err;
}

bool sh_ring_sleep(struct sh_ring_end *end)
{
	atomic_store(&end->ring->asleep, 1);
	if (atomic_load(&end->ring->head) == end->pos)
		return true;
	atomic_store(&end->ring->asleep, 0);
	return false;
}
