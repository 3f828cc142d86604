#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A cluster answers: the story of three nodes that share one IP address, told with real tools.
# What stands behind a prompt (`node1# `) is run there exactly as it is shown. Exits 0 only when
# everything went as told.

cd "$(dirname "$0")" || exit
. ./topology.sh

FILE=/proc/net/ipt_CLUSTERIP/$VIP
FAULTS=0
network_absent || exit
WORK=$(mktemp -d)
trap 'network_down; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

chapter() {
	printf '\n\n%s\n\n' "== $* =="
}

fault() {
	echo "NOT AS PROMISED: $*"
	FAULTS=$((FAULTS + 1))
}

# quietly PLACE COMMAND: one shell line in a network namespace.
quietly() {
	ip netns exec "$1" bash -c "$2"
}

# on PLACE COMMAND [COMMENT]: the same, as an administrator would see it.
on() {
	echo "$1# $2${3:+      # $3}"
	quietly "$1" "$2" || fault "on $1 this failed"
}

# serves N NUMBERS: shows the node's file, which must say NUMBERS.
serves() {
	local is
	echo "node$1# cat $FILE"
	is=$(quietly "node$1" "cat $FILE")
	echo "$is"
	[ "$is" = "$2" ] || fault "node $1 should serve $2"
}

# ask PHASE [EARLIER-PHASE]: a hundred requests.
ask() {
	ip netns exec client ./demo-net ask $VIP $FIRST_CLIENT "$WORK/$1" ${2:+"$WORK/$2"} ||
		fault "the clients met something else"
}

# The first ARP exchange on the client's cable. The order of the answers is chance: sorted.
arp() {
	local line
	{ timeout 10 ip netns exec client tcpdump -i eth0 -e -n -t -l -c 4 arp 2>&1 & } | {
		while read -r line; do
			case $line in "listening on"*) break ;; esac
		done
		quietly client "echo > /dev/udp/$VIP/9"
		grep ARP
	} | sort -t: -k 12,12r -k 6,6 >"$WORK/arp"
	sed 's/\(, length [0-9]*:\) /\1\n    /' "$WORK/arp"
	[ "$(grep -c "Reply $VIP is-at $MAC" "$WORK/arp")" = 3 ] ||
		fault "all three nodes should answer, each with the cluster's MAC"
}

if ! network_up || ! servers_up; then
	echo "the demo needs root, ip (iproute2) with veth and bridge, and its demo-net beside it" >&2
	exit 1
fi
echo "One IP address, three nodes, no load balancer."
picture

chapter "One rule on each node"
for n in $NODES; do
	on "node$n" "$(rule "$n" sourceip)"
done

chapter "Who has $VIP? All of them, with one multicast MAC"
echo "client# tcpdump -i eth0 -e -n -t arp"
arp

chapter "Which numbers does a node answer for?"
for n in $NODES; do
	serves "$n" "$n"
done

chapter "A hundred requests: 25 clients, each from 2 source ports to 2 server ports"
mode=sourceip
echo "--hashmode $mode"
ask $mode
for mode in sourceip-sourceport sourceip-sourceport-destport; do
	for n in $NODES; do
		quietly "node$n" "iptables-legacy -F INPUT; $(rule "$n" $mode)" || fault "no rule on node $n"
	done
	printf '\n%s\n' "--hashmode $mode"
	ask $mode
done

chapter "Node 2 loses its cable"
on switch "ip link set node2 down"
echo
ask outage $mode

chapter "One echo takes its share over"
on node1 "echo +2 > $FILE"
serves 1 1,2
echo
ask takeover $mode

chapter "Node 2 comes back"
echo "While cut off it still had its number: it gives it up before the cable goes in, so that at no"
echo "moment two nodes answer one client."
echo
on node2 "echo -2 > $FILE"
on switch "ip link set node2 up"
on node1 "echo -2 > $FILE"
on node2 "echo +2 > $FILE"
serves 1 1
serves 2 2
echo
ask back $mode

chapter "The line of truth"
cd "$WORK" || exit
"$DEMO_NET" verdict sourceip sourceip-sourceport $mode outage takeover back || fault "see above"
[ $FAULTS = 0 ]
