# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the host must be and have. Everything else comes from the lab's own roots.

# command:package; looked for by command, so that a host with them asks nothing of its archive.
HOST_TOOLS="mmdebstrap:mmdebstrap qemu-system-x86_64:qemu-system-x86 mksquashfs:squashfs-tools cpio:cpio
	xz:xz-utils zstd:zstd depmod:kmod setpriv:util-linux flock:util-linux patch:patch"

host_check() {
	[ "$(id -u)" = 0 ] || die "rights" "the lab makes roots and mounts, which only root may" \
		"run the same command as root (sudo -E make ...)"
	[ "$ARCH" = amd64 ] || die "architecture" "ARCH=$ARCH is not supported" "leave ARCH out: amd64 is the only one"
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "architecture" "this machine is not amd64" \
		"use an amd64 machine: the build root runs natively"
	[ -n "$BASE" ] || die "parameters" "there is no suite '$SUITE' here" \
		"set SUITE to one of: trixie-backports sid forky experimental"
	host_release
	host_packages
	unshare --mount --pid --fork true 2>/dev/null || die "namespaces" "mount and PID namespaces cannot be made here" \
		"in a container: run it privileged (docker run --privileged)"
}

host_release() {
	local ID='' VERSION_ID='' PRETTY_NAME='an unknown system'
	if [ -r /etc/os-release ]; then
		# shellcheck source=/dev/null
		. /etc/os-release
	fi
	# testing and sid carry no VERSION_ID; they are newer than what is asked for.
	if [ "$ID" != debian ] || [ "${VERSION_ID:-99}" -lt 12 ]; then
		die "release" "this is $PRETTY_NAME; the lab is known to work on Debian 12 and newer" \
			"use a Debian 12 machine, virtual machine or privileged container"
	fi
}

host_packages() {
	local pair missing=''
	for pair in $HOST_TOOLS; do
		command -v "${pair%%:*}" >/dev/null || missing+=" ${pair##*:}"
	done
	[ -s /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=" debian-archive-keyring"
	[ -d /usr/share/ca-certificates ] || missing+=" ca-certificates"
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086  # a list of words
	slow "installing host packages:$missing" 60 host_install $missing ||
		die "host packages" "apt-get could not install:$missing" \
			"check the network and /etc/apt/sources.list, then: apt-get update && apt-get install$missing"
	for pair in $HOST_TOOLS; do
		command -v "${pair%%:*}" >/dev/null || die "host packages" "${pair%%:*} is still missing" \
			"apt-get install ${pair##*:}"
	done
}

host_install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	apt-get -q -y --no-install-recommends install "$@"
}
