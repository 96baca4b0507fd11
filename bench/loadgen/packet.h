/* What of a received RTP packet is read in the clear (RFC 3550 §5.1, RFC 8285 §4). Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Of payload: past the CSRCs and the extension; 0: malformed. len >= 12. */
size_t lg_rtp_head(const uint8_t *b, size_t len);
/* The extension element of this id, *n bytes long, from a packet that lg_rtp_head() passed; NULL:
 * none. */
const uint8_t *lg_rtp_ext(const uint8_t *b, uint8_t id, size_t *n);
/* Length without padding; 0: more padding than packet. head: of lg_rtp_head(). */
size_t lg_rtp_unpadded(const uint8_t *b, size_t len, size_t head);
