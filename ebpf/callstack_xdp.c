/* callstack-xdp: what our XDP program does on an interface, and its removal after a crash.
 *   callstack-xdp status [--json] IF…    exit 0: ours is attached; 1: nothing; 2: someone else's
 *   callstack-xdp detach IF…             exit 0: none of ours is left; a foreign program is not
 *                                        touched */
#include "ebpf/xdp_steer.h"
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static const char *const mode_name[] = {
    [XDP_STEER_NONE] = "none",
    [XDP_STEER_NATIVE] = "native",
    [XDP_STEER_GENERIC] = "generic",
    [XDP_STEER_OFFLOAD] = "offload",
};

static int complain(const char *ifname, int err)
{
	fprintf(stderr, "callstack-xdp: %s: %s\n", ifname,
	        err == -EBUSY    ? "a running dataplane holds the program; stop it first"
	        : err == -EEXIST ? "a program of someone else is attached; left alone"
	                         : strerror(-err));
	return 2;
}

static void print_status(const char *ifname, const struct xdp_steer_info *info, const uint64_t *v,
                         bool json)
{
	if (json)
		printf("{\"interface\":\"%s\",\"mode\":\"%s\",\"ours\":%s,\"held\":%s,\"program_"
		       "id\":%u,"
		       "\"counters\":{",
		       ifname, mode_name[info->mode], info->ours ? "true" : "false",
		       info->held ? "true" : "false", info->prog_id);
	else if (info->mode == XDP_STEER_NONE)
		printf("%s: no XDP program\n", ifname);
	else
		printf("%s: %s (id %u, %s%s)%s\n", ifname, info->name, info->prog_id,
		       mode_name[info->mode], info->held ? ", held by a running process" : "",
		       info->ours ? "" : ": not ours");
	for (unsigned i = 0; v && i < STEER_STAT_COUNT; i++) {
		if (json)
			printf("%s\"%s\":%" PRIu64, i ? "," : "", xdp_steer_stat_name[i], v[i]);
		else
			printf("  %-18s %12" PRIu64 "  %s\n", xdp_steer_stat_name[i], v[i],
			       xdp_steer_stat_help[i]);
	}
	if (json)
		printf("}}\n");
}

static int status(const char *ifname, unsigned ifindex, bool json)
{
	uint64_t v[STEER_STAT_COUNT];
	struct xdp_steer_info info;
	struct xdp_steer *s = NULL;
	int err = xdp_steer_query(&info, ifindex);

	if (!err && info.ours)
		err = xdp_steer_open(&s, ifindex, false);
	if (!err && s)
		err = xdp_steer_counters(s, v);
	if (!err)
		print_status(ifname, &info, s ? v : NULL, json);
	xdp_steer_close(s);
	if (err)
		return complain(ifname, err);
	return info.ours ? 0 : info.mode == XDP_STEER_NONE ? 1 : 2;
}

int main(int argc, char **argv)
{
	bool detach = argc > 1 && strcmp(argv[1], "detach") == 0;
	bool json = argc > 2 && !detach && strcmp(argv[2], "--json") == 0;
	int worst = 0, first = json ? 3 : 2;

	if (argc <= first || (!detach && strcmp(argv[1], "status") != 0)) {
		fprintf(stderr, "usage: callstack-xdp status [--json] IF…\n"
		                "       callstack-xdp detach IF…\n");
		return 64;
	}
	for (int i = first; i < argc; i++) {
		unsigned ifindex = if_nametoindex(argv[i]);
		int code;

		if (!ifindex)
			code = complain(argv[i], -ENODEV);
		else if (detach) {
			int err = xdp_steer_detach(ifindex);

			code = err ? complain(argv[i], err) : 0;
		} else
			code = status(argv[i], ifindex, json);
		if (code > worst)
			worst = code;
	}
	return worst;
}
