/* Configuration of callstack-dataplane: options.def as a struct. Plain data; the control thread
 * fills it at start, everyone reads it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shared/conf.h"

#define DP_PORT_KINDS(X)                                                                           \
	X(DP_PORT_AF_XDP, "af_xdp")                                                                \
	X(DP_PORT_PCI, "pci")                                                                      \
	X(DP_PORT_MEMIF, "memif")                                                                  \
	X(DP_PORT_RING, "ring")                                                                    \
	X(DP_PORT_NULL, "null")                                                                    \
	X(DP_PORT_PCAP, "pcap")
#define DP_XDP_MODES(X)                                                                            \
	X(DP_XDP_AUTO, "auto")                                                                     \
	X(DP_XDP_NATIVE, "native")                                                                 \
	X(DP_XDP_GENERIC, "generic")
#define DP_MEMIF_ROLES(X)                                                                          \
	X(DP_MEMIF_SERVER, "server")                                                               \
	X(DP_MEMIF_CLIENT, "client")
#define DP_POLLS(X)                                                                                \
	X(DP_POLL_BUSY, "busy")                                                                    \
	X(DP_POLL_ADAPTIVE, "adaptive")
#define DP_SRTPS(X)                                                                                \
	X(DP_CONF_SRTP_IPSEC_MB, "ipsec_mb")                                                       \
	X(DP_CONF_SRTP_LIBSRTP2, "libsrtp2")
#define DP_HUGEPAGES(X)                                                                            \
	X(DP_HUGEPAGES_AUTO, "auto")                                                               \
	X(DP_HUGEPAGES_ON, "on")                                                                   \
	X(DP_HUGEPAGES_OFF, "off")

#define X(sym, word) sym,
enum dp_port_kind { DP_PORT_KINDS(X) };
enum dp_xdp_mode { DP_XDP_MODES(X) };
enum dp_memif_role { DP_MEMIF_ROLES(X) };
enum dp_poll { DP_POLLS(X) };
enum dp_conf_srtp { DP_SRTPS(X) };
enum dp_hugepages { DP_HUGEPAGES(X) };
#undef X

struct dp_conf_port {
#include "shared/conf_struct.h"
#define OPTIONS_ITEM
#include "dataplane/options.def"
};

struct dp_conf {
#include "shared/conf_struct.h"
#define OPTIONS
#include "dataplane/options.def"
};

/* The table, for sh_conf_args(&dp_conf_table, &conf, argc, argv). */
extern const struct sh_conf dp_conf_table;
