/* A client of callstack.v1 and a browser's SDP, for call_world.h. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fakes/call_world.h"

const char *text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!s)
		fprintf(stderr, "no '%s' in %s\n", key, json_dumps(o, JSON_COMPACT));
	assert(s);
	return s;
}

json_int_t int_at(const json_t *o, const char *key)
{
	assert(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

static json_int_t send_v(struct cp_conn *c, const char *fmt, va_list ap)
{
	json_t *o = json_vpack_ex(NULL, 0, fmt, ap);
	json_int_t id = c->id++;
	char *text;

	assert(o);
	json_object_set_new(o, "id", json_integer(id));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	conn_text(c, text, strlen(text));
	free(text);
	return id;
}

json_int_t conn_send(struct cp_conn *c, const char *fmt, ...)
{
	json_int_t id;
	va_list ap;

	va_start(ap, fmt);
	id = send_v(c, fmt, ap);
	va_end(ap);
	return id;
}

json_t *conn_take(struct cp_conn *c)
{
	json_t *o = json_incref(json_array_get(c->frames, 0));

	if (o)
		json_array_remove(c->frames, 0);
	return o;
}

static json_t *ask_v(struct cp_conn *c, const char *fmt, va_list ap)
{
	json_int_t id;
	json_t *o;

	world_settle();
	id = send_v(c, fmt, ap);
	world_settle();
	/* Events from before the request may wait; those it caused come after the reply. */
	for (size_t i = 0; i < json_array_size(c->frames); i++) {
		o = json_array_get(c->frames, i);
		if (!json_object_get(o, "re"))
			continue;
		assert(int_at(o, "re") == id);
		json_incref(o);
		json_array_remove(c->frames, i);
		return o;
	}
	fprintf(stderr, "no reply to '%s' (closed: %d %s)\n", fmt, c->close_code, c->reason);
	abort();
}

static json_t *ok_v(struct cp_conn *c, const char *fmt, va_list ap)
{
	json_t *o = ask_v(c, fmt, ap);

	if (strcmp(text_at(o, "type"), "ok") != 0) {
		fprintf(stderr, "'%s': %s\n", fmt, json_dumps(o, JSON_COMPACT));
		abort();
	}
	return o;
}

json_t *conn_ok(struct cp_conn *c, const char *fmt, ...)
{
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	o = ok_v(c, fmt, ap);
	va_end(ap);
	return o;
}

void conn_do(struct cp_conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_decref(ok_v(c, fmt, ap));
	va_end(ap);
}

void conn_refused(struct cp_conn *c, const char *code, const char *fmt, ...)
{
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	o = ask_v(c, fmt, ap);
	va_end(ap);
	if (strcmp(text_at(o, "type"), "error") != 0 || strcmp(text_at(o, "code"), code) != 0) {
		fprintf(stderr, "'%s' should be refused as %s: %s\n", fmt, code,
		        json_dumps(o, JSON_COMPACT));
		abort();
	}
	assert(*text_at(o, "message"));
	json_decref(o);
}

json_t *conn_event(struct cp_conn *c, const char *type)
{
	json_t *o = conn_take(c);

	if (!o || strcmp(text_at(o, "type"), type) != 0) {
		fprintf(stderr, "event '%s' should come: %s\n", type,
		        o ? json_dumps(o, JSON_COMPACT) : "nothing does");
		abort();
	}
	assert(int_at(o, "seq") > 0);
	return o;
}

void conn_skip(struct cp_conn *c, const char *type)
{
	json_decref(conn_event(c, type));
}

void conn_silent(struct cp_conn *c)
{
	world_settle();
	if (json_array_size(c->frames) == 0)
		return;
	fprintf(stderr, "nothing should come: %s\n", json_dumps(c->frames, JSON_COMPACT));
	abort();
}

void conn_forget(struct cp_conn *c)
{
	world_settle();
	json_array_clear(c->frames);
}

void conn_login(struct cp_conn *c, const char *user, char secret[65])
{
	char password[80];
	json_t *o;

	snprintf(password, sizeof(password), "p-%s", user);
	conn_open(c);
	o = conn_ok(c, "{ss ss ss}", "type", "login", "user", user, "password", password);
	assert(strcmp(text_at(o, "user"), user) == 0);
	if (secret)
		snprintf(secret, 65, "%s", text_at(o, "resume"));
	json_decref(o);
}

struct cp_session *conn_session(const struct cp_conn *c)
{
	return ((struct cp_client *)c->user)->session;
}

struct cp_participant *conn_party(const struct cp_conn *c)
{
	return conn_session(c)->party;
}

/* ---- SDP ---- */

char *sdp_edit(char *sdp, const char *from, const char *to)
{
	size_t n = strlen(from), size;
	char *out, *at = sdp, *hit;
	FILE *f = open_memstream(&out, &size);

	while ((hit = strstr(at, from))) {
		fwrite(at, 1, (size_t)(hit - at), f);
		fputs(to, f);
		at = hit + n;
	}
	fputs(at, f);
	fclose(f);
	free(sdp);
	return out;
}

static char *with_fingerprint(char *sdp)
{
	char *at = strstr(sdp, "a=fingerprint:"), *old;

	if (!at)
		return sdp;
	at += strlen("a=fingerprint:");
	old = strndup(at, strcspn(at, "\r\n"));
	sdp = sdp_edit(sdp, old, cp_dtls_fingerprint(world.peer_dtls));
	free(old);
	return sdp;
}

char *sdp_file(const char *name)
{
	char path[512], *text;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.sdp", TESTDATA, name);
	f = fopen(path, "r");
	assert(f);
	text = calloc(1, 65536);
	n = fread(text, 1, 65535, f);
	fclose(f);
	assert(n > 100 && n < 65535);
	return with_fingerprint(text);
}

unsigned sdp_count(const char *sdp, const char *line_start)
{
	unsigned n = strncmp(sdp, line_start, strlen(line_start)) == 0;
	const char *at = sdp;

	while ((at = strchr(at, '\n')))
		n += strncmp(++at, line_start, strlen(line_start)) == 0;
	return n;
}

static bool starts(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

char *sdp_answer(const char *offer, const char *ufrag, uint64_t accept)
{
	char *copy = strdup(offer), *save = NULL, *out;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	int media = -1;

	for (char *l = strtok_r(copy, "\r\n", &save); l; l = strtok_r(NULL, "\r\n", &save)) {
		media += starts(l, "m=");
		if (starts(l, "a=ice-lite") || starts(l, "a=candidate") || starts(l, "a=end-of") ||
		    starts(l, "a=ssrc") || starts(l, "a=msid:"))
			continue;
		if (starts(l, "a=sendonly"))
			l = accept >> media & 1 ? "a=recvonly" : "a=inactive";
		else if (starts(l, "a=setup:"))
			l = "a=setup:active";
		if (starts(l, "a=ice-ufrag:"))
			fprintf(f, "a=ice-ufrag:%s\r\n", ufrag);
		else if (starts(l, "a=ice-pwd:"))
			fprintf(f, "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n");
		else if (starts(l, "a=fingerprint:"))
			fprintf(f, "a=fingerprint:%s\r\n", cp_dtls_fingerprint(world.peer_dtls));
		else
			fprintf(f, "%s\r\n", l);
	}
	fclose(f);
	free(copy);
	return out;
}

size_t conn_answer(struct cp_conn *c)
{
	json_t *o = conn_event(c, "offer");
	char *sdp = sdp_answer(text_at(o, "sdp"), "clnt", UINT64_MAX);
	size_t n = json_array_size(json_object_get(o, "tracks"));

	conn_do(c, "{ss sI ss}", "type", "answer", "rev", int_at(o, "rev"), "sdp", sdp);
	free(sdp);
	json_decref(o);
	return n;
}

void conn_publish(struct cp_conn *c, char audio[CP_ID_MAX], char video[CP_ID_MAX])
{
	char *sdp = sdp_file("aiortc_av");
	json_t *o =
	    conn_ok(c, "{ss ss s[{ss ss},{ss ss}]}", "type", "publish", "sdp", sdp, "tracks", "mid",
	            "0", "source", "microphone", "mid", "1", "source", "camera");
	const json_t *tracks = json_object_get(o, "tracks");

	assert(json_array_size(tracks) == 2);
	if (audio)
		snprintf(audio, CP_ID_MAX, "%s", text_at(json_array_get(tracks, 0), "track"));
	if (video)
		snprintf(video, CP_ID_MAX, "%s", text_at(json_array_get(tracks, 1), "track"));
	free(sdp);
	json_decref(o);
}
