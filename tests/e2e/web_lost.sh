#!/usr/bin/env bash
# The page again: it is loaded anew, and loses the daemon, the dataplane, both with their state, and the network.
WEB_PART=lost exec "$(dirname "$0")/web.sh"
