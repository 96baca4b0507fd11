#include "controlplane/signaling/whip_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

struct cp_conn whip_ann;
char *whip_av, *whip_recvonly, *whip_chrome_recv;

int whip_setup(void **state)
{
	world_open(true);
	conn_login(&whip_ann, "ann", NULL);
	whip_av = sdp_file("aiortc_av");
	whip_recvonly = sdp_file("aiortc_recvonly");
	whip_chrome_recv = sdp_file("chromium_recvonly");
	return 0;
}

int whip_teardown(void **state)
{
	struct cp_calls_counts n;

	conn_drop(&whip_ann);
	free(whip_av);
	free(whip_recvonly);
	free(whip_chrome_recv);
	world_advance(62000);
	n = world_counts();
	assert_int_equal(n.rooms + n.participants + n.endpoints + n.tracks + n.subs + n.dtls, 0);
	assert_int_equal(world.sig->counts.whip + world.sig->counts.whep, 0);
	assert_int_equal(world.dp.refusals, 0);
	world_close();
	return 0;
}

int whip_status(enum cp_method method, const char *path, const char *bearer, const char *type,
                const char *if_match, const char *body)
{
	struct cp_http h = http(method, path, bearer, type, if_match, body);

	http_done(&h);
	return h.status;
}

struct cp_http whip_post(const char *path, const char *bearer, const char *sdp)
{
	struct cp_http h = http(CP_POST, path, bearer, SDP_TYPE, NULL, sdp);

	if (h.status != 201)
		print_message("%s: %d %s\n", path, h.status, h.body);
	assert_int_equal(h.status, 201);
	return h;
}

struct cp_player *whip_last_player(void)
{
	struct cp_player *p = NULL, *o;

	TAILQ_FOREACH (o, &world.sig->players, entry)
		p = o;
	return p;
}

unsigned whip_subs_flowing(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_SUBS; i++)
		for (unsigned k = 0; world.dp.now.sub[i].id && k < SH_MAX_PTS; k++)
			if (world.dp.now.sub[i].pt[k] != 255) {
				n++;
				break;
			}
	return n;
}
