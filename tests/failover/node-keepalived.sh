# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-keepalived.sh NUMBER: a node's boot, in namespaces of its own, as docs/keepalived.md has it: the rule, then the
# address, then the web server and keepalived.
# shellcheck source=tests/failover/node.sh
. "$(dirname "$0")/node.sh"
export LOG=$logs/node$number.notify

iptables-legacy -I INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP --new --hashmode sourceip \
	--clustermac 01:00:5e:00:00:50 --total-nodes 3 --local-node 0
ip address add 10.0.0.80/32 dev eth0
web_server
keepalived --dont-fork --log-console --log-detail >>"$logs/node$number.keepalived" 2>&1 &
wait
