# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-clients.sh NUMBER: a machine of IKE clients: a charon without the ha plugin.
# shellcheck source=tests/failover/node.sh
. "$(dirname "$0")/node.sh"

charon 'load = no'
wait
