/* The web client's files. A path is opened beneath the web root by openat2(RESOLVE_BENEATH):
 * neither "..", however it was encoded, nor a symbolic link can lead out of it, because the kernel
 * refuses. */
#include "controlplane/signaling/front_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shared/log.h"

enum { FILE_MAX = 64 << 20 };

static const struct {
	const char *ext, *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/plain; charset=utf-8"},
    {"xml", "application/xml"},
    {"pdf", "application/pdf"},
    {"wasm", "application/wasm"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"oga", "audio/ogg"},
    {"opus", "audio/ogg"},
    {"wav", "audio/wav"},
    {"m4a", "audio/mp4"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
};

static const char *extension(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

	return dot && (!slash || dot > slash) ? dot + 1 : "";
}

static const char *type_of(const char *path)
{
	const char *ext = extension(path);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcasecmp(ext, types[i].ext))
			return types[i].type;
	return "application/octet-stream";
}

int front_static_open(struct cp_front *f)
{
	if (!f->conf.web_root[0])
		return 0;
	f->web_fd = open(f->conf.web_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->web_fd < 0 && errno != ENOENT) {
		sh_error(FRONT_SUBSYS, "web root %s: %s", f->conf.web_root, strerror(errno));
		return -errno;
	}
	if (f->web_fd < 0)
		sh_warn(FRONT_SUBSYS, "web root %s: not there, so there is no web client",
		        f->conf.web_root);
	return 0;
}

/* Opens a regular file under the web root; no hidden ones. */
static int open_file(const struct cp_front *f, const char *path, struct stat *st)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd, err = 0;

	path += strspn(path, "/");
	if (f->web_fd < 0 || !*path || path[0] == '.' || strstr(path, "/."))
		return -ENOENT;
	fd = (int)syscall(SYS_openat2, f->web_fd, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		err = -errno;
	else if (!S_ISREG(st->st_mode))
		err = -ENOENT;
	else if (st->st_size > FILE_MAX)
		err = -EFBIG;
	if (err)
		close(fd);
	return err ? err : fd;
}

/* Files that the bundler names by their content never change. */
static bool immutable(const char *path)
{
	return !strncmp(path, "/assets/", 8) && strlen(path) > 20 && strpbrk(path + 8, "-_.");
}

static void send_file(struct cp_http *h, int fd, const struct stat *st, const char *path)
{
	char etag[64];
	struct cp_http_header hd[2] = {
	    {"cache-control", immutable(path) ? "public, max-age=31536000, immutable" : "no-cache"},
	    {"etag", etag},
	};
	struct cp_http_resp r = {
	    .status = 200, .content_type = type_of(path), .headers = hd, .n_headers = 2};
	size_t size = (size_t)st->st_size, got = 0;
	char *buf = NULL;

	snprintf(etag, sizeof(etag), "\"%llx-%llx.%lx\"", (long long)size,
	         (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (h->if_none_match[0] && strstr(h->if_none_match, etag)) {
		r.status = 304;
		r.content_type = NULL;
		cp_http_reply(h, &r);
		return;
	}
	buf = malloc(size + 1);
	while (buf && got < size) {
		ssize_t n = read(fd, buf + got, size - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	r.body = buf;
	r.len = size;
	if (buf && got == size)
		cp_http_reply(h, &r);
	else
		cp_http_error(h, 500, "internal", "cannot read the file");
	free(buf);
}

void front_static(struct cp_http *h)
{
	const struct cp_front *f = h->conn->front;
	const char *path = h->path;
	struct stat st;
	int fd;

	if (h->req.method != CP_GET && h->req.method != CP_HEAD) {
		struct cp_http_header allow = {"allow", "GET, HEAD"};
		struct cp_http_resp r = {.status = 405, .headers = &allow, .n_headers = 1};

		cp_http_reply(h, &r);
		return;
	}
	fd = open_file(f, strcmp(path, "/") ? path : "/index.html", &st);
	if (fd >= 0 && !strcmp(path, "/"))
		path = "/index.html";
	/* A page of the client's own router; a file that is not there stays a 404. */
	if (fd < 0 && !extension(path)[0] && strncmp(path, "/assets/", 8) != 0) {
		path = "/index.html";
		fd = open_file(f, path, &st);
	}
	if (fd < 0) {
		if (f->web_fd < 0 || !strcmp(path, "/index.html"))
			cp_http_error(h, 404, "not_found", "the web client is not installed here");
		else
			cp_http_error(h, 404, "not_found", "there is nothing at this path");
		return;
	}
	send_file(h, fd, &st, path);
	close(fd);
}
