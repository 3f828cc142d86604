# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-ssh.sh NUMBER: a node that answers for its own number, and that the others reach by ssh.
# shellcheck source=tests/failover/node.sh
. "$(dirname "$0")/node.sh"

mkdir /run/sshd
iptables-legacy -I INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP --new --hashmode sourceip \
	--clustermac 01:00:5e:00:00:50 --total-nodes 3 --local-node "$number"
ip address add 10.0.0.80/32 dev eth0
/usr/sbin/sshd -D -e -o UsePAM=no >>"$logs/node$number.sshd" 2>&1 &
wait
