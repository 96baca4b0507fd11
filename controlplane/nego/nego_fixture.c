#include "controlplane/nego/nego_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char why[CP_NEGO_ERROR_MAX];
bool restarted;

void init(struct cp_nego *n, bool offerer)
{
	static const struct sh_addr addr[2] = {
	    {.family = 4, .port = 10000, .ip = {192, 0, 2, 1}},
	    {.family = 6, .port = 10000, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}};
	struct cp_nego_conf conf = {.ufrag = "ourufrag",
	                            .pwd = "ourpassword0123456789abcd",
	                            .cname = "callstack",
	                            .addr = addr,
	                            .addrs = 2,
	                            .offerer = offerer,
	                            .fingerprint =
	                                "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:"
	                                "0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"};

	assert_int_equal(cp_nego_init(n, &conf, 1), 0);
}

char *load(const char *name)
{
	char path[512], *text = malloc(65536);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.sdp", TESTDATA, name);
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, 65535, f)] = '\0';
	fclose(f);
	return text;
}

char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = malloc(strlen(text) + strlen(to) + 1);

	if (!at)
		fail_msg("no \"%s\" to replace", from);
	sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return out;
}

char *replaced_in(char *text, const char *from, const char *to)
{
	char *out = replaced(text, from, to);

	free(text);
	return out;
}

int offer(struct cp_nego *n, const char *sdp)
{
	return cp_nego_offer_in(n, sdp, strlen(sdp), &restarted, why);
}

char *answer(struct cp_nego *n)
{
	char *sdp = NULL;

	assert_int_equal(cp_nego_answer_out(n, &sdp), 0);
	return sdp;
}

int offer_of_ours(struct cp_nego *n, const char *sdp)
{
	char *text = replaced(sdp, "a=ice-lite\r\n", "");
	int rc = offer(n, text);

	free(text);
	return rc;
}

void take(struct cp_nego *n, const char *fixture)
{
	char *sdp = load(fixture);

	if (offer(n, sdp))
		fail_msg("%s: %s", fixture, why);
	free(sdp);
}

char *take_changed(struct cp_nego *n, const char *fixture, const char *from, const char *to)
{
	char *sdp = load(fixture), *changed = replaced(sdp, from, to), *out;

	if (offer(n, changed))
		fail_msg("%s: %s", fixture, why);
	out = answer(n);
	free(changed);
	free(sdp);
	return out;
}

unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

struct cp_nego_send track(struct cp_nego *pub, size_t i)
{
	static uint32_t ssrc = 100;
	static char name[16];

	ssrc += 2;
	snprintf(name, sizeof(name), "t%u", ssrc);
	return (struct cp_nego_send){.kind = pub->media[i].kind,
	                             .src = pub->media[i].codec,
	                             .n_src = pub->media[i].codecs,
	                             .ssrc = ssrc,
	                             .rtx_ssrc = ssrc + 1,
	                             .stream = "s",
	                             .track = name,
	                             .user = pub};
}

size_t add(struct cp_nego *sub, struct cp_nego *pub, size_t i)
{
	struct cp_nego_send s = track(pub, i);
	size_t index;

	assert_int_equal(cp_nego_send_add(sub, &index, &s), 0);
	return index;
}

char *make_offer(struct cp_nego *n)
{
	char *sdp;

	assert_int_equal(cp_nego_offer_out(n, &sdp), 0);
	return sdp;
}

char *subscribe(struct cp_nego *sub, struct cp_nego *pub)
{
	init(sub, true);
	add(sub, pub, 0);
	add(sub, pub, 1);
	return make_offer(sub);
}

int answered(struct cp_nego *n, const char *sdp)
{
	return cp_nego_answer_in(n, sdp, strlen(sdp), why);
}

char *willing(const char *sdp)
{
	struct cp_nego peer;
	char *out;

	init(&peer, false);
	if (offer_of_ours(&peer, sdp))
		fail_msg("own offer: %s", why);
	out = answer(&peer);
	cp_nego_close(&peer);
	out = replaced_in(out, "a=ice-lite\r\n", "");
	while (strstr(out, "a=setup:passive"))
		out = replaced_in(out, "a=setup:passive", "a=setup:active");
	return out;
}
