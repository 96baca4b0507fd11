#include "controlplane/nego/dtls_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/nego/fake_loop.h"

char dir[64], dir2[64];
struct cp_dtls_ctx *ctx, *ctx2;
struct side server, client;

void push(struct side *to, const uint8_t *data, size_t len)
{
	assert_true(len <= 1500);
	if (to->tail - to->head == QUEUE)
		return;
	to->queue[to->tail % QUEUE].len = (uint16_t)len;
	memcpy(to->queue[to->tail++ % QUEUE].data, data, len);
}

static void on_send(void *arg, const uint8_t *data, size_t len)
{
	struct side *s = arg;

	assert_in_range(len, 1, CP_DTLS_DATAGRAM_MAX);
	s->sent++;
	s->biggest = len > s->biggest ? (unsigned)len : s->biggest;
	push(s->peer, data, len);
}

static void on_keys(void *arg, enum sh_srtp_profile profile, const struct sh_srtp_secret *rx,
                    const struct sh_srtp_secret *tx)
{
	struct side *s = arg;

	s->keyed++;
	s->profile = profile;
	s->rx = *rx;
	s->tx = *tx;
}

static void on_closed(void *arg, const char *reason)
{
	struct side *s = arg;

	s->closed++;
	s->reason = reason;
}

struct cp_dtls_events events_of(struct side *s)
{
	return (struct cp_dtls_events){
	    .send = on_send, .keys = on_keys, .closed = on_closed, .arg = s};
}

void start(struct side *s, struct side *peer, struct cp_dtls_ctx *c, enum cp_dtls_role role,
           const char *fp)
{
	struct cp_dtls_events ev = events_of(s);

	memset(s, 0, sizeof(*s));
	s->peer = peer;
	assert_int_equal(cp_dtls_alloc(&s->d, c, role, fp, &ev), 0);
}

bool deliver(struct side *to)
{
	unsigned at = to->head;

	if (at == to->tail)
		return false;
	to->head++;
	if (to->d)
		cp_dtls_recv(to->d, to->queue[at % QUEUE].data, to->queue[at % QUEUE].len);
	return true;
}

void run(struct side *a, struct side *b)
{
	while (deliver(a) || deliver(b))
		;
}

void stop(struct side *a, struct side *b)
{
	cp_dtls_free(a->d);
	cp_dtls_free(b->d);
	a->d = b->d = NULL;
	assert_int_equal(fake_loop_timers(), 0);
}

void check_up(const struct side *s, const struct side *c, enum sh_srtp_profile profile)
{
	assert_true(cp_dtls_established(s->d) && cp_dtls_established(c->d));
	assert_int_equal(s->keyed, 1);
	assert_int_equal(c->keyed, 1);
	assert_int_equal(s->closed + c->closed, 0);
	assert_int_equal(s->profile, profile);
	assert_int_equal(c->profile, profile);
	assert_memory_equal(&s->rx, &c->tx, sizeof(s->rx));
	assert_memory_equal(&s->tx, &c->rx, sizeof(s->rx));
	assert_memory_not_equal(&s->tx, &s->rx, sizeof(s->rx));
}

void begin(void)
{
	memset(&server, 0, sizeof(server));
	start(&server, &client, ctx, CP_DTLS_SERVER, cp_dtls_fingerprint(ctx2));
	start(&client, &server, ctx2, CP_DTLS_CLIENT, cp_dtls_fingerprint(ctx));
}

int dtls_setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nego-dtls-XXXXXX");
	snprintf(dir2, sizeof(dir2), "/tmp/nego-dtls-XXXXXX");
	return !mkdtemp(dir) || !mkdtemp(dir2) || cp_dtls_ctx_alloc(&ctx, dir) ||
	       cp_dtls_ctx_alloc(&ctx2, dir2);
}

int dtls_teardown(void **state)
{
	char path[96];

	cp_dtls_ctx_free(ctx);
	cp_dtls_ctx_free(ctx2);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/dtls.pem", dir2);
	unlink(path);
	return rmdir(dir) | rmdir(dir2);
}
