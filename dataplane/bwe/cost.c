/* A second in which nothing came of a quality is none of its seconds: it paused. One that is cut
 * short by a gap of the whole track is thrown away. */
#include "dataplane/bwe/cost.h"
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

static uint64_t total(const uint32_t t[SH_MAX_TEMPORAL])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SH_MAX_TEMPORAL; i++)
		sum += t[i];
	return sum;
}

static void keep(struct dp_cost *c, uint32_t q, uint64_t elapsed_ns)
{
	uint32_t *to = c->bps[c->at[q]][q];

	if (!total(c->bytes[q]))
		return;
	for (unsigned i = 0; i < SH_MAX_TEMPORAL; i++) {
		uint64_t bps = c->bytes[q][i] * UINT64_C(8000000) / (elapsed_ns / 1000);

		to[i] = bps > UINT32_MAX ? UINT32_MAX : (uint32_t)bps;
	}
	c->at[q] = (uint8_t)((c->at[q] + 1) % DP_COST_SECONDS);
	c->n[q] += c->n[q] < DP_COST_SECONDS;
}

bool dp_cost_add(struct dp_cost *c, uint32_t layer, uint32_t temporal, uint32_t bytes,
                 uint64_t now_ns)
{
	uint64_t elapsed = now_ns - c->since_ns;
	bool kept = false;

	if (elapsed >= SECOND_NS) {
		kept = c->since_ns && elapsed < 2 * SECOND_NS;
		for (uint32_t q = 0; kept && q < SH_MAX_LAYERS; q++)
			keep(c, q, elapsed);
		memset(c->bytes, 0, sizeof(c->bytes));
		c->since_ns = now_ns;
	}
	c->bytes[layer][temporal] += bytes;
	return kept;
}

bool dp_cost_bps(const struct dp_cost *c, uint32_t layer, uint32_t out[SH_MAX_TEMPORAL])
{
	uint32_t n = c->n[layer], low = 0, high = 0, many = 0;
	uint64_t sum[SH_MAX_TEMPORAL] = {0};

	for (uint32_t i = 1; i < n; i++) {
		if (total(c->bps[i][layer]) < total(c->bps[low][layer]))
			low = i;
		if (total(c->bps[i][layer]) >= total(c->bps[high][layer]))
			high = i;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (n > 2 && (i == low || i == high))
			continue;
		for (unsigned t = 0; t < SH_MAX_TEMPORAL; t++)
			sum[t] += c->bps[i][layer][t];
		many++;
	}
	for (unsigned t = 0; many && t < SH_MAX_TEMPORAL; t++)
		out[t] = (uint32_t)(sum[t] / many);
	return many;
}

uint32_t dp_cost_peak_bps(const struct dp_cost *c, uint32_t layer)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < c->n[layer]; i++)
		if (total(c->bps[i][layer]) > most)
			most = total(c->bps[i][layer]);
	return most > UINT32_MAX ? UINT32_MAX : (uint32_t)most;
}
