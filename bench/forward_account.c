/* Where the memory of a subscription goes. A subscription of this bench has an endpoint of its own
 * and a share of a publisher's, with its track. */
#include "bench/forward.h"
#include "dataplane/node/link.h"
#include "dataplane/node/node.h"

static double history_bytes(const struct fwd_shape *s)
{
	uint32_t slots = s->payload <= FWD_AUDIO_MAX ? dp_nodes_config.history_audio
	                                             : dp_nodes_config.history_video;

	return sizeof(struct dp_history) + (double)slots * sizeof(struct dp_hist_slot);
}

const struct fwd_account *fwd_account(const struct fwd_shape *shape)
{
	enum { PARTS = 8 };
	static struct fwd_account a[PARTS + 1];
	const double track = (double)fwd_tracks(shape) / shape->subs, endpoint = 1 + track;
	const double path = RTE_ALIGN_CEIL(sizeof(struct dp_path) + sizeof(void *), (size_t)64);
	double link = sizeof(struct dp_link) + DP_LINK_SENT * sizeof(struct dp_twcc_sent), sum = 0;

	a[0] =
	    (struct fwd_account){"subscription", sizeof(struct sh_sub) + sizeof(struct dp_sub_rt)};
	a[1] = (struct fwd_account){
	    "endpoint", endpoint * (sizeof(struct sh_endpoint) + sizeof(struct dp_ep_rt))};
	a[2] = (struct fwd_account){"keys", endpoint * sizeof(struct dp_srtp_session) +
	                                        track * sizeof(struct dp_srtp_rx)};
	a[3] = (struct fwd_account){"path", endpoint * (path + sizeof(struct dp_peer))};
	a[4] = (struct fwd_account){"link", shape->links ? link : 0};
	a[5] = (struct fwd_account){"track",
	                            track * (sizeof(struct sh_track) + sizeof(struct dp_track_rt) +
	                                     sizeof(struct dp_track_frames))};
	a[6] = (struct fwd_account){"history",
	                            track * (history_bytes(shape) + sizeof(struct dp_nack))};
	for (unsigned i = 0; i + 1 < PARTS; i++)
		sum += a[i].bytes;
	a[7] = (struct fwd_account){"other", (double)fwd_bytes() / shape->subs - sum};
	return a;
}
