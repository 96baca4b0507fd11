/* One line to stderr: "LEVEL subsystem: text". Control threads only (a node counts, it never logs);
 * safe from several of them, as each line is one write. Never a secret: no key, password, token or
 * cookie is formatted.
 *
 * Each .c that logs says once which subsystem it is:  #define SUBSYS "plane"  and calls
 * sh_info(SUBSYS, …). */
#pragma once

enum sh_log_level { SH_LOG_ERROR, SH_LOG_WARN, SH_LOG_INFO, SH_LOG_DEBUG };
enum { SH_LOG_LINE = 1024 }; // bytes of a line; a longer one is cut and ends in "..."

/* "info" or "warn,plane=debug,sip=error": the level of all, then of single subsystems (at most 32
 * of them, names of at most 15 bytes). Replaces what was set before. 0 or -EINVAL (then nothing
 * changes). Start-up, or one thread. */
int sh_log_levels(const char *spec);
/* Would sh_log_levels() take it? 0 or -EINVAL. */
int sh_log_check(const char *spec);
/* Would a line of this level be written? For work that is only done for the log. */
int sh_log_on(enum sh_log_level level, const char *subsys);
/* Control characters in the text become '?', so that a peer cannot write lines of its own. */
void sh_log(enum sh_log_level level, const char *subsys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define sh_error(subsys, ...) sh_log(SH_LOG_ERROR, subsys, __VA_ARGS__)
#define sh_warn(subsys, ...)  sh_log(SH_LOG_WARN, subsys, __VA_ARGS__)
#define sh_info(subsys, ...)  sh_log(SH_LOG_INFO, subsys, __VA_ARGS__)
#define sh_debug(subsys, ...) sh_log(SH_LOG_DEBUG, subsys, __VA_ARGS__)
