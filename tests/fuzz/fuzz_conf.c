/* YAML of anybody's making into both tables; and what is accepted prints as YAML that reads back as
 * the same. First byte: which table (bit 0), file or --set (bit 1). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controlplane/conf.h"
#include "dataplane/conf.h"

static void ignore(const char *text, void *arg)
{
	if (!text[0] || strchr(text, '\n'))
		abort(); // one line each
}

static void reads_back(const struct sh_conf *c, const void *conf, void *again)
{
	struct sh_conf_reader r;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	sh_conf_print(c, conf, f);
	fclose(f);
	if (sh_conf_begin(&r, c, again, ignore, NULL) || sh_conf_load_text(&r, "p", text, len) ||
	    sh_conf_end(&r) || memcmp(conf, again, c->size))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union {
		struct dp_conf dp;
		struct cp_conf cp;
	} conf, again;
	struct sh_conf_reader r;
	int err;

	if (size < 1)
		return 0;
	const struct sh_conf *c = data[0] & 1 ? &cp_conf_table : &dp_conf_table;
	if (sh_conf_begin(&r, c, &conf, ignore, NULL))
		return 0;
	if (data[0] & 2) {
		char *text = strndup((const char *)data + 1, size - 1);
		err = sh_conf_set(&r, text);
		free(text);
	} else {
		err = sh_conf_load_text(&r, "f", (const char *)data + 1, size - 1);
	}
	if (sh_conf_end(&r) == 0 && !err)
		reads_back(c, &conf, &again);
	return 0;
}
