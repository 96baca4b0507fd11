/* For daemon_test.py: the mapping of a dataplane that saw some packets and is gone. make_state PATH
 */
#include <stdio.h>
#include "shared/state.h"

int main(int argc, char **argv)
{
	struct sh_slabs s;
	bool created;

	if (argc != 2 || sh_slabs_create(&s, argv[1], 16, 16, 16, &created))
		return 1;
	s.head->workers = 2;
	s.head->stats[0].v[SH_STAT_drop_srtp_replay] = 3;
	s.head->stats[1].v[SH_STAT_drop_srtp_replay] = 4;
	s.head->stats[SH_MAX_WORKERS].v[SH_STAT_drop_no_route] = 5;
	s.head->stats[0].v[SH_STAT_rx_packets] = 1000;
	sh_slabs_close(&s);
	return 0;
}
