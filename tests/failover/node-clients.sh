# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# node-clients.sh NUMBER: a machine of IKE clients: a charon without the ha plugin.
number=$1
logs=/tmp/failover

hostname "node$number"
mount -t tmpfs run /run
cat >"$logs/logging$number.conf" <<END
charon {
	filelog {
		charon {
			path = $logs/node$number.charon
			flush_line = yes
			default = 1
		}
	}
}
END
printf 'ha {\n\tload = no\n}\n' >"$logs/ha$number.conf"
mount --bind "$logs/ha$number.conf" /etc/strongswan.d/charon/ha.conf
mount --bind "$logs/logging$number.conf" /etc/strongswan.d/charon-logging.conf
/usr/lib/ipsec/charon &
wait
