/* Store calls for the loop: a job runs on a libuv worker thread, its callback on the loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "controlplane/loop.h"
#include "controlplane/store/store_priv.h"
#include "shared/secret.h"

struct job {
	uv_work_t work;
	struct cp_store *store;
	/* verify */
	char name[CP_USER_NAME_MAX + 1];
	char password[CP_PASSWORD_MAX + 2]; // one more byte, so that a longer one is still too long
	struct cp_user user;
	cp_store_user_h *user_h;
	/* list */
	struct cp_user *list;
	size_t n;
	cp_store_list_h *list_h;
	void *arg;
	int err;
};

static void work_verify(uv_work_t *w)
{
	struct job *j = w->data;

	j->err = cp_store_user_verify(j->store, j->name, j->password, &j->user);
}

static void work_list(uv_work_t *w)
{
	struct job *j = w->data;

	j->err = cp_store_user_list(j->store, &j->list, &j->n);
}

static void done(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct cp_store *s = j->store;

	s->pending--;
	if (!s->closing && j->user_h)
		j->user_h(status ? status : j->err, &j->user, j->arg);
	else if (!s->closing)
		j->list_h(status ? status : j->err, j->list, j->n, j->arg);
	free(j->list);
	sh_secret_wipe(j, sizeof(*j));
	free(j);
}

static void drain(struct cp_store *s)
{
	while (s->pending)
		uv_run(cp_loop_uv(), UV_RUN_ONCE);
}

static int queue(struct cp_store *s, struct job **out, void *arg)
{
	struct job *j;

	if (s->closing || s->pending >= CP_STORE_PENDING_MAX)
		return -EAGAIN;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->work.data = j;
	j->store = s;
	j->arg = arg;
	s->drain = drain;
	*out = j;
	return 0;
}

static int start(struct job *j, uv_work_cb work)
{
	int err = uv_queue_work(cp_loop_uv(), &j->work, work, done);

	if (err) {
		free(j);
		return err;
	}
	j->store->pending++;
	cp_loop_touch();
	return 0;
}

int cp_store_user_verify_async(struct cp_store *s, const char *name, const char *password,
                               cp_store_user_h *h, void *arg)
{
	struct job *j;
	int err = queue(s, &j, arg);

	if (err)
		return err;
	/* A name that is too long is nobody's: kept as "", so that it costs the same. */
	if (strlen(name) <= CP_USER_NAME_MAX)
		strcpy(j->name, name);
	strncpy(j->password, password, sizeof(j->password) - 1);
	j->user_h = h;
	return start(j, work_verify);
}

int cp_store_user_list_async(struct cp_store *s, cp_store_list_h *h, void *arg)
{
	struct job *j;
	int err = queue(s, &j, arg);

	if (err)
		return err;
	j->list_h = h;
	return start(j, work_list);
}
