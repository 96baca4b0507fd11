#include "shared/addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *sh_addr_str(const struct sh_addr *a, char *buf)
{
	char ip[INET6_ADDRSTRLEN] = "";

	if (a->family == 4 && inet_ntop(AF_INET, a->ip, ip, sizeof(ip)))
		snprintf(buf, SH_ADDR_STR, "%s:%u", ip, a->port);
	else if (a->family == 6 && inet_ntop(AF_INET6, a->ip, ip, sizeof(ip)))
		snprintf(buf, SH_ADDR_STR, "[%s]:%u", ip, a->port);
	else
		snprintf(buf, SH_ADDR_STR, "none");
	return buf;
}

int sh_addr_parse(struct sh_addr *out, const char *text)
{
	struct sh_addr a = {0};

	if (inet_pton(AF_INET, text, a.ip) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, text, a.ip) == 1)
		a.family = 6;
	else
		return -EINVAL;
	*out = a;
	return 0;
}
