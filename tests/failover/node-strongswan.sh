# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-strongswan.sh NUMBER: a node's boot, in namespaces of its own, as docs/strongswan.md has it: the rule with no node
# number, then the address, then charon with its ha plugin, beside a web server that clients ask.
# HA_USER: the user that charon becomes, if it is to become one.
# shellcheck source=tests/failover/node.sh
. "$(dirname "$0")/node.sh"

iptables-legacy -I INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP --new --hashmode sourceip --hash-init 0 \
	--clustermac 01:00:5e:00:00:50 --total-nodes 2 --local-node 0
ip address add 10.0.0.80/32 dev eth0
web_server
charon "
	load = yes
	local = 10.0.0.$number
	remote = 10.0.0.$((3 - number))
	segment_count = 2
	fifo_interface = yes
	monitor = yes
" "${HA_USER:-}"
wait
