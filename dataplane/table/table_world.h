/* For the tests of the tables: slabs and tables without workers, transactions put together record
 * by record, and what must hold between all indexes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "dataplane/table/table.h"
#include "shared/msg.h"

enum { ENDPOINTS = 64, TRACKS = 128, SUBS = 4096, WORKERS = 2 };
#define E(i, g) SH_ID((uint32_t)(i), (uint32_t)(g))
#define TEST(f) cmocka_unit_test_setup_teardown(f, plane_setup, plane_teardown)

/* ---- the plane ---- */
extern char plane_path[64]; // of the slabs
extern struct dp_worker plane_workers[WORKERS];
extern unsigned plane_forgotten[DP_KINDS], plane_rekeyed, plane_gone, plane_wanted; // since the test began
extern uint32_t plane_wanted_track; // of the last one
extern long plane_fail_at; // that allocation from now on fails; -1: none
int plane_setup(void **state);
int plane_teardown(void **state);
void plane_attach(void); // to slabs that are there, or new ones
void plane_detach(void);
/* What the owners would do. */
void plane_do_ops(void *arg);
/* Two endpoints with keys, each on its worker, each publishing one track that the other hears. */
void plane_call(void);

/* ---- a transaction ---- */
extern uint64_t txn_number;
extern uint32_t txn_staged; // records
void txn_begin(void);
void txn_record(unsigned type, const void *body, uint32_t len);
struct sh_msg_committed txn_commit_as(bool full, uint32_t records);
int txn_commit(bool full);

/* ---- its records ---- */
struct sh_msg_endpoint_set endpoint_like(sh_id id, unsigned worker, const char *ufrag);
void put_endpoint(sh_id id, unsigned worker, const char *ufrag);
struct sh_msg_endpoint_keys keys_like(sh_id id, uint8_t seed);
void put_keys(sh_id id, uint8_t seed);
void put_track(sh_id id, sh_id ep);
void put_track_flags(sh_id id, sh_id ep, uint8_t flags);
void put_track_of(sh_id id, sh_id ep, uint32_t group, uint8_t flags, uint8_t at);
void put_slot(sh_id id, uint32_t group, uint8_t at);
void put_member(sh_id id, sh_id ep, uint32_t group);
void put_sub(sh_id id, sh_id tr, sh_id ep);
void put_sub_ssrc(sh_id id, sh_id tr, sh_id ep, uint32_t ssrc, uint32_t rtx);
void put_del(sh_id id, unsigned what);

/* ---- what must hold ---- */
uint32_t list_length(const struct dp_fanout *f); // NULL: 0
/* Indexes are what a walk over the slabs says they should be. */
void assert_consistent(void);

/* Each file's tests, in groups. */
int stage_tests(void), apply_tests(void), group_tests(void);
