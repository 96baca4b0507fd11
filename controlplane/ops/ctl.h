/* callstackctl: what its commands share. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl {
	bool json;
	char rundir[256], data_dir[256], store[512];
	int argc; // of the command: argv[0] is the first word after it
	char **argv;
};

/* Exit codes. */
enum {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
	CTL_NOT_FOUND = 4,
	CTL_EXISTS = 5
};

/* "callstackctl: …" to stderr (with --json also {"error": …} to stdout); returns code. */
int ctl_fail(const struct ctl *c, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints j, takes its reference. */
void ctl_print_json(json_t *j);

/* Takes "--NAME VALUE" or "--NAME=VALUE" out of argv. NULL: not given; a missing value sets *bad.
 */
const char *ctl_option(struct ctl *c, const char *name, bool *bad);
/* Takes "--all", say, out of argv. */
bool ctl_flag(struct ctl *c, const char *flag);
/* What is left must be these many words. */
bool ctl_words(const struct ctl *c, int least, int most);

/* Root works as the owner of the data folder, so that the daemon can use what is made there. 0 or
 * an exit code. */
int ctl_enter_data_dir(const struct ctl *c);
/* Asks the daemon. 0 and *data (a new reference), or an exit code, with the reason said. */
int ctl_ask(const struct ctl *c, json_t *request, json_t **data);
/* The same, and says nothing: the reason goes into why[size]. timeout_s: for each of sending and receiving. */
int ctl_query(const struct ctl *c, json_t *request, int timeout_s, json_t **data, char *why, size_t size);

int ctl_user(struct ctl *c);
int ctl_token(struct ctl *c);
int ctl_status(struct ctl *c);
int ctl_rooms(struct ctl *c);
int ctl_top(struct ctl *c);
int ctl_admission(struct ctl *c);
int ctl_drop_reasons(struct ctl *c);
int ctl_doctor(struct ctl *c);
