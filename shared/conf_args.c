/* The command line that both daemons have. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>
#include "shared/conf.h"

enum { OK = 0, WRONG = 2, GO_ON = -1 };
enum { CONFIG = 1, SET, CHECK, PRINT, HELP, VERSION };

static const struct option longs[] = {
    {"config", required_argument, NULL, CONFIG},
    {"set", required_argument, NULL, SET},
    {"check-config", no_argument, NULL, CHECK},
    {"print-config", no_argument, NULL, PRINT},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

/* Files before assignments, whatever their order on the line. */
static int read_pass(struct sh_conf_reader *r, int argc, char **argv, int want)
{
	int opt, err = 0;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt != want)
			continue;
		int e = opt == CONFIG ? sh_conf_load(r, optarg) : sh_conf_set(r, optarg);
		err = err ? err : e;
	}
	return err;
}

int sh_conf_args(const struct sh_conf *c, void *out, int argc, char **argv)
{
	struct sh_conf_reader r;
	bool check = false, print = false, file = false;
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case HELP:
			sh_conf_help(c, stdout);
			return OK;
		case VERSION:
			printf("%s %s\n", c->program, CALLSTACK_VERSION);
			return OK;
		case '?':
			fprintf(stderr, "%s --help lists what there is\n", c->program);
			return WRONG;
		}
		file |= opt == CONFIG;
		check |= opt == CHECK;
		print |= opt == PRINT;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument; %s --help lists what there is\n",
		        argv[optind], c->program);
		return WRONG;
	}
	if (sh_conf_begin(&r, c, out, NULL, NULL)) {
		fprintf(stderr, "out of memory\n");
		return WRONG;
	}
	int err = 0;
	if (file)
		err = read_pass(&r, argc, argv, CONFIG);
	else if (c->path && !access(c->path, F_OK))
		err = sh_conf_load(&r, c->path);
	int set = read_pass(&r, argc, argv, SET);
	if (err || set || sh_conf_end(&r))
		return WRONG;
	if (print)
		sh_conf_print(c, out, stdout);
	return print || check ? OK : GO_ON;
}
