# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-strongswan.sh NUMBER: a node's boot, in namespaces of its own, as docs/strongswan.md has it: the rule with no node
# number, then the address, then charon with its ha plugin, beside a web server that clients ask.
# HA_USER: the user that charon becomes, if it is to become one.
number=$1
logs=/tmp/failover

hostname "node$number"
mount -t tmpfs run /run

iptables-legacy -I INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP --new --hashmode sourceip --hash-init 0 \
	--clustermac 01:00:5e:00:00:50 --total-nodes 2 --local-node 0
ip address add 10.0.0.80/32 dev eth0

mkdir -p "$logs/www$number"
echo "node $number" >"$logs/www$number/index.html"
cat >"$logs/lighttpd$number.conf" <<END
server.document-root = "$logs/www$number"
server.port = 80
index-file.names = ( "index.html" )
END
lighttpd -D -f "$logs/lighttpd$number.conf" &

# What an admin writes into these two files of the package; here each node has its own.
cat >"$logs/ha$number.conf" <<END
ha {
	load = yes
	local = 10.0.0.$number
	remote = 10.0.0.$((3 - number))
	segment_count = 2
	fifo_interface = yes
	monitor = yes
}
END
cat >"$logs/logging$number.conf" <<END
charon {
	filelog {
		charon {
			path = $logs/node$number.charon
			append = yes
			flush_line = yes
			default = 1
		}
	}
	${HA_USER:+user = $HA_USER}
}
END
mount --bind "$logs/ha$number.conf" /etc/strongswan.d/charon/ha.conf
mount --bind "$logs/logging$number.conf" /etc/strongswan.d/charon-logging.conf
/usr/lib/ipsec/charon &
wait
