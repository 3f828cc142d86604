# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the machines of make ha's parts have in common; each part's node-NAME.sh begins with it, and has NUMBER for argument.
number=$1
logs=/tmp/failover

hostname "node$number"
mount -t tmpfs run /run

# web_server: one that says which node it is on.
web_server() {
	mkdir -p "$logs/www$number"
	echo "node $number" >"$logs/www$number/index.html"
	cat >"$logs/lighttpd$number.conf" <<-END
		server.document-root = "$logs/www$number"
		server.port = 80
		index-file.names = ( "index.html" )
	END
	lighttpd -D -f "$logs/lighttpd$number.conf" &
}

# charon HA [USER]: strongSwan's daemon, with HA as the settings of its ha plugin. What an admin writes into these two files
# of the package; here each machine has its own.
charon() {
	printf 'ha {\n%s\n}\n' "$1" >"$logs/ha$number.conf"
	cat >"$logs/logging$number.conf" <<-END
		charon {
			filelog {
				charon {
					path = $logs/node$number.charon
					append = yes
					flush_line = yes
					default = 1
				}
			}
			${2:+user = $2}
		}
	END
	mount --bind "$logs/ha$number.conf" /etc/strongswan.d/charon/ha.conf
	mount --bind "$logs/logging$number.conf" /etc/strongswan.d/charon-logging.conf
	/usr/lib/ipsec/charon &
}
