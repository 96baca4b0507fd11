/* Attaching, shared by the loader's own files (see xdp_attach.c). Not for users: they include
 * xdp_steer.h. */
#pragma once
#include <stdint.h>

enum xdp_steer_mode;

/* libbpf's own bpf_xdp_attach() and bpf_xdp_detach(), past ours. 0 or -errno. */
int xdp_netlink_attach(unsigned ifindex, int prog_fd, uint32_t flags);
int xdp_netlink_detach(unsigned ifindex, int prog_fd, uint32_t flags);

/* The link of an expected interface, or -1; still owned by the table, until xdp_expected_drop(). */
int xdp_expected_link(unsigned ifindex);
/* Closes the link, which detaches the program, and expects the interface no more. */
void xdp_expected_drop(unsigned ifindex);
/* A descriptor of a new link, or -errno. */
int xdp_link_create(unsigned ifindex, int prog_fd, enum xdp_steer_mode mode);
