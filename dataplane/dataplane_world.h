/* For dataplane_test: callstack-dataplane as a process in namespaces of its own, the daemon at its
 * link, and a browser. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "shared/link.h"
#include "shared/msg.h"
#include "shared/state.h"

enum { START_MS = 30000, WAIT_MS = 10000, NOTHING_MS = 300, BASE = 10000 };
#define UFRAG "abcd1234"
#define PWD   "0123456789abcdefghijklmn"
#define EP    SH_ID(3u, 1u)

extern struct dut {
	const char *binary, *where; // lo, veth or tap
	const char *device;         // that has the program
	const char *media_text, *browser_text;
	char rundir[64];
	unsigned workers;
	pid_t pid;
	pid_t peer;          // the browser's namespace; 0: ours
	struct sh_link link; // the daemon's end
	struct sh_msg_e_hello hello;
	uint64_t txn;
} dut;

/* ---- dataplane_world.c ---- */
int dut_begin(void **state); // binary, where and workers are set
int dut_end(void **state);
void dut_spawn(void);
int dut_finish(int sig); // returns its status
bool dut_attached(void); // the program, to `device`
void dut_nap(void);
int dut_shell(const char *fmt, ...);

/* The daemon. */
extern union dut_body {
	_Alignas(8) uint8_t bytes[4096];
	struct sh_msg_e_hello hello;
	struct sh_msg_committed committed;
	struct sh_msg_endpoint_state endpoint;
	struct sh_msg_packet packet;
} dut_body; // of the last event

void dut_put(struct sh_link *l, unsigned type, const void *body, uint32_t len);
/* The next event of that type into dut_body; others are passed over. */
bool dut_event(struct sh_link *l, unsigned type, int ms);
void dut_join(struct sh_link *l);
int dut_commit(struct sh_link *l, bool full); // the endpoint

/* ---- dataplane_browser.c ---- */
/* A socket belongs to the namespace that it was made in. */
void browser_open(void);
/* The class of the answer: 0x101 success, 0x111 error, 0 none. */
unsigned browser_check(const char *pwd);
/* A flight of the daemon's arrives, whatever came before it. */
bool flight_arrives(struct sh_link *l, int ms);
bool dtls_is_punted(struct sh_link *l);
