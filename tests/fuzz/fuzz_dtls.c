/* DTLS from somebody who owns the wire: the input drives two associations, delivering, dropping,
 * doubling, changing and forging datagrams and letting time pass. Randomness and time are fixed, so
 * that a crash repeats. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/nego/dtls.h"
#include "controlplane/nego/fake_loop.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) ((x) ? (void)0 : abort())

enum { QUEUE = 64 };
struct side {
	struct cp_dtls *d;
	struct side *peer;
	struct {
		size_t len;
		uint8_t data[CP_DTLS_DATAGRAM_MAX];
	} queue[QUEUE]; // towards this side
	unsigned head, tail, keyed, closed;
	struct sh_srtp_secret rx, tx;
};

static struct cp_dtls_ctx *ctx[2];
static struct side side[2];
static uint64_t random_state;

static int pseudo_random(unsigned char *out, int n)
{
	for (int i = 0; i < n; i++) {
		random_state = random_state * 6364136223846793005u + 1442695040888963407u;
		out[i] = (unsigned char)(random_state >> 56);
	}
	return 1;
}

static int ready(void)
{
	return 1;
}

static void on_send(void *arg, const uint8_t *data, size_t len)
{
	struct side *to = ((struct side *)arg)->peer;

	MUST(len > 0 && len <= CP_DTLS_DATAGRAM_MAX);
	if (to->tail - to->head == QUEUE)
		return;
	to->queue[to->tail % QUEUE].len = len;
	memcpy(to->queue[to->tail++ % QUEUE].data, data, len);
}

static void on_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                    const struct sh_srtp_secret *tx)
{
	struct side *s = arg;

	MUST(!s->keyed++ && !s->closed);
	s->rx = *rx;
	s->tx = *tx;
}

static void on_closed(void *arg, const char *reason)
{
	struct side *s = arg;

	MUST(!s->closed++ && reason);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const RAND_METHOD method = {
	    .bytes = pseudo_random, .pseudorand = pseudo_random, .status = ready};
	char dir[2][32] = {"/tmp/fuzz-dtls-XXXXXX", "/tmp/fuzz-dtls-XXXXXX"}, path[64];

	RAND_set_rand_method(&method);
	for (int i = 0; i < 2; i++) {
		MUST(mkdtemp(dir[i]) && cp_dtls_ctx_alloc(&ctx[i], dir[i]) == 0);
		snprintf(path, sizeof(path), "%s/dtls.pem", dir[i]);
		unlink(path);
		rmdir(dir[i]);
	}
	return 0;
}

static void start(int i)
{
	struct cp_dtls_events ev = {
	    .send = on_send, .keys = on_keys, .closed = on_closed, .arg = &side[i]};

	MUST(cp_dtls_alloc(&side[i].d, ctx[i], i ? CP_DTLS_CLIENT : CP_DTLS_SERVER,
	                   cp_dtls_fingerprint(ctx[!i]), &ev) == 0);
}

/* One step of the script: what to do, to whom, with which bytes. */
static void act(uint8_t op, uint8_t arg, const uint8_t *bytes, size_t n)
{
	struct side *to = &side[op & 1];
	uint8_t copy[1500];
	size_t len = 0;

	if (to->head != to->tail) {
		len = to->queue[to->head % QUEUE].len;
		memcpy(copy, to->queue[to->head % QUEUE].data, len);
	}
	switch (op >> 1 & 7) {
	case 0: // drop
		to->head += len != 0;
		return;
	case 1: // time
		fake_loop_advance(arg * 20u);
		return;
	case 2: // forge a datagram
		cp_dtls_recv(to->d, bytes, n);
		return;
	case 3: // forge a record: arg is its type and epoch
		memset(copy, 0, 13);
		copy[0] = (uint8_t)(20 + (arg & 3));
		copy[1] = 0xfe;
		copy[2] = 0xfd;
		copy[4] = arg >> 2 & 1;
		copy[10] = arg >> 3;
		copy[12] = (uint8_t)n;
		memcpy(copy + 13, bytes, n);
		cp_dtls_recv(to->d, copy, 13 + n);
		return;
	case 4: // change what is on its way
		for (size_t i = 0; i < n && len; i++)
			copy[(arg * 5u + i) % len] ^= bytes[i];
		cp_dtls_recv(to->d, copy, len);
		return;
	case 5: // cut it
		cp_dtls_recv(to->d, copy, len * arg / 256);
		return;
	case 6: // twice
		cp_dtls_recv(to->d, copy, len);
		break;
	default:
		break;
	}
	to->head += len != 0;
	cp_dtls_recv(to->d, copy, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	random_state = 1;
	memset(side, 0, sizeof(side));
	side[0].peer = &side[1];
	side[1].peer = &side[0];
	start(0);
	start(1);
	while (size >= 3) {
		size_t n = data[2] < size - 3 ? data[2] : size - 3;
		unsigned what = data[0] >> 1 & 7;

		n = what >= 2 && what <= 4 ? n : 0;
		act(data[0], data[1], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
	}
	if (side[0].keyed && side[1].keyed)
		MUST(memcmp(&side[0].rx, &side[1].tx, sizeof(side[0].rx)) == 0 &&
		     memcmp(&side[0].tx, &side[1].rx, sizeof(side[0].rx)) == 0);
	MUST(side[0].keyed == cp_dtls_established(side[0].d));
	cp_dtls_free(side[0].d);
	cp_dtls_free(side[1].d);
	MUST(fake_loop_timers() == 0);
	return 0;
}
