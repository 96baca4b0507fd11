/* The browser of the dataplane's own test: a UDP socket that sends checks, and sees what comes. */
#include "dataplane/dataplane_world.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static int browser = -1;
static struct sockaddr_storage media;
static socklen_t media_len;

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (unsigned i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
	}
	return ~c;
}

static size_t attr(uint8_t *m, size_t at, uint16_t type, const void *v, uint16_t len)
{
	m[at] = (uint8_t)(type >> 8);
	m[at + 1] = (uint8_t)type;
	m[at + 2] = (uint8_t)(len >> 8);
	m[at + 3] = (uint8_t)len;
	memset(m + at + 4, 0, (len + 3u) & ~3u);
	memcpy(m + at + 4, v, len);
	at += 4 + ((len + 3u) & ~3u);
	m[2] = (uint8_t)((at - 20) >> 8);
	m[3] = (uint8_t)(at - 20);
	return at;
}

/* A check of a controlling agent that nominates (RFC 8445 §7.1). */
static size_t stun_check(uint8_t *m, const char *pwd)
{
	static const char user[] = UFRAG ":peer";
	const uint8_t zero[20] = {0}, priority[4] = {0x6e, 0, 1, 0xff},
	              tie[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t mac[20], fp[4];
	unsigned len = sizeof(mac);
	uint32_t crc;
	size_t n = 20;

	memset(m, 0, 20);
	m[1] = 1;
	memcpy(m + 4, "\x21\x12\xa4\x42", 4);
	for (unsigned i = 8; i < 20; i++)
		m[i] = (uint8_t)random();
	n = attr(m, n, 0x0006, user, sizeof(user) - 1);
	n = attr(m, n, 0x0024, priority, 4);
	n = attr(m, n, 0x802a, tie, 8);
	n = attr(m, n, 0x0025, zero, 0);
	attr(m, n, 0x0008, zero, 20); // the length that the HMAC covers
	HMAC(EVP_sha1(), pwd, (int)strlen(pwd), m, n, mac, &len);
	n = attr(m, n, 0x0008, mac, 20);
	attr(m, n, 0x8028, zero, 4);
	crc = crc32_of(m, n) ^ 0x5354554eu;
	fp[0] = (uint8_t)(crc >> 24);
	fp[1] = (uint8_t)(crc >> 16);
	fp[2] = (uint8_t)(crc >> 8);
	fp[3] = (uint8_t)crc;
	return attr(m, n, 0x8028, fp, 4);
}

static void say(const void *p, size_t n)
{
	assert_int_equal(sendto(browser, p, n, 0, (struct sockaddr *)&media, media_len), n);
}

static ssize_t hear(void *buf, size_t size, int ms)
{
	struct pollfd p = {.fd = browser, .events = POLLIN};

	return poll(&p, 1, ms) > 0 ? recv(browser, buf, size, 0) : -1;
}

static socklen_t sockaddr_of(struct sockaddr_storage *out, const char *text, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

void browser_open(void)
{
	struct sockaddr_storage a;
	socklen_t len = sockaddr_of(&a, dut.browser_text, 0);
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = -1;
	char path[64];

	if (browser >= 0)
		close(browser);
	if (dut.peer) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", dut.peer);
		there = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(setns(there, CLONE_NEWNET), 0);
		close(there);
	}
	browser = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(browser, (struct sockaddr *)&a, len), 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	media_len = sockaddr_of(&media, dut.media_text, (uint16_t)(BASE + dut.workers - 1));
}

unsigned browser_check(const char *pwd)
{
	uint8_t m[256], in[1500];
	size_t n = stun_check(m, pwd);
	ssize_t got;

	say(m, n);
	do
		got = hear(in, sizeof(in), WAIT_MS);
	while (got >= 20 && memcmp(in + 8, m + 8, 12) != 0);
	return got >= 20 ? in[0] << 8 | in[1] : 0;
}

bool flight_arrives(struct sh_link *l, int ms)
{
	struct sh_msg_packet p = {.endpoint = EP, .len = 64};
	uint8_t in[1500];
	ssize_t n;

	for (unsigned i = 0; i < p.len; i++)
		p.data[i] = (uint8_t)random();
	p.data[0] = 22;
	dut_put(l, SH_MSG_TX_PACKET, &p, sh_msg_packet_size(p.len));
	do
		n = hear(in, sizeof(in), ms);
	while (n > 0 && !(n == p.len && memcmp(in, p.data, p.len) == 0));
	return n == p.len;
}

bool dtls_is_punted(struct sh_link *l)
{
	uint8_t rec[13 + 20] = {22, 0xfe, 0xfd};

	rec[12] = 20;
	for (unsigned i = 13; i < sizeof(rec); i++)
		rec[i] = (uint8_t)random();
	say(rec, sizeof(rec));
	return dut_event(l, SH_MSG_RX_DTLS, WAIT_MS) && dut_body.packet.endpoint == EP &&
	       dut_body.packet.len == sizeof(rec) &&
	       memcmp(dut_body.packet.data, rec, sizeof(rec)) == 0;
}
