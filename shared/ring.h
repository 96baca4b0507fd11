/* SPSC byte ring in shared memory: one writer process, one reader process, records never split.
 *
 * Memory: one struct sh_ring, then `capacity` bytes. head and tail are free-running byte counts;
 *   invariant: 0 <= head - tail <= capacity, both multiples of 8.
 * Each side holds a struct sh_ring_end of its own, with the capacity it was told at attach: nothing
 * that the other side can write is trusted for addressing, so a hostile peer can make us drop its
 * records (-EBADMSG), never read or write outside the ring.
 * No call here makes a system call; sh_ring_wake_needed() tells the writer whether to write the eventfd. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdatomic.h>

struct sh_rec {
	uint32_t len;  // bytes of body, 0..65,528; the record takes 8 + len rounded up to 8
	uint16_t type; // enum sh_msg_type; 0 = padding up to the end of the ring
	uint16_t flags; // SH_REC_SECRET: the reader wipes the body on release
	uint8_t body[];
};
enum { SH_REC_SECRET = 1 };

struct sh_ring {
	_Alignas(64) _Atomic uint64_t head; // writer: rw, reader: ro
	_Atomic uint64_t full;              // writer: rw; times a put found no room
	_Alignas(64) _Atomic uint64_t tail; // reader: rw, writer: ro
	_Atomic uint32_t asleep;            // reader sets it before it sleeps, writer clears it when it wakes
	_Alignas(64) uint8_t data[];
};

struct sh_ring_end {
	struct sh_ring *ring;
	uint32_t capacity; // power of two, 4 KiB..64 MiB
	uint64_t pos;      // writer: head not yet published; reader: tail not yet published
	uint64_t seen;     // the other side's position when last read
	uint32_t rec_bytes; // reader: ring bytes of the record that peek showed, 0: none
	uint16_t rec_flags; // reader: its flags as they were when it was checked
};

/* Bytes of shared memory for a ring of that capacity. */
uint64_t sh_ring_bytes(uint32_t capacity);
/* Writer or reader: bind to memory of at least sh_ring_bytes(capacity). The memory starts zeroed.
 * 0, -EINVAL (capacity is no power of two or out of range, mem not aligned to 64). */
int sh_ring_attach(struct sh_ring_end *end, void *mem, uint32_t capacity);

/* Writer. Space for a body of len bytes, or NULL: full (counted in ring->full) or len too large.
 * The pointer (8-aligned) is the writer's until sh_ring_commit() publishes it. One reservation at a time.
 * Too large: a record with its header takes at most half the ring, so that any record fits an empty ring
 * wherever the positions stand. */
void *sh_ring_reserve(struct sh_ring_end *end, uint16_t type, uint16_t flags, uint32_t len);
void sh_ring_commit(struct sh_ring_end *end);
/* Writer: true when the reader sleeps and has something to read: the eventfd must be written. */
bool sh_ring_wake_needed(struct sh_ring_end *end);

/* Reader. 0 with *rec in the ring until sh_ring_release(); -EAGAIN: empty; -EBADMSG: the writer's
 * positions or this record's length are impossible: the ring is dead and must be torn down.
 * The writer can still change *rec after it was checked: a reader that does not trust it uses sh_ring_take(). */
int sh_ring_peek(struct sh_ring_end *end, const struct sh_rec **rec);
void sh_ring_release(struct sh_ring_end *end);

/* Reader: the next record copied into private memory and released, so that what is checked is what is used.
 * *hdr: its length, type and flags; body: its bytes (size bytes of room, 8-aligned; what lies behind the record
 * is left alone). The copy of a SH_REC_SECRET body is the caller's to wipe.
 * 0; -EAGAIN; -EBADMSG as peek; -EMSGSIZE: longer than size, skipped, *hdr is filled. */
int sh_ring_take(struct sh_ring_end *end, struct sh_rec *hdr, void *body, uint32_t size);
/* Reader, before it blocks on the eventfd: false when something came in meanwhile (don't block). */
bool sh_ring_sleep(struct sh_ring_end *end);
