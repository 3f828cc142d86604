# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The build root: compilers, cargo and tools of the release that the kernel was built on, whatever the host is.

root_have() {
	ROOT_KEY=$(key "$SUITE" "$MIRROR" "$TOOLS" "$(declare -f root_make make_root)")
	cached ROOT_DIR root "$ROOT_KEY" "making the build root ($BASE)" 90 root_make
}

root_make() {
	local dir=$1 point
	# shellcheck disable=SC2086  # a list of words
	make_root "$dir" apt $TOOLS
	for point in src kernel cargo out; do
		mkdir "$dir/$point"
	done
	: >"$dir/etc/resolv.conf"
}

# make_root DIR VARIANT PACKAGE[=VERSION]...
make_root() {
	local dir=$1 variant=$2 proxy
	shift 2
	proxy=$(apt-config shell p Acquire::http::Proxy | sed -n "s/^p='\(.*\)'$/\1/p")
	apt_sources | in_ns mmdebstrap --mode=root --format=directory --variant="$variant" --include="$*" \
		--aptopt='Acquire::Languages "none"' ${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\""} \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		"$BASE" "$dir" - || {
		echo "If a version is not found above, the archive has moved on since build/lab.lock was made:"
		echo "run 'scripts/lab update', which reads it again."
		return 1
	}
}
