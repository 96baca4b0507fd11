#include "shared/cost_file.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT "callstack-cost-3"

struct reader {
	char *why;
	size_t size;
	int err;
};

static int fail(struct reader *r, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct reader *r, int err, const char *fmt, ...)
{
	va_list ap;

	if (r->err)
		return r->err; // the first fault is told
	r->err = err;
	va_start(ap, fmt);
	vsnprintf(r->why, r->size, fmt, ap);
	va_end(ap);
	return err;
}

static void number(struct reader *r, double *out, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		fail(r, -EINVAL, "key '%s' is not a number", key);
	else
		*out = json_number_value(v);
}

static const json_t *object(struct reader *r, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_object(v))
		fail(r, -EINVAL, "key '%s' is not an object", key);
	return v;
}

static void read_ciphers(struct reader *r, struct sh_cost_model *m, const json_t *o)
{
	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		const json_t *c = json_object_get(o, sh_cost_cipher_name[i]);

		if (!c)
			continue;
		number(r, &m->cipher[i].in, c, "in");
		number(r, &m->cipher[i].in_byte, c, "in_byte");
		number(r, &m->cipher[i].out, c, "out");
		number(r, &m->cipher[i].out_byte, c, "out_byte");
	}
}

static void read_port(struct reader *r, struct sh_cost_port *p, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));

	if (!name || strlen(name) >= sizeof(p->name)) {
		fail(r, -EINVAL, "key 'port.name' is not a name");
		return;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	number(r, &p->in, o, "in");
	number(r, &p->in_byte, o, "in_byte");
	number(r, &p->out, o, "out");
	number(r, &p->out_byte, o, "out_byte");
	number(r, &p->max_pps, o, "max_pps");
	number(r, &p->max_bps, o, "max_bps");
}

static void read_memory(struct reader *r, struct sh_cost_model *m, const json_t *o)
{
	number(r, &m->base_bytes, o, "base");
	number(r, &m->endpoint_bytes, o, "endpoint");
	number(r, &m->sub_bytes, o, "subscription");
	number(r, &m->video_bytes, o, "video");
	number(r, &m->audio_bytes, o, "audio");
	number(r, &m->memory, o, "available");
}

int sh_cost_load_json(struct sh_cost_model *out, const json_t *doc, char *why, size_t size)
{
	struct reader r = {.why = why, .size = size};
	const char *format = json_string_value(json_object_get(doc, "format"));
	struct sh_cost_model m = {0};

	if (!format || strcmp(format, FORMAT) != 0)
		return fail(&r, -EINVAL, "not a model: key 'format' is not " FORMAT);
	number(&r, &m.tsc_hz, doc, "tsc_hz");
	number(&r, &m.usable, doc, "usable");
	number(&r, &m.error, doc, "error");
	number(&r, &m.cache, doc, "cache");
	number(&r, &m.cache_in, doc, "cache_in");
	number(&r, &m.cached, doc, "cached");
	number(&r, &m.mixed, doc, "mixed");
	number(&r, &m.video, doc, "video");
	number(&r, &m.endpoint, doc, "endpoint");
	number(&r, &m.report, doc, "report");
	number(&r, &m.scan, doc, "scan");
	number(&r, &m.handoff, doc, "handoff");
	number(&r, &m.link, doc, "link");
	number(&r, &m.feedback, doc, "feedback");
	number(&r, &m.cache_feedback, doc, "cache_feedback");
	number(&r, &m.track, doc, "track");
	read_ciphers(&r, &m, object(&r, doc, "ciphers"));
	read_port(&r, &m.port, object(&r, doc, "port"));
	read_memory(&r, &m, object(&r, doc, "memory"));
	if (!r.err && !sh_cost_valid(&m))
		fail(&r, -EINVAL, "a number of it is out of its range");
	if (!r.err)
		*out = m;
	return r.err;
}

static int open_file(struct reader *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err = 0;
	struct stat st;

	if (fd < 0)
		return fail(r, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		err = fail(r, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err = fail(r, -EINVAL, "%s: not a plain file", path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		err = fail(r, -EACCES, "%s: belongs to another user", path);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		err = fail(r, -EACCES, "%s: others may write it; chmod go-w", path);
	else if (st.st_size > SH_COST_FILE_MAX)
		err = fail(r, -EINVAL, "%s: larger than %d bytes", path, SH_COST_FILE_MAX);
	if (err)
		close(fd);
	return err ? err : fd;
}

int sh_cost_load_file(struct sh_cost_model *out, const char *path, char *why, size_t size)
{
	struct reader r = {.why = why, .size = size};
	char text[192] = "";
	json_error_t wrong;
	int fd = open_file(&r, path), err;
	json_t *doc;

	if (fd < 0)
		return fd;
	doc = json_loadfd(fd, JSON_REJECT_DUPLICATES, &wrong);
	close(fd);
	if (!doc)
		return fail(&r, -EINVAL, "%s: line %d: %s", path, wrong.line, wrong.text);
	err = sh_cost_load_json(out, doc, text, sizeof(text));
	json_decref(doc);
	return err ? fail(&r, err, "%s: %s", path, text) : 0;
}

json_t *sh_cost_json(const struct sh_cost_model *m)
{
	const struct sh_cost_port *p = &m->port;
	json_t *ciphers = json_object();

	for (unsigned i = 0; i < SH_COST_CIPHER_COUNT; i++) {
		const struct sh_cost_cipher_coef *c = &m->cipher[i];

		if (c->out > 0)
			json_object_set_new(ciphers, sh_cost_cipher_name[i],
			                    json_pack("{sf sf sf sf}", "in", c->in, "in_byte",
			                              c->in_byte, "out", c->out, "out_byte",
			                              c->out_byte));
	}
	return json_pack(
	    "{ss sf sf sf so sf sf sf sf sf sf sf sf sf sf sf sf sf s{ss sf sf sf sf sf "
	    "sf} s{sf sf sf sf sf sf}}",
	    "format", FORMAT, "tsc_hz", m->tsc_hz, "usable", m->usable, "error", m->error,
	    "ciphers", ciphers, "cached", m->cached, "cache", m->cache, "cache_in", m->cache_in,
	    "mixed", m->mixed, "video", m->video, "endpoint", m->endpoint, "report", m->report,
	    "scan", m->scan, "handoff", m->handoff, "link", m->link, "feedback", m->feedback,
	    "cache_feedback", m->cache_feedback, "track", m->track, "port", "name", p->name, "in",
	    p->in, "in_byte", p->in_byte, "out", p->out, "out_byte", p->out_byte, "max_pps",
	    p->max_pps, "max_bps", p->max_bps, "memory", "base", m->base_bytes, "endpoint",
	    m->endpoint_bytes, "subscription", m->sub_bytes, "video", m->video_bytes, "audio",
	    m->audio_bytes, "available", m->memory);
}
