/* Writes what the option tables say: gen_options dataplane|callstackd|markdown. Build-time tool. */
#include <stdio.h>
#include <string.h>
#include "controlplane/conf.h"
#include "dataplane/conf.h"

static int sample(const struct sh_conf *c, void *conf)
{
	struct sh_conf_reader r;

	if (sh_conf_begin(&r, c, conf, NULL, NULL))
		return 1;
	sh_conf_print(c, conf, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static struct dp_conf dp;
	static struct cp_conf cp;

	if (argc == 2 && !strcmp(argv[1], "dataplane"))
		return sample(&dp_conf_table, &dp);
	if (argc == 2 && !strcmp(argv[1], "callstackd"))
		return sample(&cp_conf_table, &cp);
	if (argc == 2 && !strcmp(argv[1], "markdown")) {
		printf("# Options\n\nGenerated from `dataplane/options.def` and "
		       "`controlplane/options.def` by "
		       "`docs/gen_options.c`.\nIn YAML, a dot is a level: `nack.delay` is `delay` "
		       "below `nack`. "
		       "`--set nack.delay=20` on either command line.\n\n");
		sh_conf_markdown(&dp_conf_table, stdout);
		putchar('\n');
		sh_conf_markdown(&cp_conf_table, stdout);
		return 0;
	}
	fprintf(stderr, "usage: gen_options dataplane|callstackd|markdown\n");
	return 2;
}
