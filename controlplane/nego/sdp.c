#include "controlplane/nego/sdp.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/nego/nego.h"

static const char *const attr_name[] = {"",
#define X(sym, text) text,
                                        CP_SDP_ATTR_LIST(X)
#undef X
};

int cp_sdp_fail(char *err, int code, uint32_t line, const char *fmt, ...)
{
	int n = 0;
	va_list ap;

	if (line)
		n = snprintf(err, CP_NEGO_ERROR_MAX, "line %u: ", line);
	va_start(ap, fmt);
	vsnprintf(err + n, (size_t)(CP_NEGO_ERROR_MAX - n), fmt, ap);
	va_end(ap);
	for (char *p = err; *p; p++)
		if (*p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\')
			*p = '?';
	return code;
}

int cp_sdp_token(const char **text, const char *seps, char *buf, size_t size)
{
	const char *p = *text + strspn(*text, seps);
	size_t n = strcspn(p, seps);

	*text = p + n;
	if (n >= size)
		return -E2BIG;
	memcpy(buf, p, n);
	buf[n] = '\0';
	return (int)n;
}

bool cp_sdp_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned d = (unsigned)(*text - '0');

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*out = v;
	return v <= max;
}

bool cp_sdp_is_token(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < 0x21 || *text > 0x7e || strchr("\"(),/:;<=>?@[\\]", *text))
			return false;
	return true;
}

const struct cp_sdp_attr *cp_sdp_attr(const struct cp_sdp *s, const struct cp_sdp_media *m,
                                      enum cp_sdp_name name, const struct cp_sdp_attr *after)
{
	uint32_t end = m ? m->end : s->session_end;
	uint32_t i = m ? m->first : 0;

	if (after)
		i = (uint32_t)(after - s->attr) + 1;
	for (; i < end; i++)
		if (s->attr[i].name == name)
			return &s->attr[i];
	return NULL;
}

/* Sizes of the arrays, so that the description is one allocation; and what no line may hold. */
static int count(const char *text, size_t len, uint32_t *attrs, uint32_t *media, char *err)
{
	uint32_t line = 0;
	size_t at = 0;

	*attrs = *media = 0;
	while (at < len) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - (text + at)) : len - at;
		const char *p = text + at;

		line++;
		if (line > CP_SDP_LINES_MAX)
			return cp_sdp_fail(err, -E2BIG, line, "more than %d lines",
			                   CP_SDP_LINES_MAX);
		if (n > CP_SDP_LINE_MAX)
			return cp_sdp_fail(err, -E2BIG, line, "longer than %d bytes",
			                   CP_SDP_LINE_MAX);
		if (memchr(p, '\0', n))
			return cp_sdp_fail(err, -EBADMSG, line, "NUL byte");
		if (n > 1 && memchr(p, '\r', n - 1))
			return cp_sdp_fail(err, -EBADMSG, line, "CR within a line");
		*attrs += n && *p == 'a';
		*media += n && *p == 'm';
		if (*media > CP_NEGO_MEDIA_MAX)
			return cp_sdp_fail(err, -E2BIG, line, "more than %d m-lines",
			                   CP_NEGO_MEDIA_MAX);
		at += n + 1;
	}
	return 0;
}

struct parser {
	struct cp_sdp *s;
	int form;
	uint32_t line;
	const char *at; // where in `order` the session part is
	unsigned seen;  // bit c - 'a'
	char *err;
};

static int malformed(struct parser *p, const char *what)
{
	return cp_sdp_fail(p->err, -EBADMSG, p->line, "malformed %s", what);
}

static int origin(struct parser *p, const char *v)
{
	char f[256];
	uint64_t n;

	for (int i = 0; i < 6; i++) {
		int len = cp_sdp_token(&v, " ", f, sizeof(f));

		if (len <= 0)
			return malformed(p, "o= line");
		if ((i == 1 || i == 2) && !cp_sdp_number(f, UINT64_MAX, &n))
			return malformed(p, "o= line: session id and version are numbers");
		if (i == 3 && strcmp(f, "IN"))
			return malformed(p, "o= line: network type is not IN");
		if (i == 4 && strcmp(f, "IP4") && strcmp(f, "IP6"))
			return malformed(p, "o= line: address type is not IP4 or IP6");
	}
	return *v ? malformed(p, "o= line") : 0;
}

static int connection(struct parser *p, const char *v)
{
	char net[8], type[8], addr[256];

	if (cp_sdp_token(&v, " ", net, sizeof(net)) <= 0 || strcmp(net, "IN") ||
	    cp_sdp_token(&v, " ", type, sizeof(type)) <= 0 ||
	    (strcmp(type, "IP4") && strcmp(type, "IP6")) ||
	    cp_sdp_token(&v, " ", addr, sizeof(addr)) <= 0 || *v)
		return malformed(p, "c= line");
	return 0;
}

static int bandwidth(struct parser *p, const char *v)
{
	const char *colon = strchr(v, ':');
	uint64_t n;

	if (!colon || colon == v || !cp_sdp_number(colon + 1, UINT64_MAX, &n))
		return malformed(p, "b= line");
	return 0;
}

static int timing(struct parser *p, const char *v)
{
	char a[24], b[24];
	uint64_t n;

	if (cp_sdp_token(&v, " ", a, sizeof(a)) <= 0 || !cp_sdp_number(a, UINT64_MAX, &n) ||
	    cp_sdp_token(&v, " ", b, sizeof(b)) <= 0 || !cp_sdp_number(b, UINT64_MAX, &n) || *v)
		return malformed(p, "t= line");
	return 0;
}

static int attribute(struct parser *p, char *v)
{
	struct cp_sdp_attr *a = &p->s->attr[p->s->n_attrs++];
	char *colon = strchr(v, ':');

	if (colon)
		*colon++ = '\0';
	a->line = p->line;
	a->value = colon ? colon : "";
	if (!cp_sdp_is_token(v))
		return malformed(p, "attribute name");
	for (size_t i = 1; i < sizeof(attr_name) / sizeof(attr_name[0]); i++)
		if (strcmp(attr_name[i], v) == 0)
			a->name = (enum cp_sdp_name)i;
	if (p->s->n_media)
		p->s->media[p->s->n_media - 1].end = p->s->n_attrs;
	else
		p->s->session_end = p->s->n_attrs;
	return 0;
}

/* m=<media> <port>[/<number>] <proto> <fmt> … */
static int media(struct parser *p, char *v)
{
	struct cp_sdp_media *m = &p->s->media[p->s->n_media++];
	char *save = NULL, *name, *port, *slash;
	uint64_t n;

	name = strtok_r(v, " ", &save);
	port = name ? strtok_r(NULL, " ", &save) : NULL;
	m->proto = port ? strtok_r(NULL, " ", &save) : NULL;
	if (!m->proto || !cp_sdp_is_token(name))
		return malformed(p, "m= line");
	slash = strchr(port, '/');
	if (slash)
		*slash++ = '\0';
	if (!cp_sdp_number(port, 65535, &n) || (slash && !cp_sdp_number(slash, 65535, &n)))
		return malformed(p, "m= line: port");
	cp_sdp_number(port, 65535, &n);
	m->media = name;
	m->port = (uint32_t)n;
	m->line = p->line;
	m->first = m->end = p->s->n_attrs;
	m->fmts = save ? save + strspn(save, " ") : "";
	if (!*m->fmts)
		return malformed(p, "m= line: no formats");
	return 0;
}

/* RFC 8866 §5 fixes the order above the first m=; below it real peers differ, and nothing depends
 * on it. */
static int in_place(struct parser *p, char type)
{
	static const char order[] = "vosiuepcbtrzka";
	const char *want = strchr(order, type);
	long prev = p->at ? p->at - order : -1;

	if (p->form == CP_SDP_FRAGMENT)
		return type == 'a' || type == 'm' ? 0
		                                  : malformed(p, "fragment: only a= and m= lines");
	if (p->s->n_media) {
		if (!strchr("micbka", type))
			return cp_sdp_fail(p->err, -EBADMSG, p->line, "%c= line below an m= line",
			                   type);
		return 0;
	}
	if (type == 'm') {
		if (!(p->seen & 1u << ('t' - 'a')))
			return cp_sdp_fail(p->err, -EBADMSG, p->line,
			                   "no v=, o=, s= and t= lines above");
		return 0;
	}
	if (!want)
		return cp_sdp_fail(p->err, -EBADMSG, p->line, "unknown line type");
	if (prev < 0 && type != 'v')
		return cp_sdp_fail(p->err, -EBADMSG, p->line, "does not begin with v=0");
	if (type == 't' && prev >= 0 && *p->at == 'r')
		want = p->at; // t= and r= repeat together
	if (want - order < prev || (want - order < 3 ? want - order != prev + 1 : prev < 2) ||
	    (strchr("iuczk", type) && p->seen & 1u << (type - 'a')))
		return cp_sdp_fail(p->err, -EBADMSG, p->line, "%c= line out of place", type);
	p->at = want;
	p->seen |= 1u << (type - 'a');
	return 0;
}

static int one_line(struct parser *p, char *line)
{
	int err;

	if (line[0] < 'a' || line[0] > 'z' || line[1] != '=')
		return cp_sdp_fail(p->err, -EBADMSG, p->line, "not of the form x=");
	err = in_place(p, line[0]);
	if (err)
		return err;
	switch (line[0]) {
	case 'v':
		return strcmp(line, "v=0")
		           ? cp_sdp_fail(p->err, -EBADMSG, p->line, "version is not 0")
		           : 0;
	case 'o':
		return origin(p, line + 2);
	case 'c':
		return connection(p, line + 2);
	case 'b':
		return bandwidth(p, line + 2);
	case 't':
		return timing(p, line + 2);
	case 'm':
		return media(p, line + 2);
	case 'a':
		return attribute(p, line + 2);
	default:
		return 0;
	}
}

static int lines(struct parser *p, char *text, size_t len)
{
	char *at = text, *end = text + len;

	while (at < end) {
		char *nl = memchr(at, '\n', (size_t)(end - at));
		char *stop = nl ? nl : end;
		int err;

		p->line++;
		*stop = '\0';
		if (stop > at && stop[-1] == '\r')
			stop[-1] = '\0';
		if (!*at) {
			if (strspn(stop + 1, "\r\n") != (size_t)(end - stop) - (stop < end))
				return cp_sdp_fail(p->err, -EBADMSG, p->line, "empty line");
			break; // empty lines at the end are pasted ones: harmless
		}
		err = one_line(p, at);
		if (err)
			return err;
		at = stop + 1;
	}
	if (p->form == CP_SDP_WHOLE && !p->s->n_media && !(p->seen & 1u << ('t' - 'a')))
		return cp_sdp_fail(p->err, -EBADMSG, p->line + 1, "ends before its t= line");
	return 0;
}

int cp_sdp_parse(struct cp_sdp **out, const char *text, size_t len, int form, char *err)
{
	struct parser p = {.form = form, .err = err};
	uint32_t attrs, medias;
	size_t head;
	char *copy;
	int rc;

	if (len > CP_NEGO_SDP_MAX)
		return cp_sdp_fail(err, -E2BIG, 0, "description of %zu bytes, %d at most", len,
		                   CP_NEGO_SDP_MAX);
	rc = count(text, len, &attrs, &medias, err);
	if (rc)
		return rc;
	head = sizeof(*p.s) + medias * sizeof(struct cp_sdp_media) +
	       attrs * sizeof(struct cp_sdp_attr);
	p.s = calloc(1, head + len + 2);
	if (!p.s)
		return cp_sdp_fail(err, -ENOMEM, 0, "out of memory");
	p.s->media = (struct cp_sdp_media *)(p.s + 1);
	p.s->attr = (struct cp_sdp_attr *)(p.s->media + medias);
	copy = (char *)p.s + head;
	memcpy(copy, text, len);
	rc = lines(&p, copy, len);
	if (rc) {
		free(p.s);
		return rc;
	}
	*out = p.s;
	return 0;
}

void cp_sdp_put(struct cp_sdp_out *o, const char *fmt, ...)
{
	char line[CP_SDP_LINE_MAX + 512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (o->err)
		return;
	if (n < 0 || (size_t)n >= sizeof(line)) {
		o->err = -E2BIG;
		return;
	}
	if (o->len + (size_t)n + 1 > o->size) {
		size_t size = (o->size + (size_t)n) * 2 + 2048;
		char *text = realloc(o->text, size);

		if (!text) {
			o->err = -ENOMEM;
			return;
		}
		o->text = text;
		o->size = size;
	}
	memcpy(o->text + o->len, line, (size_t)n + 1);
	o->len += (size_t)n;
}
