/* The daemon's one event loop: libre's (DESIGN §10), behind names of our own so that re.h stays in
 * loop.c and sip/. libuv (for libwebsockets) runs inside it. Everything here is called on the
 * daemon's one thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
struct cp_timer;

typedef void(cp_fd_h)(int fd, unsigned events, void *arg);
typedef void(cp_timer_h)(void *arg);
typedef void(cp_turn_h)(void *arg);
enum { CP_FD_READ = 1, CP_FD_WRITE = 2, CP_FD_ERROR = 4 };

/* Once, before anything else here. 0 or -errno. */
int cp_loop_init(void);
void cp_loop_close(void);
/* Runs until cp_loop_stop() or SIGTERM/SIGINT. */
int cp_loop_run(void);
void cp_loop_stop(void);
/* Watches fd; events 0 stops. The handler may stop watching or close. 0 or -errno. */
int cp_loop_watch(int fd, unsigned events, cp_fd_h *h, void *arg);
/* A one-shot timer; owned by the caller. start() re-arms. free() cancels. */
int cp_timer_alloc(struct cp_timer **out, cp_timer_h *h, void *arg);
void cp_timer_start(struct cp_timer *t, uint64_t after_ms);
void cp_timer_cancel(struct cp_timer *t);
void cp_timer_free(struct cp_timer *t);
/* Called at the end of each loop turn in which something was handled: where desired state is
 * flushed. A turn in which libuv had more to do at once calls it again. At most 8 hooks: -ENOSPC.
 */
int cp_loop_on_turn(cp_turn_h *h, void *arg);
/* Asks for the turn hooks (and for libuv) at the end of this turn. Watches and timers of this file
 * do it themselves; handlers that libre calls directly (sip/) must. */
void cp_loop_touch(void);
/* CLOCK_MONOTONIC, ns; wall clock, ms since 1970. */
uint64_t cp_now_ns(void);
uint64_t cp_wall_ms(void);
/* For libwebsockets only. */
struct uv_loop_s *cp_loop_uv(void);
