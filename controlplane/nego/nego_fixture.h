/* What the tests of agreement have in common: our side, with two addresses, and peers' descriptions
 * from testdata or changed in one place. Texts that are returned are the caller's to free(). */
#pragma once
#include "controlplane/nego/nego.h"

extern char why[CP_NEGO_ERROR_MAX]; // the last refusal, in words
extern bool restarted;              // the last offer began ICE anew

void init(struct cp_nego *n, bool offerer);

/* ---- texts ---- */
char *load(const char *name); // testdata/NAME.sdp
/* text with the first `from` made `to`. */
char *replaced(const char *text, const char *from, const char *to);
char *replaced_in(char *text, const char *from, const char *to); // the same, freeing text
unsigned count(const char *text, const char *what);

/* ---- the peer offers ---- */
int offer(struct cp_nego *n, const char *sdp);
char *answer(struct cp_nego *n);
/* Our own text as if a full ICE agent had written it. */
int offer_of_ours(struct cp_nego *n, const char *sdp);
void take(struct cp_nego *n, const char *fixture); // which must be agreed to
/* A description with one m-line more or less: `from` in a fixture made `to`, taken as an offer.
 * Our answer. */
char *take_changed(struct cp_nego *n, const char *fixture, const char *from, const char *to);

/* ---- we offer ---- */
/* M-line i of a publisher, with SSRCs of its own; its name is good until the next call. */
struct cp_nego_send track(struct cp_nego *pub, size_t i);
size_t add(struct cp_nego *sub, struct cp_nego *pub, size_t i); // index of its m-line
char *make_offer(struct cp_nego *n);
/* A subscriber to both m-lines of a publisher: our offer to it. */
char *subscribe(struct cp_nego *sub, struct cp_nego *pub);
/* A peer that takes all of our offer: our own answerer, sending nothing. Its answer. */
char *willing(const char *sdp);
int answered(struct cp_nego *n, const char *sdp);
