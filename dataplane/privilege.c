#include "dataplane/eal.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <rte_alarm.h>
#include "shared/log.h"

#define SUBSYS "main"

int dp_privilege_begin(void)
{
	const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	setrlimit(
	    RLIMIT_MEMLOCK,
	    &all); // the umem is pinned; without the right it is a matter of the limit there is
	return 0;
}

int dp_privilege_user(const char *name, int *uid, int *gid)
{
	const struct passwd *pw;

	*uid = *gid = -1;
	if (!name[0])
		return 0;
	pw = getpwnam(name);
	if (!pw)
		return -ENOENT;
	*uid = (int)pw->pw_uid;
	*gid = (int)pw->pw_gid;
	return 0;
}

int dp_privilege_drop_worker(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(CAPNG_SELECT_BOTH) == 0 ? 0 : -EPERM;
}

static _Atomic int helper_done;

static void drop_helper(void *arg)
{
	atomic_store(&helper_done, dp_privilege_drop_worker() == 0 ? 1 : -1);
}

/* The thread of interrupts and alarms; there is no other way to run something on it. */
static int drop_helpers(void)
{
	const struct timespec t = {.tv_nsec = 1000000};
	int err = rte_eal_alarm_set(1, drop_helper, NULL);

	for (unsigned i = 0; !err && i < 1000 && !atomic_load(&helper_done); i++)
		nanosleep(&t, NULL);
	return err ? err : atomic_load(&helper_done) == 1 ? 0 : -EPERM;
}

int dp_privilege_drop(int uid, int gid)
{
	int err = drop_helpers();

	if (err)
		return err;
	capng_clear(CAPNG_SELECT_BOTH);
	/* Unprivileged users may have been given less; then neighbours are not resolved, and that
	 * is said. */
	if (geteuid() == 0 &&
	    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) != 0)
		return -EPERM;
	if (uid >= 0) {
		err = capng_change_id(uid, gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
		if (err)
			return -EPERM;
	} else if (capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0) {
		return -EPERM;
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
