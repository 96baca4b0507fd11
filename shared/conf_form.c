/* What texts may look like, form by form. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "shared/addr.h"
#include "shared/conf_priv.h"
#include "shared/log.h"

static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

static bool of(const char *s, size_t len, const char *more)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(more, s[i]))
			return false;
	return len > 0;
}

/* "0-3,8": at most 1023, each range upwards. */
static bool cpus(const char *s)
{
	do {
		char *end;
		if (!isdigit((unsigned char)*s))
			return false;
		unsigned long from = strtoul(s, &end, 10), to = from;
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return false;
			to = strtoul(end + 1, &end, 10);
		}
		if (to < from || to > 1023 || (*end && *end != ','))
			return false;
		s = *end ? end + 1 : NULL;
	} while (s);
	return true;
}

/* DDDD:BB:DD.F, hexadecimal, as lspci -D writes it. */
static bool pci(const char *s)
{
	static const char shape[] = "xxxx:xx:xx.x";

	if (strlen(s) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'x' ? !isxdigit((unsigned char)s[i]) : s[i] != shape[i])
			return false;
	return s[11] <= '7';
}

/* RFC 6454 §6.2: scheme, host, optional port; no path. */
static bool origin(const char *s)
{
	const char *sep = strstr(s, "://");

	if (!strcmp(s, "*"))
		return true;
	return sep && of(s, (size_t)(sep - s), "+-.") && of(sep + 3, strlen(sep + 3), ".-:[]");
}

bool sh_conf_form_ok(enum sh_conf_form form, const char *s)
{
	struct sh_addr addr;
	size_t len = strlen(s);

	if (!printable(s))
		return false;
	switch (form) {
	case SH_CONF_TEXT:
		return true;
	case SH_CONF_PATH:
		return len > 0;
	case SH_CONF_ABSPATH:
		return s[0] == '/';
	case SH_CONF_ADDRESS:
		return !sh_addr_parse(&addr, s);
	case SH_CONF_CPUS:
		return !strcmp(s, "auto") || cpus(s);
	case SH_CONF_PCI:
		return pci(s);
	case SH_CONF_NETDEV:
		return len > 0 && len < 16 && !strchr(s, '/') && !strchr(s, ' ') &&
		       strcmp(s, ".") && strcmp(s, "..");
	case SH_CONF_USER:
		return (isalpha((unsigned char)s[0]) || s[0] == '_') && of(s, len, "_-.");
	case SH_CONF_LOG:
		return !sh_log_check(s);
	case SH_CONF_STORE:
		return (!strncmp(s, "sqlite:", 7) && s[7]) || !strncmp(s, "postgresql://", 13);
	case SH_CONF_ORIGIN:
		return origin(s);
	}
	return false;
}
