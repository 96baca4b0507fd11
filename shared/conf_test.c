/* Options: defaults, every bad value told with file, line and expectation, --set, and what is
 * printed reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/conf.h"
#include "dataplane/conf.h"
#include "shared/conf_priv.h"

static struct dp_conf dp;
static char told[8192]; // all messages, a line each
static unsigned n_told;

static void collect(const char *text, void *arg)
{
	size_t at = strlen(told);

	snprintf(told + at, sizeof(told) - at, "%s\n", text);
	n_told++;
}

static struct sh_conf_reader begin_of(const struct sh_conf *c, void *out)
{
	struct sh_conf_reader r;

	told[0] = 0;
	n_told = 0;
	assert_int_equal(sh_conf_begin(&r, c, out, collect, NULL), 0);
	return r;
}

static int read_yaml(const char *yaml)
{
	struct sh_conf_reader r = begin_of(&dp_conf_table, &dp);

	sh_conf_load_text(&r, "dp.yaml", yaml, strlen(yaml));
	return sh_conf_end(&r);
}

static void defaults(void **state)
{
	struct cp_conf cp;
	struct sh_conf_reader r = begin_of(&cp_conf_table, &cp);

	assert_int_equal(sh_conf_end(&r), 0);
	assert_int_equal(cp.https_port, 8443);
	assert_string_equal(cp.metrics_address, "127.0.0.1");
	assert_string_equal(cp.data_dir, "/var/lib/callstack");
	assert_int_equal(cp.cors_origins.n, 1);
	assert_string_equal(cp.cors_origins.v[0], "*");
	assert_int_equal(read_yaml(""), 0);
	assert_int_equal(dp.workers, 1);
	assert_int_equal(dp.poll, DP_POLL_ADAPTIVE);
	assert_int_equal(dp.base_port, 10000);
	assert_int_equal(dp.ports.n, 1);
	assert_int_equal(dp.ports.v[0].kind, DP_PORT_AF_XDP);
	assert_string_equal(dp.ports.v[0].interface, "lo");
	assert_int_equal(dp.addresses.n, 0);
	assert_int_equal(dp.consent, 30); // RFC 7675 §5.1
	assert_true(dp.nack);
	assert_int_equal(read_yaml("# nothing but\n# comments\n"), 0);
	assert_int_equal(read_yaml("---\n"), 0);
}

static void a_whole_file(void **state)
{
	assert_int_equal(
	    read_yaml("workers: 2\n"
	              "lcores: 1-2,5\n"
	              "poll: busy\n"
	              "hugepages: on\n"
	              "nack:\n"
	              "  enabled: no\n"
	              "stun:\n"
	              "  rate: 20\n"
	              "stun.burst: 3\n" // the dotted name is the same option
	              "addresses: [192.0.2.1, '2001:db8::1']\n"
	              "ports:\n"
	              "  - kind: pci\n"
	              "    pci: 0000:3b:00.0\n"
	              "    interface: media0\n"
	              "    queues: 4\n"
	              "  - &m {kind: memif, socket: /run/m.sock, id: 3, role: client}\n"
	              "log: \"warn,steer=debug\"\n"),
	    0);
	assert_string_equal(told, "");
	assert_int_equal(dp.workers, 2);
	assert_string_equal(dp.lcores, "1-2,5");
	assert_int_equal(dp.poll, DP_POLL_BUSY);
	assert_int_equal(dp.hugepages, DP_HUGEPAGES_ON);
	assert_false(dp.nack);
	assert_int_equal(dp.stun_rate, 20);
	assert_int_equal(dp.stun_burst, 3);
	assert_int_equal(dp.addresses.n, 2);
	assert_string_equal(dp.addresses.v[1], "2001:db8::1");
	assert_int_equal(dp.ports.n, 2);
	assert_int_equal(dp.ports.v[0].kind, DP_PORT_PCI);
	assert_string_equal(dp.ports.v[0].pci, "0000:3b:00.0");
	assert_int_equal(dp.ports.v[0].queues, 4);
	assert_int_equal(dp.ports.v[0].id, 0);
	assert_int_equal(dp.ports.v[1].role, DP_MEMIF_CLIENT);
	assert_string_equal(dp.ports.v[1].interface, "");
}

static void bad_files(void **state)
{
	static const struct {
		const char *yaml, *message;
	} t[] = {
	    {"workers: 99\n",
	     "dp.yaml:1: workers: got '99'; expected a whole number from 1 to 16\n"},
	    {"\n# c\nbase_port: 80\n",
	     "dp.yaml:3: base_port: got '80'; expected a whole number from 1024 to 65535\n"},
	    {"poll: often\n", "dp.yaml:1: poll: got 'often'; expected busy or adaptive\n"},
	    {"stun:\n  rate: -1\n", "dp.yaml:2: stun.rate: got '-1'; expected a whole number from "
	                            "1 to 1000000 (packets/s)\n"},
	    {"nack: {enabled: maybe}\n",
	     "dp.yaml:1: nack.enabled: got 'maybe'; expected true or false\n"},
	    {"workers: [1]\n",
	     "dp.yaml:1: workers: got a list; expected a whole number from 1 to 16\n"},
	    {"workers:\n",
	     "dp.yaml:1: workers: got nothing; expected a whole number from 1 to 16\n"},
	    {"workers: 0x2\n",
	     "dp.yaml:1: workers: got '0x2'; expected a whole number from 1 to 16\n"},
	    {"workers: 99999999999999999999\n", "dp.yaml:1: workers: got '99999999999999999999'; "
	                                        "expected a whole number from 1 to 16\n"},
	    {"workers: 1\nworkers: 2\n",
	     "dp.yaml:2: workers: given twice, first in line 1; expected each key once\n"},
	    {"nack: 1\n",
	     "dp.yaml:1: nack: not a mapping; expected its options below it, indented\n"},
	    {"rundir: run\n",
	     "dp.yaml:1: rundir: got 'run'; expected an absolute path, at most 79 bytes\n"},
	    {"rundir: \"\"\n",
	     "dp.yaml:1: rundir: got ''; expected an absolute path, at most 79 bytes\n"},
	    {"user: \"a\\0b\"\n",
	     "dp.yaml:1: user: got nothing; expected a user name, at most 31 bytes, or \"\"\n"},
	    {"addresses: 192.0.2.1\n",
	     "dp.yaml:1: addresses: got a single value; expected a list of at most 8, each an "
	     "IPv4 or IPv6 address without port, at most 45 bytes\n"},
	    {"addresses:\n  - 192.0.2.1\n  - 192.0.2.300\n",
	     "dp.yaml:3: addresses.1: got '192.0.2.300'; expected an IPv4 or IPv6 address without "
	     "port, at most 45 bytes\n"},
	    {"addresses: [\"\"]\n", "dp.yaml:1: addresses.0: got ''; expected an IPv4 or IPv6 "
	                            "address without port, at most 45 bytes\n"},
	    {"ports: {kind: null}\n",
	     "dp.yaml:1: ports: got a mapping; expected a list of at most 8 mappings\n"},
	    {"ports: [1]\n",
	     "dp.yaml:1: ports.0: not a mapping; expected key: value pairs of one entry\n"},
	    {"ports: [{}, {}, {}, {}, {}, {}, {}, {}, {}]\n",
	     "dp.yaml:1: ports: got 9 entries; expected a list of at most 8 mappings\n"},
	    {"ports:\n- kind: 'null'\n- kind: af_packet\n",
	     "dp.yaml:3: ports.1.kind: got 'af_packet'; expected af_xdp, pci, memif, ring, null or "
	     "pcap\n"},
	    {"ports:\n- kind: af_xdp\n  interface: lo\n\n- kind: pci\n",
	     "dp.yaml:5: ports.1.pci: missing; expected it for a port of kind pci\n"},
	    {"\nports:\n- interface: lo\n- interface: lo\n",
	     "dp.yaml:4: ports.1.interface: lo is port 0's; expected another\n"},
	    {"ports: []\n", "dp.yaml:1: ports: empty; expected at least one\n"},
	    {"\nbase_port: 65535\nworkers: 3\n",
	     "dp.yaml:2: base_port: worker 2 would need UDP port 65537; expected at most 65533\n"},
	    {"stun: {rte: 1}\n", "dp.yaml:1: stun.rte: unknown key (did you mean rate?); expected "
	                         "one of rate, burst\n"},
	    {"- workers\n", "dp.yaml:1: file: not a mapping; expected key: value pairs\n"},
	    {"workers: 1\n---\nworkers: 2\n",
	     "dp.yaml:3: document: a second one; expected one YAML document\n"},
	    {"? [a]\n: 1\n", "dp.yaml:1: key: not a name; expected a key that --help lists\n"},
	    {"a: b: c\n",
	     "dp.yaml:1: mapping values are not allowed in this context; expected YAML\n"},
	    {"workers: 1\n\tpoll: busy\n", NULL},
	    {"log: \"unfinished\n", NULL},
	    {"x: *nowhere\n", "dp.yaml:1: found undefined alias; expected YAML\n"},
	    {"workers: \xff\xfe\n", NULL},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(read_yaml(t[i].yaml), -EINVAL);
		if (t[i].message)
			assert_string_equal(told, t[i].message);
		assert_int_equal(n_told, 1);
		assert_memory_equal(told, "dp.yaml:", 8);
		assert_non_null(strstr(told, "; expected "));
	}
}

static void unknown_keys(void **state)
{
	assert_int_equal(read_yaml("workrs: 2\n"), -EINVAL);
	assert_memory_equal(told,
	                    "dp.yaml:1: workrs: unknown key (did you mean workers?); expected one "
	                    "of workers, lcores, ",
	                    50);
	assert_int_equal(
	    read_yaml("ports:\n- {kind: 'null', adress: 1}\nfoo:\n  bar: 1\nnack: {x: 1, y: 2}\n"),
	    -EINVAL);
	assert_int_equal(n_told, 4); // all of them at once
	assert_non_null(strstr(
	    told, "dp.yaml:2: ports.0.adress: unknown key; expected one of kind, interface, "));
	assert_non_null(strstr(told, "dp.yaml:3: foo: unknown key; "));
	assert_non_null(strstr(
	    told,
	    "dp.yaml:5: nack.y: unknown key; expected one of enabled, delay, interval, retries, "));
}

/* A value that this option cannot take, by its type; false: no more. */
static bool bad_value(const struct sh_conf_opt *o, unsigned n, char *buf, size_t size)
{
	static const char *const uints[] = {"x", "-1",         "1.5", "''",   "[]", "{}",
	                                    "~", "4294967296", "1e3", "' 1'", "1k"};
	static const char *const bools[] = {"2", "maybe", "''", "[]", "TRUE!"};
	static const char *const words[] = {"nonsense", "''", "[]", "0"};
	static const char *const lists[] = {"x", "{a: 1}", "''"};
	static const char *const texts[] = {"[]", "{}", "~", "\"\\t\"", "\"\\x7f\"", "\"\\u00e9\""};
	const char *const *t = NULL;
	size_t count = 0;

#define LIST_OF(a) (t = a, count = sizeof(a) / sizeof(a[0]))
	switch (o->type) {
	case SH_CONF_UINT:
		LIST_OF(uints);
		if (n == count) {
			snprintf(buf, size, "%llu", o->max + 1ull);
			return true;
		}
		if (n == count + 1 && o->min > 0) {
			snprintf(buf, size, "%u", o->min - 1);
			return true;
		}
		break;
	case SH_CONF_BOOL:
		LIST_OF(bools);
		break;
	case SH_CONF_ENUM:
		LIST_OF(words);
		break;
	case SH_CONF_STRING:
		LIST_OF(texts);
		if (n == count) {
			memset(buf, '1', o->size);
			buf[0] = '/';
			buf[o->size] = 0;
			return true;
		}
		break;
	default:
		LIST_OF(lists);
		break;
	}
	if (n < count)
		snprintf(buf, size, "%s", t[n]);
	return n < count;
}

static void each_option(const struct sh_conf *c, void *out)
{
	char value[2048], yaml[4096], want[SH_CONF_WHY];

	for (const struct sh_conf_opt *o = c->opts; o->type != SH_CONF_END; o++) {
		if (o->type == SH_CONF_GROUP)
			continue;
		for (unsigned n = 0; bad_value(o, n, value, sizeof(value)); n++) {
			struct sh_conf_reader r = begin_of(c, out);
			int len =
			    snprintf(yaml, sizeof(yaml), "# one\n# two\n%s: %s\n", o->key, value);
			assert_true(len < (int)sizeof(yaml));
			if (sh_conf_load_text(&r, "f", yaml, (size_t)len) != -EINVAL)
				fail_msg("%s took %s", o->key, value);
			assert_int_equal(n_told, 1);
			assert_memory_equal(told, "f:3: ", 5);
			assert_non_null(strstr(told, o->key));
			sh_conf_expect(o, want, sizeof(want));
			if (!strstr(told, want) || !strstr(told, "; expected "))
				fail_msg("%s: %s says not: %s", yaml, told, want);
		}
		assert_true(strlen(o->help) > 3);
	}
}

static void every_option_refuses(void **state)
{
	struct cp_conf cp;

	each_option(&dp_conf_table, &dp);
	each_option(&cp_conf_table, &cp);
}

static void item_options_refuse(void **state)
{
	const struct sh_conf_opt *items = sh_conf_find(dp_conf_table.opts, "ports")->items;
	char value[2048], yaml[4096];
	for (const struct sh_conf_opt *o = items; o->type != SH_CONF_END; o++) {
		for (unsigned n = 0; bad_value(o, n, value, sizeof(value)); n++) {
			snprintf(yaml, sizeof(yaml), "ports:\n  -\n    %s: %s\n", o->key, value);
			assert_int_equal(read_yaml(yaml), -EINVAL);
			assert_memory_equal(told, "dp.yaml:3: ports.0.", 19);
		}
	}
}

static void forms(void **state)
{
	static const struct {
		enum sh_conf_form form;
		const char *text;
		bool ok;
	} t[] = {
	    {SH_CONF_CPUS, "auto", true},
	    {SH_CONF_CPUS, "0", true},
	    {SH_CONF_CPUS, "1-2,4,1000-1023", true},
	    {SH_CONF_CPUS, "2-1", false},
	    {SH_CONF_CPUS, "1,", false},
	    {SH_CONF_CPUS, ",1", false},
	    {SH_CONF_CPUS, "1--2", false},
	    {SH_CONF_CPUS, "1024", false},
	    {SH_CONF_CPUS, "1-", false},
	    {SH_CONF_CPUS, "a", false},
	    {SH_CONF_CPUS, "", false},
	    {SH_CONF_CPUS, "1 2", false},
	    {SH_CONF_CPUS, "1-2-3", false},
	    {SH_CONF_PCI, "0000:3b:00.0", true},
	    {SH_CONF_PCI, "0000:3B:1f.7", true},
	    {SH_CONF_PCI, "3b:00.0", false},
	    {SH_CONF_PCI, "0000:3b:00.8", false},
	    {SH_CONF_PCI, "0000:3b:00.0 ", false},
	    {SH_CONF_PCI, "0000-3b-00.0", false},
	    {SH_CONF_NETDEV, "eth0", true},
	    {SH_CONF_NETDEV, "a/b", false},
	    {SH_CONF_NETDEV, "..", false},
	    {SH_CONF_NETDEV, "abcdefghijklmnop", false},
	    {SH_CONF_NETDEV, "abcdefghijklmno", true},
	    {SH_CONF_USER, "_cs-1", true},
	    {SH_CONF_USER, "1a", false},
	    {SH_CONF_USER, "a b", false},
	    {SH_CONF_STORE, "sqlite:/x/y.db", true},
	    {SH_CONF_STORE, "sqlite:", false},
	    {SH_CONF_STORE, "postgresql://u@h/d", true},
	    {SH_CONF_STORE, "mysql://h", false},
	    {SH_CONF_ORIGIN, "*", true},
	    {SH_CONF_ORIGIN, "https://a.example:8443", true},
	    {SH_CONF_ORIGIN, "https://[2001:db8::1]:80", true},
	    {SH_CONF_ORIGIN, "https://a.example/", false},
	    {SH_CONF_ORIGIN, "a.example", false},
	    {SH_CONF_ORIGIN, "https://", false},
	    {SH_CONF_ORIGIN, "://a", false},
	    {SH_CONF_ORIGIN, "https://a\r\nSet-Cookie: x", false},
	    {SH_CONF_LOG, "info,plane=debug", true},
	    {SH_CONF_LOG, "verbose", false},
	    {SH_CONF_ADDRESS, "::1", true},
	    {SH_CONF_ADDRESS, "localhost", false},
	    {SH_CONF_ABSPATH, "/x y", true},
	    {SH_CONF_ABSPATH, "x", false},
	    {SH_CONF_TEXT, "a\nb", false},
	    {SH_CONF_TEXT, "\xc3\xa9", false},
	    {SH_CONF_PATH, "", false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (sh_conf_form_ok(t[i].form, t[i].text) != t[i].ok)
			fail_msg("form %d: '%s'", t[i].form, t[i].text);
}

static void assignments(void **state)
{
	static const struct {
		const char *set, *message; // NULL: good
	} t[] = {
	    {"workers=2", NULL},
	    {"stun.rate=7", NULL},
	    {"nack.enabled=false", NULL},
	    {"user=", NULL},
	    {"addresses=192.0.2.1,2001:db8::1", NULL},
	    {"addresses=", NULL},
	    {"addresses=[192.0.2.1]", NULL},
	    {"ports=[{kind: memif, socket: /run/m}, {kind: 'null'}]", NULL},
	    {"ports.0.interface=eth7", NULL},
	    {"ports.1.kind=null", NULL},
	    {"log=info,a=debug", NULL},
	    {"workers", "--set workers: expected key=value\n"},
	    {"=1", "--set : expected key=value\n"},
	    {"wrkrs=1", "--set wrkrs: no such option; expected one that --help lists\n"},
	    {"nack=1", "--set nack: no such option; expected one that --help lists\n"},
	    {"ports.2.kind=null",
	     "--set ports.2.kind: no such option; expected one that --help lists\n"},
	    {"ports.x.kind=null",
	     "--set ports.x.kind: no such option; expected one that --help lists\n"},
	    {"ports.0=1", "--set ports.0: no such option; expected one that --help lists\n"},
	    {"ports.0.knd=null",
	     "--set ports.0.knd: no such option; expected one that --help lists\n"},
	    {"workers=17", "--set workers: got '17'; expected a whole number from 1 to 16\n"},
	    {"rundir=", "--set rundir: got ''; expected an absolute path, at most 79 bytes\n"},
	    {"ports.0.mtu=x",
	     "--set ports.0.mtu: got 'x'; expected a whole number from 0 to 9600 (bytes)\n"},
	    {"ports=[", NULL},
	    {"addresses=1.2.3.4,x",
	     "--set addresses: got 'x'; expected a list of at most 8, each an IPv4 or IPv6 address "
	     "without port, at most 45 bytes\n"},
	    {"ports=[{kind: none}]", "--set ports: ports.0.kind: got 'none'; expected af_xdp, pci, "
	                             "memif, ring, null or pcap\n"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sh_conf_reader r = begin_of(&dp_conf_table, &dp);
		bool good = !t[i].message && strcmp(t[i].set, "ports=[");
		assert_int_equal(sh_conf_set(&r, t[i].set), good ? 0 : -EINVAL);
		if (t[i].message)
			assert_string_equal(told, t[i].message);
		assert_int_equal(n_told, good ? 0 : 1);
		assert_int_equal(sh_conf_end(&r), good ? 0 : -EINVAL);
	}
	struct sh_conf_reader r = begin_of(&dp_conf_table, &dp);
	assert_int_equal(sh_conf_load_text(&r, "f", "workers: 3\nports: [{interface: a}]\n", 34),
	                 0);
	assert_int_equal(sh_conf_set(&r, "workers=4"), 0);
	assert_int_equal(sh_conf_set(&r, "ports.0.interface=b"), 0);
	assert_int_equal(sh_conf_set(&r, "ports.1.interface=c"), 0);
	assert_int_equal(dp.workers, 4);
	assert_int_equal(dp.ports.n, 2);
	assert_string_equal(dp.ports.v[0].interface, "b");
	assert_int_equal(dp.ports.v[1].kind, DP_PORT_AF_XDP);
	assert_int_equal(sh_conf_set(&r, "addresses=192.0.2.1,2001:db8::1"), 0);
	assert_string_equal(dp.addresses.v[1], "2001:db8::1");
}

/* ---- printing ---- */

static char *printed(const struct sh_conf *c, const void *conf)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	sh_conf_print(c, conf, f);
	fclose(f);
	for (const char *line = text; line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (line[0] == '#')
			assert_true(strcspn(line, "\n") <= 100);
	return text;
}

static void same_again(const struct sh_conf *c, const void *conf, void *again)
{
	char *text = printed(c, conf);
	struct sh_conf_reader r = begin_of(c, again);

	if (sh_conf_load_text(&r, "printed", text, strlen(text)) || sh_conf_end(&r))
		fail_msg("%s\n%s", told, text);
	assert_memory_equal(conf, again, c->size);
	free(text);
}

static void printed_reads_back(void **state)
{
	static struct dp_conf again;
	static struct cp_conf cp, cp_again;

	assert_int_equal(read_yaml(""), 0);
	same_again(&dp_conf_table, &dp, &again);
	begin_of(&cp_conf_table, &cp);
	same_again(&cp_conf_table, &cp, &cp_again);
	/* Texts that YAML would take for something else, or that need their quotes. */
	static const char *const paths[] = {"/a b", "/it's", "/\\back", "/\"q\"", "/#no", "/a: b",
	                                    "/{x}", "/true", "/ ",      "/~",     "/%"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		memset(dp.rundir, 0, sizeof(dp.rundir));
		snprintf(dp.rundir, sizeof(dp.rundir), "%s", paths[i]);
		same_again(&dp_conf_table, &dp, &again);
	}
	for (const char *const *name =
	         (const char *const[]){"true", "null", "on", "y", "_1", "No", NULL};
	     *name; name++) {
		memset(dp.user, 0, sizeof(dp.user));
		snprintf(dp.user, sizeof(dp.user), "%s", *name);
		same_again(&dp_conf_table, &dp, &again);
	}
	assert_int_equal(
	    read_yaml("workers: 3\npoll: busy\nhugepages: 'off'\naddresses: ['::1', 10.0.0.1]\n"
	              "nack: {enabled: false, max_age: 5000}\nlog: error,x=debug\n"
	              "ports:\n- {kind: pcap, rx_pcap: in put.pcap, tx_pcap: 0x10}\n- {kind: "
	              "'null', mtu: 9000}\n"
	              "- {kind: memif, socket: '/a,b]', id: 65535, role: client}\n"),
	    0);
	same_again(&dp_conf_table, &dp, &again);
}

static void command_lines(void **state)
{
	static const struct {
		const char *args[6];
		int want;
	} t[] = {
	    {{"--config", "/dev/null"}, -1},
	    {{"--config", "/dev/null", "--check-config"}, 0},
	    {{"--config", "/dev/null", "--print-config"}, 0},
	    {{"--check-config", "--set", "workers=2", "--config=/dev/null"}, 0},
	    {{"--check-config", "--set", "workers=0"}, 2},
	    {{"--set", "ports=[]"}, 2},
	    {{"--config", "/no/such/file"}, 2},
	    {{"--config", "/tmp"}, 2},
	    {{"--config"}, 2},
	    {{"--nonsense"}, 2},
	    {{"stray"}, 2},
	    {{"--help"}, 0},
	    {{"--version"}, 0},
	};
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	int got[sizeof(t) / sizeof(t[0])];

	assert_non_null(freopen("/dev/null", "w", stdout));
	assert_non_null(freopen("/dev/null", "w", stderr));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *argv[8] = {(char *)"prog"};
		int argc = 1;
		for (; argc < 7 && t[i].args[argc - 1]; argc++)
			argv[argc] = (char *)t[i].args[argc - 1];
		got[i] = sh_conf_args(&dp_conf_table, &dp, argc, argv);
	}
	fflush(stdout);
	fflush(stderr);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (got[i] != t[i].want)
			fail_msg("%s: %d", t[i].args[0], got[i]);
}

static void paths(void **state)
{
	static struct cp_conf cp;
	char buf[64];

	begin_of(&cp_conf_table, &cp);
	assert_string_equal(cp_conf_path(&cp, "tls/key.pem", buf, sizeof(buf)),
	                    "/var/lib/callstack/tls/key.pem");
	assert_string_equal(cp_conf_path(&cp, "/etc/key.pem", buf, sizeof(buf)), "/etc/key.pem");
	assert_null(cp_conf_path(&cp, "tls/key.pem", buf, 10));
}

/* A bomb of aliases is as small in memory as it is in the file. */
static void alias_bomb(void **state)
{
	char yaml[4096] = "x0: &a0 [x, x, x, x, x, x, x, x, x]\n";

	for (int i = 1; i < 40; i++) {
		char line[128];
		snprintf(line, sizeof(line), "x%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
		         i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
		strcat(yaml, line);
	}
	assert_int_equal(read_yaml(yaml), -EINVAL);
	assert_int_equal(n_told, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(a_whole_file),
	    cmocka_unit_test(bad_files),
	    cmocka_unit_test(unknown_keys),
	    cmocka_unit_test(every_option_refuses),
	    cmocka_unit_test(item_options_refuse),
	    cmocka_unit_test(forms),
	    cmocka_unit_test(assignments),
	    cmocka_unit_test(printed_reads_back),
	    cmocka_unit_test(command_lines),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(alias_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
