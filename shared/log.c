#include "shared/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RULES_MAX = 32, NAME_MAX_ = 16 };

struct levels {
	enum sh_log_level all;
	unsigned rules;
	struct {
		char name[NAME_MAX_];
		enum sh_log_level level;
	} rule[RULES_MAX];
};
static struct levels levels = {.all = SH_LOG_INFO};

static const char *const level_name[] = {"ERROR", "WARN", "INFO", "DEBUG"};
static const char *const level_word[] = {"error", "warn", "info", "debug"};

static int parse_level(enum sh_log_level *out, const char *word, size_t len)
{
	for (unsigned i = 0; i < sizeof(level_word) / sizeof(level_word[0]); i++) {
		if (strlen(level_word[i]) == len && !memcmp(level_word[i], word, len)) {
			*out = (enum sh_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_rule(struct levels *out, const char *word, size_t len)
{
	const char *eq = memchr(word, '=', len);
	if (!eq)
		return parse_level(&out->all, word, len);
	size_t name = (size_t)(eq - word);
	if (name == 0 || name >= NAME_MAX_ || out->rules == RULES_MAX)
		return -EINVAL;
	memcpy(out->rule[out->rules].name, word, name);
	out->rule[out->rules].name[name] = 0;
	return parse_level(&out->rule[out->rules++].level, eq + 1, len - name - 1);
}

static int parse_spec(struct levels *out, const char *spec)
{
	*out = (struct levels){.all = SH_LOG_INFO};
	for (const char *p = spec;;) {
		size_t len = strcspn(p, ",");
		int err = parse_rule(out, p, len);
		if (err)
			return err;
		if (!p[len])
			break;
		p += len + 1;
	}
	return 0;
}

int sh_log_check(const char *spec)
{
	struct levels next;

	return parse_spec(&next, spec);
}

int sh_log_levels(const char *spec)
{
	struct levels next;
	int err = parse_spec(&next, spec);

	if (!err)
		levels = next;
	return err;
}

int sh_log_on(enum sh_log_level level, const char *subsys)
{
	for (unsigned i = 0; i < levels.rules; i++)
		if (!strcmp(levels.rule[i].name, subsys))
			return level <= levels.rule[i].level;
	return level <= levels.all;
}

void sh_log(enum sh_log_level level, const char *subsys, const char *fmt, ...)
{
	char line[SH_LOG_LINE];
	int saved = errno; // a log line between a failed call and its errno must not change it
	va_list ap;

	if (!sh_log_on(level, subsys))
		return;
	int head = snprintf(line, 64, "%s %.40s: ", level_name[level], subsys);
	va_start(ap, fmt);
	int text = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	va_end(ap);
	size_t len = (size_t)head + (text > 0 ? (size_t)text : 0);
	if (len > sizeof(line) - 2) {
		len = sizeof(line) - 2;
		memcpy(line + len - 3, "...", 3);
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	/* A log that cannot be written (closed pipe, full disk) must not stop calls. */
	if (write(STDERR_FILENO, line, len) < 0)
		(void)0;
	errno = saved;
}
