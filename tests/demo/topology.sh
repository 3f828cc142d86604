#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo's network: `topology.sh up` leaves a whole cluster standing (network, web servers, rules),
# `topology.sh down` removes it. demo.sh sources this file for its functions. Only network
# namespaces of its own are touched.

VIP=10.0.0.80
MAC=01:00:5e:00:00:50
FIRST_CLIENT=10.0.0.100
NODES="1 2 3"
NAMESPACES="switch node1 node2 node3 client"
DEMO_NET="$(dirname "$(realpath "${BASH_SOURCE[0]}")")/demo-net"

picture() {
	cat <<-'END'

	                     client   10.0.0.100 ... 10.0.0.124
	                        |
	                        |  one frame in, to 10.0.0.80 at 01:00:5e:00:00:50
	                        v
	      +-----------------+-----------------+
	      |               switch              |  floods a multicast MAC to all its ports
	      +-----+-----------+-----------+-----+
	            |           |           |
	            v           v           v
	         node 1      node 2      node 3
	        10.0.0.1    10.0.0.2    10.0.0.3     an address of its own, and on each of them
	        10.0.0.80   10.0.0.80   10.0.0.80    the cluster's: same IP, same multicast MAC
	            |           |           |
	          drop        answer       drop      hash(client) says 2: one answer out
	END
}

# Nothing of ours, nor of anybody else's by our names, may be in the way.
network_absent() {
	local name
	for name in $NAMESPACES; do
		if [ -e "/run/netns/$name" ]; then
			echo "there is a network namespace called $name already;" \
				"$(dirname "$DEMO_NET")/topology.sh down removes the demo's" >&2
			return 1
		fi
	done
}

# Namespaces, cables and addresses, in few programs: starting one is what costs under emulation.
network_up() {
	local n name
	{
		for name in $NAMESPACES; do
			echo "netns add $name"
		done
		for n in $NODES; do
			echo "link add node$n netns switch type veth peer name eth0 address 02:00:00:00:00:0$n netns node$n"
		done
		echo "link add client netns switch type veth peer name eth0 address 02:00:00:00:00:64 netns client"
	} | ip -batch - || return
	{
		# Without snooping a bridge does with a multicast MAC what a plain switch does: flood it.
		echo "link add br0 type bridge stp_state 0 mcast_snooping 0"
		echo "link set br0 up"
		for name in node1 node2 node3 client; do
			echo "link set $name master br0 up"
		done
	} | ip -n switch -batch - || return
	for n in $NODES; do
		{
			echo "link set lo up"
			echo "link set eth0 up"
			echo "address add 10.0.0.$n/24 dev eth0"
			echo "address add $VIP/32 dev eth0"
		} | ip -n "node$n" -batch - || return
	done
	{
		echo "link set lo up"
		echo "link set eth0 up"
		for n in {100..124}; do
			echo "address add 10.0.0.$n/24 dev eth0"
		done
	} | ip -n client -batch - || return
}

# A web server on each node; back when all of them listen. (A server says one line when it does.)
servers_up() {
	local n
	for n in $NODES; do
		{ ip netns exec "node$n" setsid "$DEMO_NET" serve "$n" $VIP 80 8080 & } |
			read -r || return
	done
}

# rule N MODE: the rule of node N, as an administrator types it.
rule() {
	echo "iptables-legacy -I INPUT -d $VIP -i eth0 -j CLUSTERIP --new --hashmode $2 \\"
	echo "           --clustermac $MAC --total-nodes 3 --local-node $1"
}

network_down() {
	local name
	for name in $NAMESPACES; do
		[ -e "/run/netns/$name" ] || continue
		ip netns pids "$name" | xargs -r kill
		ip netns delete "$name"
	done
}

cluster_up() {
	local n
	network_up && servers_up || return
	for n in $NODES; do
		ip netns exec "node$n" bash -c "$(rule "$n" sourceip-sourceport)" || return
	done
	picture
	cat <<-END

	A command on a node:  ip netns exec node1 cat /proc/net/ipt_CLUSTERIP/$VIP
	A hundred requests:   ip netns exec client $DEMO_NET ask $VIP $FIRST_CLIENT /tmp/answers
	Pull node 2's cable:  ip -n switch link set node2 down
	END
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

case "${1:-}" in
up)
	network_absent || exit
	if ! cluster_up; then
		network_down
		echo "$0: the cluster could not be set up: it needs root, ip, iptables-legacy, the module," \
			"and demo-net beside this file" >&2
		exit 1
	fi
	;;
down) network_down ;;
*)
	echo "usage: $0 up|down" >&2
	exit 2
	;;
esac
