/* What the tests of the plane have in common: it against a dataplane that keeps plain tables. Time
 * is a number here. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "controlplane/plane/plane_priv.h"
#include "tests/fakes/fake_dataplane.h"

#define MS 1000000ull

struct world {
	char dir[64];
	struct fake_dp dp;
	struct cp_plane *p;
	uint64_t now;
	int fd[4];
	/* seen by the handlers */
	unsigned ups, downs, states, dtls, tracks, refusals;
	bool slabs_new;
	char reason[160];
	unsigned refused_what;
	sh_id refused_id, last_id;
	int refused_error;
	size_t dtls_len;
};
extern struct world w;

/* A test in a world of its own: a ring of 64 KiB, or of 4. */
#define T(f)     cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SMALL(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown)
int setup(void **state);
int setup_small(void **state);
int teardown(void **state);

struct cp_plane *plane_new(uint64_t epoch); // not yet started
void plane_anew(uint64_t epoch);            // the next daemon's in place of w.p
/* One turn of both sides; false when nothing happened. */
bool turn(void);
void settle(void); // turns until nothing moves
void connect_all(void);

/* As the callers of the plane do; what they set is the sample. */
sh_id new_id(unsigned what);
sh_id add_endpoint(bool keys);
sh_id add_track(sh_id endpoint);
sh_id add_sub(sh_id track, sh_id endpoint);

unsigned entries(void); // in the dataplane
/* Every object that is desired is in the dataplane as it should be, and nothing else is. */
void assert_same(void);
