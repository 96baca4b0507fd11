/* The fields of a request, checked by its line in protocol.def. */
#include "controlplane/signaling/signaling_priv.h"

#include <string.h>
#include "controlplane/signaling/token.h"

/* ---- words ---- */

/* C0, DEL, and C1 (U+0080 to U+009F, in UTF-8 C2 80 to C2 9F). */
static bool control(const char *at)
{
	const unsigned char *s = (const unsigned char *)at;

	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f);
}

bool cp_display_ok(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (control(s + i))
			return false;
	return n >= 1 && n <= max;
}

static bool chat_ok(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (control(s + i) && s[i] != '\n' && s[i] != '\t')
			return false;
	return n <= CP_CHAT_MAX;
}

/* ---- fields ---- */

static bool track_objects_ok(const json_t *v)
{
	json_t *o, *mid, *source, *muted;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > CP_NEGO_MEDIA_MAX)
		return false;
	json_array_foreach (v, i, o) {
		mid = json_object_get(o, "mid");
		source = json_object_get(o, "source");
		muted = json_object_get(o, "muted");
		if (!json_is_string(mid) || json_string_length(mid) > SH_MID_MAX ||
		    !json_is_string(source) || cp_source_parse(json_string_value(source)) < 0 ||
		    (muted && !json_is_boolean(muted)) || json_object_size(o) != (muted ? 3u : 2u))
			return false;
		for (size_t k = 0; k < i; k++)
			if (json_equal(mid, json_object_get(json_array_get(v, k), "mid")))
				return false;
	}
	return true;
}

static bool in_range(const json_t *v, json_int_t max)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= max;
}

/* Numbers of a subscriber's wishes by the names of their kinds, as in protocol.def. */
static const struct {
	const char *key, *kind;
	json_int_t max;
} wishes[] = {
    {"height", "height", UINT16_MAX},
    {"max_layer", "layer", SH_MAX_LAYERS - 1},
    {"max_temporal", "temporal", SH_MAX_TEMPORAL - 1},
    {"priority", "priority", UINT8_MAX},
};
enum { WISHES = sizeof(wishes) / sizeof(wishes[0]) };

static bool id_ok(const json_t *v)
{
	return json_is_string(v) && json_string_length(v) > 0 &&
	       json_string_length(v) <= CP_NAME_MAX;
}

static bool wants_ok(const json_t *list)
{
	size_t i;
	json_t *o;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > CP_NEGO_MEDIA_MAX)
		return false;
	json_array_foreach (list, i, o) {
		size_t keys = 1;

		if (!id_ok(json_object_get(o, "track")))
			return false;
		for (size_t k = 0; k < WISHES; k++) {
			const json_t *v = json_object_get(o, wishes[k].key);

			if (v && !in_range(v, wishes[k].max))
				return false;
			keys += v != NULL;
		}
		if (json_object_size(o) != keys)
			return false;
	}
	return true;
}

static bool ids_ok(const json_t *v)
{
	json_t *o;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > CP_NEGO_MEDIA_MAX)
		return false;
	json_array_foreach (v, i, o)
		if (!json_is_string(o) || json_string_length(o) > CP_NAME_MAX)
			return false;
	return true;
}

/* jansson refuses NUL within strings unless asked to allow it, so strlen() is right below. */
static bool kind_ok(const char *kind, size_t n, const json_t *v)
{
	const char *s = json_string_value(v);

#define IS(word) (n == sizeof(word) - 1 && memcmp(kind, word, n) == 0)
	if (IS("bool"))
		return json_is_boolean(v);
	if (IS("int"))
		return json_is_integer(v) && json_integer_value(v) >= 0;
	if (IS("ids"))
		return ids_ok(v);
	if (IS("tracks"))
		return track_objects_ok(v);
	if (IS("wants"))
		return wants_ok(v);
	for (size_t k = 0; k < WISHES; k++)
		if (n == strlen(wishes[k].kind) && memcmp(kind, wishes[k].kind, n) == 0)
			return in_range(v, wishes[k].max);
	if (!s)
		return false;
	if (IS("name"))
		return cp_name_valid(s);
	if (IS("id"))
		return *s && strlen(s) <= CP_NAME_MAX;
	if (IS("text"))
		return cp_display_ok(s, CP_DISPLAY_MAX);
	if (IS("chat"))
		return chat_ok(s);
	if (IS("secret"))
		return *s && strlen(s) <= 4096;
	if (IS("word"))
		return strlen(s) <= 32;
	return IS("sdp") && strlen(s) <= CP_NEGO_SDP_MAX;
#undef IS
}

/* "name:kind[?]" at *spec, which moves behind it. false: no more. */
struct field {
	const char *name, *kind;
	size_t name_len, kind_len;
	bool optional;
};
static bool next_field(const char **spec, struct field *f)
{
	size_t word = strcspn(*spec, " ");

	if (!word)
		return false;
	f->name = *spec;
	f->name_len = strcspn(*spec, ":");
	f->kind = *spec + f->name_len + 1;
	f->kind_len = word - f->name_len - 1;
	f->optional = (*spec)[word - 1] == '?';
	f->kind_len -= f->optional;
	*spec += word + ((*spec)[word] == ' ');
	return true;
}

static bool known(const char *spec, const char *key)
{
	struct field f;

	if (strcmp(key, "id") == 0 || strcmp(key, "type") == 0)
		return true;
	while (next_field(&spec, &f))
		if (strlen(key) == f.name_len && memcmp(key, f.name, f.name_len) == 0)
			return true;
	return false;
}

/* The fields of `spec` that are there and of their kind, and no others; 0 or -1 with the reply
 * made. */
int cp_fields_check(const char *spec, const json_t *req, struct cp_reply *r)
{
	const char *key, *at = spec;
	struct field f;
	json_t *v;

	while (next_field(&at, &f)) {
		v = json_object_getn(req, f.name, f.name_len);
		if (!v && !f.optional)
			return cp_refuse(r, "bad_request", "missing key '%.*s'", (int)f.name_len,
			                 f.name);
		if (v && !kind_ok(f.kind, f.kind_len, v))
			return cp_refuse(r, "bad_request", "key '%.*s' is not a valid %.*s",
			                 (int)f.name_len, f.name, (int)f.kind_len, f.kind);
	}
	json_object_foreach ((json_t *)req, key, v)
		if (!known(spec, key))
			return cp_refuse(r, "bad_request", "unknown key '%.40s'", key);
	return 0;
}
