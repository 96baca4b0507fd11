/* Seeds of fuzz_msg, from the samples: msg_seeds FOLDER. Run by hand when a message changes. */
#include <stdio.h>
#include "tests/fakes/samples.h"

static void put(FILE *f, unsigned type, const void *body, uint32_t len)
{
	const uint8_t head[3] = {(uint8_t)type, (uint8_t)len, (uint8_t)(len >> 8)};

	fwrite(head, 1, sizeof(head), f);
	fwrite(body, 1, len, f);
}

int main(int argc, char **argv)
{
	_Alignas(8) uint8_t body[SAMPLE_MAX];
	char path[512];

	if (argc != 2)
		return 2;
	for (unsigned type = 1; type < SH_MSG_TYPES_MAX; type++) {
		uint32_t len = sample(type, body);
		if (len == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], sh_msg_name(type));
		FILE *f = fopen(path, "w");
		if (!f)
			return 1;
		put(f, type, body, len);
		const sh_id known = SH_ID(0, 2); // the ids that the fuzzer's plane gives out
		memcpy(body, &known, sizeof(known));
		if (type > 32 && type != SH_MSG_E_HELLO)
			put(f, type, body, len);
		fclose(f);
	}
	struct sh_msg_committed m = {.txn = 1, .error = -22, .record = 1};
	snprintf(path, sizeof(path), "%s/answers", argv[1]);
	FILE *f = fopen(path, "w");
	if (!f)
		return 1;
	put(f, SH_MSG_COMMITTED, &m, sizeof(m));
	m = (struct sh_msg_committed){.txn = 2};
	put(f, SH_MSG_COMMITTED, &m, sizeof(m));
	m.txn = 3;
	put(f, SH_MSG_COMMITTED, &m, sizeof(m));
	fclose(f);
	return 0;
}
