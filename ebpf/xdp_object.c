/* The program as a file for the DPDK driver, which takes nothing but a path: the compiled object
 * comes with this binary, and its .rodata, one struct steer_cfg, is filled in before it is written
 * out. */
#include "ebpf/xdp_steer.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>
#include "steer.skel.h"

enum { RATE_MAX = 1000000, BURST_MAX = 1000000 };

static int limit_from(struct steer_limit *out, const struct xdp_steer_rate *r)
{
	if (!r->rate)
		return 0;
	if (r->rate > RATE_MAX || r->burst < 1 || r->burst > BURST_MAX)
		return -EINVAL;
	out->interval_ns = 1000000000ull / r->rate;
	out->burst_ns = out->interval_ns * r->burst;
	return 0;
}

static int addr_from(struct steer_cfg *out, const struct sh_addr *a)
{
	if (a->family == 4)
		memcpy(&out->addr4[out->addrs4++], a->ip, 4);
	else if (a->family == 6)
		memcpy(out->addr6[out->addrs6++], a->ip, 16);
	else
		return -EINVAL;
	return 0;
}

static int cfg_from(struct steer_cfg *out, const struct xdp_steer_cfg *cfg)
{
	int err;

	_Static_assert((int)STEER_ADDRS >= (int)SH_MAX_ADDRS, "every local address fits");
	memset(out, 0, sizeof(*out));
	if (!cfg->base_port || !cfg->ports || cfg->base_port + cfg->ports > 65536)
		return -EINVAL;
	if (cfg->addrs > SH_MAX_ADDRS || cfg->v6_prefix < 1 || cfg->v6_prefix > 128)
		return -EINVAL;
	out->base_port = cfg->base_port;
	out->ports = cfg->ports;
	out->v6_prefix = cfg->v6_prefix;
	for (int bit = 0; bit < cfg->v6_prefix; bit++)
		out->v6_mask[bit / 32] |= htonl(0x80000000u >> (bit % 32));
	for (unsigned i = 0; i < cfg->addrs; i++) {
		err = addr_from(out, &cfg->addr[i]);
		if (err)
			return err;
	}
	err = limit_from(&out->limit[STEER_CLASS_STUN], &cfg->stun);
	return err ? err : limit_from(&out->limit[STEER_CLASS_UNKNOWN], &cfg->unknown);
}

/* The constants' place in an object of our own making; a surprise here is a broken build. */
static void *find_rodata(uint8_t *elf, size_t size)
{
	const Elf64_Ehdr *head = (const void *)elf;
	const Elf64_Shdr *sec = (const void *)(elf + head->e_shoff);
	const char *names = (const char *)elf + sec[head->e_shstrndx].sh_offset;

	for (unsigned i = 0; i < head->e_shnum; i++) {
		if (strcmp(names + sec[i].sh_name, ".rodata") != 0)
			continue;
		if (sec[i].sh_size != sizeof(struct steer_cfg) ||
		    sec[i].sh_offset + sec[i].sh_size > size)
			abort();
		return elf + sec[i].sh_offset;
	}
	abort();
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int xdp_steer_write_object(const char *path, const struct xdp_steer_cfg *cfg)
{
	struct steer_cfg constants;
	const uint8_t *built;
	uint8_t *copy = NULL;
	char *temp = NULL;
	size_t size;
	int fd = -1, err;

	err = cfg_from(&constants, cfg);
	if (err)
		return err;
	built = steer_bpf__elf_bytes(&size);
	copy = malloc(size);
	if (!copy || asprintf(&temp, "%s.%d", path, getpid()) < 0) {
		err = -ENOMEM;
		temp = NULL;
		goto out;
	}
	memcpy(copy, built, size);
	memcpy(find_rodata(copy, size), &constants, sizeof(constants));
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = write_all(fd, copy, size);
	if (!err && rename(temp, path) < 0)
		err = -errno;
	if (err)
		unlink(temp);
out:
	if (fd >= 0)
		close(fd);
	free(temp);
	free(copy);
	return err;
}
