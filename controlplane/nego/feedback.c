/* Which feedback a sender of media gets to know its path by: transport-wide sequence numbers
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01), else REMB (draft-alvestrand-rmcat-remb-03),
 * else receiver reports alone. */
#include "controlplane/nego/codec.h"
#include "controlplane/nego/remote.h"

bool cp_media_twcc(const struct cp_media *m)
{
	bool any = false;

	for (uint8_t i = 0; i < m->codecs; i++)
		any |= m->codec[i].twcc && cp_codec_is_media(&m->codec[i]);
	return any && m->ext_id[SH_EXT_TWCC];
}

void cp_feedback_settle(struct cp_remote *r)
{
	bool whole = true; // of those that it only receives: we would send on all of them

	for (size_t i = 0; i < r->n; i++)
		if (!r->media[i].rejected && r->m[i].peer == CP_DIR_RECV)
			whole &= cp_media_twcc(&r->media[i]);
	for (size_t i = 0; i < r->n; i++) {
		struct cp_media *m = &r->media[i];
		bool twcc = cp_media_twcc(m) && (whole || r->m[i].peer != CP_DIR_RECV);

		if (!twcc)
			m->ext_id[SH_EXT_TWCC] = 0;
		for (uint8_t k = 0; k < m->codecs; k++) {
			m->codec[k].twcc &= twcc;
			m->codec[k].remb &= !twcc;
		}
	}
}

uint8_t cp_nego_feedback(const struct cp_nego *n)
{
	bool twcc = false, whole = true, remb = false;

	for (size_t i = 0; i < n->n_media; i++) {
		const struct cp_media *m = &n->media[i];

		if (m->rejected || !m->agreed || m->dir == CP_DIR_INACTIVE)
			continue;
		twcc |= cp_media_twcc(m);
		whole &= cp_media_twcc(m) || !(m->dir & CP_DIR_SEND);
		for (uint8_t k = 0; k < m->codecs; k++)
			remb |= m->codec[k].remb;
	}
	if (twcc && whole)
		return SH_EP_TWCC;
	return remb ? SH_EP_REMB : 0;
}
