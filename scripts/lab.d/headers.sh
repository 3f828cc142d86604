# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the archive's kernels say of themselves: the .config and the release of the newest headers of each kind, as
# NAME/{.config,Module.symvers,include/config/kernel.release,VERSION}. scripts/probe is tried on them. Made anew each month.

# NAME:SUITE:FLAVOUR
HEADERS_WANTED="amd64:trixie-backports:amd64 cloud:trixie-backports:cloud-amd64 rt:trixie-backports:rt-amd64
	stable:trixie:amd64 sid:sid:amd64 experimental:experimental:amd64"

headers_have() {
	cached HEADERS_DIR headers "$(key "$(date +%Y-%m)" "$MIRROR" "$(<"$LABD/headers.sh")")" \
		"fetching what the archive's kernels say of themselves" 30 headers_make
}

headers_make() {
	local dir=$1 triple name suite flavour
	for triple in $HEADERS_WANTED; do
		IFS=: read -r name suite flavour <<<"$triple"
		with_suite "$suite" headers_fetch "$dir/$name" "$flavour"
	done
}

headers_fetch() {
	local dir=$1 flavour=$2 package version tmp=$1.tmp headers
	apt_refresh # the lists may be older than what the archive has kept
	# linux-headers-7.2.12+deb13-amd64, but not ...-cloud-amd64
	read -r package version < <(apt_suite_packages | awk -v flavour="$flavour" '
		$1 == "Package:" { package = $2 }
		$1 == "Version:" && package ~ ("^linux-headers-[0-9][^-]*(-rc[0-9]+)?-" flavour "$") { print package, $2 }' | sort -k2,2Vr)
	echo "$SUITE, $flavour: $package $version"
	mkdir -p "$tmp" "$dir/include/config"
	apt_fetch "$tmp" "$package=$version"
	dpkg-deb -x "$tmp/$package"_*.deb "$tmp"
	headers=$tmp/usr/src/$package
	cp "$headers/.config" "$headers/Module.symvers" "$dir"
	sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$headers/include/generated/utsrelease.h" >"$dir/include/config/kernel.release"
	echo "$version" >"$dir/VERSION"
	[ -s "$dir/include/config/kernel.release" ]
	rm -rf "$tmp"
}
