#include "controlplane/ops/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controlplane/signaling/token.h"

static int read_ttl(const struct ctl *c, const char *text, int64_t *ttl)
{
	char *end;

	*ttl = 3600;
	if (!text)
		return 0;
	errno = 0;
	*ttl = strtoll(text, &end, 10);
	if (errno || *end || !*text || *ttl < 1 || *ttl > CP_TOKEN_TTL_MAX_S)
		return ctl_fail(c, CTL_USAGE, "--ttl %s: expected 1 to %d seconds", text,
		                CP_TOKEN_TTL_MAX_S);
	return 0;
}

int ctl_token(struct ctl *c)
{
	bool bad = false;
	const char *user = ctl_option(c, "user", &bad), *room = ctl_option(c, "room", &bad);
	const char *display = ctl_option(c, "display", &bad),
	           *ttl_text = ctl_option(c, "ttl", &bad);
	struct cp_token_key key;
	struct cp_token t = {.iat = time(NULL)};
	char why[512], *text;
	int64_t ttl;
	int err;

	if (bad || !ctl_words(c, 0, 0))
		return CTL_USAGE;
	if (!user || !cp_name_valid(user))
		return ctl_fail(c, CTL_USAGE,
		                "--user U is needed: 1 to 64 characters of A-Z a-z 0-9 . _ - @ +");
	if (room && !cp_name_valid(room))
		return ctl_fail(c, CTL_USAGE,
		                "--room: 1 to 64 characters of A-Z a-z 0-9 . _ - @ +");
	if (display && strlen(display) >= sizeof(t.name))
		return ctl_fail(c, CTL_USAGE, "--display: at most %zu bytes", sizeof(t.name) - 1);
	err = read_ttl(c, ttl_text, &ttl);
	if (!err)
		err = ctl_enter_data_dir(c);
	if (err)
		return err;
	if (cp_token_key_load(&key, c->data_dir, why, sizeof(why)))
		return ctl_fail(c, CTL_FAILED, "%s", why);
	snprintf(t.sub, sizeof(t.sub), "%s", user);
	snprintf(t.room, sizeof(t.room), "%s", room ? room : "");
	snprintf(t.name, sizeof(t.name), "%s", display ? display : "");
	t.exp = t.iat + ttl;
	err = cp_token_make(&text, &key, &t);
	cp_token_key_wipe(&key);
	if (err)
		return ctl_fail(c, CTL_FAILED, "cannot make a token: %s", strerror(-err));
	if (c->json)
		ctl_print_json(json_pack("{s:s, s:s, s:I}", "token", text, "user", t.sub, "expires",
		                         (json_int_t)t.exp));
	else
		puts(text);
	free(text);
	return CTL_OK;
}
