#include "dataplane/conf.h"
#include <errno.h>
#include <string.h>

static const struct sh_conf_opt dp_conf_port_opts[] = {
#define CONF_STRUCT dp_conf_port
#include "shared/conf_table.h"
#define OPTIONS_ITEM
#include "dataplane/options.def"
    {.type = SH_CONF_END},
};

static const struct sh_conf_opt opts[] = {
#define CONF_STRUCT dp_conf
#include "shared/conf_table.h"
#define OPTIONS
#include "dataplane/options.def"
    {.type = SH_CONF_END},
};

/* The field that a port of this kind cannot do without, or NULL. */
static const char *missing(const struct dp_conf_port *p)
{
	switch ((enum dp_port_kind)p->kind) {
	case DP_PORT_AF_XDP:
		return p->interface[0] ? NULL : "interface";
	case DP_PORT_PCI:
		return p->pci[0] ? NULL : "pci";
	case DP_PORT_MEMIF:
		return p->socket[0] ? NULL : "socket";
	case DP_PORT_PCAP:
		return p->rx_pcap[0] || p->tx_pcap[0] ? NULL : "rx_pcap";
	case DP_PORT_RING:
	case DP_PORT_NULL:
		return NULL;
	}
	return NULL;
}

static int check(const void *conf, char *why, size_t size)
{
	const struct dp_conf *c = conf;

	if (c->base_port + c->workers - 1 > 65535) {
		snprintf(why, size,
		         "base_port: worker %u would need UDP port %u; expected at most %u",
		         c->workers - 1, c->base_port + c->workers - 1, 65535 - c->workers + 1);
		return -EINVAL;
	}
	if (c->bwe_min > c->bwe_start || c->bwe_start > c->bwe_max) {
		snprintf(why, size, "bwe.start: %u is not between bwe.min (%u) and bwe.max (%u)",
		         c->bwe_start, c->bwe_min, c->bwe_max);
		return -EINVAL;
	}
	if (c->ports.n == 0) {
		snprintf(why, size, "ports: empty; expected at least one");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < c->ports.n; i++) {
		const struct dp_conf_port *p = &c->ports.v[i];
		const char *field = missing(p);
		if (field) {
			snprintf(why, size,
			         "ports.%u.%s: missing; expected it for a port of kind %s", i,
			         field, dp_conf_port_opts[0].words[p->kind]);
			return -EINVAL;
		}
		for (uint32_t k = 0; k < i; k++)
			if (p->interface[0] && !strcmp(p->interface, c->ports.v[k].interface)) {
				snprintf(why, size,
				         "ports.%u.interface: %s is port %u's; expected another", i,
				         p->interface, k);
				return -EINVAL;
			}
	}
	return 0;
}

const struct sh_conf dp_conf_table = {
    .program = "callstack-dataplane",
    .about = "moves CallStack's media: STUN, SRTP, RTP, RTCP on DPDK",
    .path = "/etc/callstack/dataplane.yaml",
    .opts = opts,
    .size = sizeof(struct dp_conf),
    .check = check,
};
