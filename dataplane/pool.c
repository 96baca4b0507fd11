#include <sys/mman.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include "dataplane/port.h"

enum { POOL_CACHE = 256 };
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Without huge pages of its own, EAL's memory may still become some: fewer TLB misses. A wish only.
 */
static void want_huge(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *mem, unsigned i)
{
	const uintptr_t huge = 2u << 20;
	uintptr_t from = ((uintptr_t)mem->addr + huge - 1) & ~(huge - 1);
	uintptr_t to = ((uintptr_t)mem->addr + mem->len) & ~(huge - 1);

	if (from < to && madvise((void *)from, to - from, MADV_HUGEPAGE) == 0)
		(void)madvise((void *)from, to - from, MADV_COLLAPSE);
}

/* As rte_pktmbuf_pool_create(), but for the flag: without it, objects do not cross a page of plain
 * memory, which leaves holes that the AF_XDP driver does not reckon with when it makes the pool a
 * umem. */
struct rte_mempool *dp_pool_new(const char *name, uint32_t mbufs, bool af_xdp)
{
	struct rte_pktmbuf_pool_private priv = {
	    .mbuf_data_room_size = DP_PORT_DATA_ROOM,
	    .mbuf_priv_size = sizeof(struct dp_pkt),
	};
	uint32_t size = sizeof(struct rte_mbuf) + sizeof(struct dp_pkt) + DP_PORT_DATA_ROOM;
	struct rte_mempool *mp;
	int err;

	mp = rte_mempool_create_empty(name, mbufs, size, POOL_CACHE, sizeof(priv), SOCKET_ID_ANY,
	                              af_xdp ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	if (!mp)
		return NULL;
	err = rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL);
	if (!err) {
		rte_pktmbuf_pool_init(mp, &priv);
		err = rte_mempool_populate_default(mp);
	}
	if (err < 0) {
		rte_mempool_free(mp);
		rte_errno = -err;
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	rte_mempool_mem_iter(mp, want_huge, NULL);
	return mp;
}
