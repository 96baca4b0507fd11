/* For tests of WHIP and WHEP: requests with their replies, and what the dataplane was told. */
#pragma once
#include "tests/fakes/call_world.h"

#define SDP_TYPE  "application/sdp"
#define FRAG_TYPE "application/trickle-ice-sdpfrag"

extern struct cp_conn whip_ann; // by WebSocket
/* Offers: of one who publishes audio and video; of players. */
extern char *whip_av, *whip_recvonly, *whip_chrome_recv;

int whip_setup(void **state);
int whip_teardown(void **state); // asserts that nothing is left
/* Of the reply. */
int whip_status(enum cp_method method, const char *path, const char *bearer, const char *type,
                const char *if_match, const char *body);
/* A session that stands; its Location out. http_done() it. */
struct cp_http whip_post(const char *path, const char *bearer, const char *sdp);
struct cp_player *whip_last_player(void);
/* Subscriptions that have a payload type at all. */
unsigned whip_subs_flowing(void);
