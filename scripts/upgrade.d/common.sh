# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For the steps that run in the server: its archive, a line for each check, and what is on its disk.

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VIP=10.0.0.80
FILE=/proc/net/ipt_CLUSTERIP/$VIP
THEIRS=/usr/lib/x86_64-linux-gnu/xtables/libipt_CLUSTERIP.so
KERNEL=$(uname -r)
export VIP FILE THEIRS KERNEL
# shellcheck source=/dev/null
. /run/lab/words # OLD_KERNEL NEW_KERNEL NEEDS

# check WHAT COMMAND...: what it says is shown when it fails.
check() {
	local what=$1 said start=${EPOCHREALTIME%.*}
	shift
	if said=$("$@" 2>&1 </dev/null); then
		printf 'ok     %s (%d s)\n' "$what" $((${EPOCHREALTIME%.*} - start))
	else
		printf 'FAILED %s\n' "$what"
		printf '%s\n' "${said:-no reason given}" | tail -n 40 | sed 's/^/         /'
	fi
}

# typed WHAT COMMAND: as an admin at a shell, beside the packages, who says yes; what it prints is kept.
typed() {
	local what=$1 start=${EPOCHREALTIME%.*} said status=0
	sed '1s/^/# /; 2,$s/^/> /' <<<"$2"
	said=$(cd /run/lab/debs && APT_CONFIG=/run/yes bash -c "$2" 2>&1 </dev/null) || status=$?
	# dpkg ends its lines with a carriage return, and begins some anew with one.
	printf '%s\n' "$said" | sed 's/\r*$//; s/.*\r//; s/^/| /'
	if [ "$status" = 0 ]; then
		printf 'ok     %s (%d s)\n' "$what" $((${EPOCHREALTIME%.*} - start))
	else
		printf 'FAILED %s\n' "$what"
		printf '%s\n' "$said" | tail -n 40 | sed 's/^/         /'
	fi
}

# The disk of packages takes the place of the network.
archive() {
	mkdir -p /run/archive
	mount -o ro /dev/disk/by-id/virtio-archive /run/archive
	echo "deb [trusted=yes] file:/run/archive ./" >/etc/apt/sources.list
	echo 'APT::Get::Assume-Yes "true";' >/run/yes
	apt-get -qq update
}

apt_install() {
	apt-get -q -y --no-install-recommends install "$@"
}

holds() {
	[ "$(cat "$FILE")" = "$1" ]
}

# The module is DKMS's, of this kernel, and loaded.
module_is_ours() {
	dkms status -k "$KERNEL" | grep -x "clusterip/.*, $KERNEL, .*: installed" &&
		modinfo -n ipt_CLUSTERIP | grep -F "/lib/modules/$KERNEL/updates/dkms/ipt_CLUSTERIP.ko" &&
		[ -d /sys/module/ipt_CLUSTERIP ]
}

nothing_failed() {
	local failed
	failed=$(systemctl --failed --no-legend --plain)
	[ -z "$failed" ] || {
		echo "$failed"
		journalctl -q -b --no-pager -p warning -n 30
		return 1
	}
}

# All files, but for what apt, dpkg, depmod, systemd and DKMS write of any package or boot, and for the trees, which are
# there before.
snapshot() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path '/var/tmp/*' -o -path '/var/log/*' \
		-o -path '/var/lib/dpkg/*' -o -path '/var/lib/apt/*' -o -path '/var/lib/systemd/*' -o -path '/var/cache/*/*' \
		-o -path /var/cache/clusterip -o -path '/usr/lib/modules/*' -o -path /root -o -path '/var/lib/dkms/mok.*' \
		-o -path '/boot/*' -o -path '/vmlinuz*' -o -path '/initrd.img*' \) -prune -o -printf '%p %y %m %l %s\n' |
		sed 's/ d \([0-9]*\)  [0-9]*$/ d \1/' | sort
}
