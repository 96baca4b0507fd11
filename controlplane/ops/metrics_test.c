#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controlplane/ops/metrics.h"
#include "shared/state.h"

static char dir[] = "/tmp/metrics_test_XXXXXX", path[64];

/* The text format: every sample's family was declared before, once; names are legal; values are
 * numbers. */
static void check_format(char *text)
{
	char family[128] = "", *line, *save;
	unsigned samples = 0;
	bool parts = false;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[128], kind[32];
		char *end;
		size_t n;

		if (!strncmp(line, "# HELP ", 7))
			continue;
		if (sscanf(line, "# TYPE %127s %31s", name, kind) == 2) {
			strcpy(family, name);
			assert_true(!strcmp(kind, "counter") || !strcmp(kind, "gauge") ||
			            !strcmp(kind, "histogram") || !strcmp(kind, "summary"));
			parts = !strcmp(kind, "histogram") || !strcmp(kind, "summary");
			assert_int_equal(!strcmp(kind, "counter"),
			                 strlen(name) > 6 &&
			                     !strcmp(name + strlen(name) - 6, "_total"));
			continue;
		}
		n = strcspn(line, "{ ");
		for (unsigned i = 0; parts && i < 3; i++) {
			static const char *const end_of[] = {"_bucket", "_sum", "_count"};
			size_t k = strlen(end_of[i]);

			if (n > k && !memcmp(line + n - k, end_of[i], k) && strlen(family) == n - k)
				n -= k;
		}
		if (strlen(family) != n || memcmp(line, family, n) != 0)
			fail_msg("%s is under %s", line, family);
		for (size_t i = 0; i < n; i++)
			assert_true(isalnum((unsigned char)line[i]) || line[i] == '_');
		strtod(strrchr(line, ' ') + 1, &end);
		assert_int_equal(*end, 0);
		samples++;
	}
	assert_true(samples > CP_METRIC_COUNT);
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no \"%s\"", line);
}

static void without_a_dataplane(void **state)
{
	size_t len;
	char *text;

	cp_metric_set(CP_METRIC_ws_open, 7);
	cp_metric_add(CP_METRIC_ws_open, (uint64_t)-1);
	cp_metric_add(CP_METRIC_logins, 3);
	text = cp_metrics_text("/nonexistent", 0, &len);
	assert_non_null(text);
	assert_int_equal(len, strlen(text));
	has(text, "\ncallstackd_ws_open 6\n");
	has(text, "\ncallstackd_logins_total 3\n");
	has(text, "\ncallstack_state_readable 0\n");
	assert_null(strstr(text, "callstack_drop_total"));
	check_format(text);
	free(text);
}

static void with_one(void **state)
{
	struct sh_slabs s;
	bool created;
	size_t len;
	char *text;

	assert_int_equal(sh_slabs_create(&s, path, 64, 64, 64, &created), 0);
	s.head->workers = 2;
	s.head->heartbeat_ns = 5000000000;
	s.head->stats[0].v[SH_STAT_rx_packets] = 11;
	s.head->stats[1].v[SH_STAT_rx_packets] = 22;
	s.head->stats[2].v[SH_STAT_rx_packets] = 99; // there is no worker 2
	s.head->stats[SH_MAX_WORKERS].v[SH_STAT_commits] = 33;
	s.head->stats[1].v[SH_STAT_drop_srtp_auth] = 44;
	atomic_store(&s.endpoint[3].state, SH_LIVE);
	atomic_store(&s.endpoint[4].state, SH_LIVE);
	atomic_store(&s.endpoint[5].state, SH_DEAD);
	s.endpoint[4].ice = SH_ICE_CONNECTED;
	atomic_store(&s.sub[0].state, SH_LIVE);
	s.head->quality[1][SH_QUALITY_OUT].streams = 5;
	s.head->quality[1][SH_QUALITY_OUT].mos[0] = 2;
	s.head->quality[1][SH_QUALITY_OUT].mos[SH_QUALITY_MOS_BOUNDS] = 3;
	s.head->quality[1][SH_QUALITY_OUT].mos_sum = 150;
	sh_hist_add(&s.head->stats[1].latency, 1000, 8);
	sh_hist_add(&s.head->stats[1].latency, 3000000, 2);
	text = cp_metrics_text(path, 6500000000, &len);
	assert_non_null(text);
	has(text, "\ncallstack_state_readable 1\n");
	has(text, "\ncallstack_rx_packets_total{worker=\"0\"} 11\n");
	has(text, "\ncallstack_rx_packets_total{worker=\"1\"} 22\n");
	assert_null(strstr(text, "worker=\"2\""));
	has(text, "\ncallstack_commits_total{worker=\"control\"} 33\n");
	has(text, "\ncallstack_drop_total{worker=\"1\",reason=\"srtp_auth\"} 44\n");
	has(text, "\ncallstack_streams{worker=\"1\",direction=\"out\"} 5\n");
	has(text, "\ncallstack_stream_mos_bucket{worker=\"1\",direction=\"out\",le=\"1.5\"} 2\n");
	has(text, "\ncallstack_stream_mos_bucket{worker=\"1\",direction=\"out\",le=\"4.3\"} 2\n");
	has(text, "\ncallstack_stream_mos_bucket{worker=\"1\",direction=\"out\",le=\"+Inf\"} 5\n");
	has(text, "\ncallstack_stream_mos_sum{worker=\"1\",direction=\"out\"} 15\n");
	has(text, "\ncallstack_stream_mos_count{worker=\"1\",direction=\"out\"} 5\n");
	has(text, "\ncallstack_forwarding_seconds_bucket{worker=\"1\",le=\"1.024e-06\"} 8\n");
	has(text, "\ncallstack_forwarding_seconds_bucket{worker=\"1\",le=\"0.002097152\"} 8\n");
	has(text, "\ncallstack_forwarding_seconds_bucket{worker=\"1\",le=\"0.004194304\"} 10\n");
	has(text, "\ncallstack_forwarding_seconds_sum{worker=\"1\"} 0.006008\n");
	has(text, "\ncallstack_forwarding_latency_seconds{worker=\"1\",quantile=\"0.5\"} 1.007e-06\n");
	has(text, "\ncallstack_forwarding_latency_seconds{worker=\"1\",quantile=\"0.9999\"} 0.003\n");
	has(text, "\ncallstack_endpoints 2\n");
	has(text, "\ncallstack_endpoints_connected 1\n");
	has(text, "\ncallstack_tracks 0\n");
	has(text, "\ncallstack_subscriptions 1\n");
	has(text, "\ncallstack_heartbeat_age_seconds 1.5\n");
	for (unsigned i = 0; i < SH_STAT_COUNT; i++)
		has(text, sh_stat_info[i].name);
	check_format(text);
	free(text);
	sh_slabs_close(&s);
	assert_int_equal(truncate(path, 100), 0); // cut short
	text = cp_metrics_text(path, 0, &len);
	has(text, "\ncallstack_state_readable 0\n");
	free(text);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_dataplane),
	    cmocka_unit_test(with_one),
	};
	int err;

	if (!mkdtemp(dir))
		return 1;
	sh_state_path(path, sizeof(path), dir);
	err = cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
	return rmdir(dir) || err;
}
