#include "dataplane/event_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/event.h"
#include "dataplane/srtp/srtp.h"
#include "dataplane/table/table.h"

struct sh_ring_end event_tx;
union event_body event_body;

static _Alignas(64) uint8_t mem[CAPACITY + 4096];
static struct sh_ring_end rx;
static char path[64];

static void no_wait(void *arg)
{
}

uint64_t event_counter(enum sh_stat s)
{
	return dp_slabs.head->stats[SH_MAX_WORKERS].v[s];
}

int event_setup(void **state)
{
	struct dp_table_cfg cfg = {
	    .workers = 1, .backend = dp_srtp_backend_find("libsrtp2"), .wait = no_wait};
	bool created;

	snprintf(path, sizeof(path), "/tmp/event_test.%d", getpid());
	assert_int_equal(sh_slabs_create(&dp_slabs, path, ENDPOINTS, 8, 8, &created), 0);
	assert_int_equal(dp_table_init(&cfg), 0);
	dp_slabs.head->workers = 1;
	assert_int_equal(dp_event_init(), 0);
	memset(mem, 0, sizeof(mem));
	assert_int_equal(sh_ring_attach(&event_tx, mem, CAPACITY), 0);
	assert_int_equal(sh_ring_attach(&rx, mem, CAPACITY), 0);
	dp_event_link(&event_tx);
	return 0;
}

int event_teardown(void **state)
{
	dp_event_free();
	dp_table_free();
	sh_slabs_close(&dp_slabs);
	return unlink(path);
}

unsigned event_next(void)
{
	struct sh_rec hdr;

	if (sh_ring_take(&rx, &hdr, event_body.bytes, sizeof(event_body)) != 0)
		return 0;
	assert_int_equal(sh_msg_check(hdr.type, event_body.bytes, hdr.len), 0);
	return hdr.type;
}

struct sh_endpoint *event_alive(uint32_t i)
{
	struct sh_endpoint *e = &dp_slabs.endpoint[i];

	e->set.id = SH_ID(i, 1u);
	e->local = (struct sh_addr){.family = 4, .port = 10000, .ip = {127, 0, 0, 1}};
	e->remote =
	    (struct sh_addr){.family = 4, .port = (uint16_t)(5000 + i), .ip = {127, 0, 0, 1}};
	e->ice = SH_ICE_CONNECTED;
	e->state = SH_LIVE;
	return e;
}
