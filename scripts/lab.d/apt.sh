# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's apt with lists of its own, so that the suite can be read without touching the host's sources.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The sources of a suite. Release files of suites that are not released can be past their date: that one check is
# off for them; the signature check never is.
apt_sources() {
	local suite options="signed-by=$KEYRING"
	case $SUITE in
	trixie-backports) set -- trixie trixie-updates trixie-backports ;;
	experimental) set -- sid experimental ;;
	*) set -- "$SUITE" ;;
	esac
	case $BASE in
	bookworm | trixie) ;;
	*) options+=" check-valid-until=no" ;;
	esac
	for suite; do
		echo "deb [$options] $MIRROR $suite main"
	done
}

# lab_apt TOOL ARGS...: apt-get or apt-cache on the private lists. The host's apt.conf.d holds: proxies.
lab_apt() {
	local tool=$1 dir=$CACHE/apt-$SUITE
	shift
	"$tool" -o Dir::State="$dir" -o Dir::State::Lists="$dir/lists" -o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" -o Dir::Etc::sourcelist="$dir/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o Acquire::Languages=none -o Acquire::GzipIndexes=false \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root \
		-o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
		-o APT::Architecture="$ARCH" -o APT::Architectures::="$ARCH" -o APT::Get::List-Cleanup=true "$@"
}

apt_refresh() {
	local dir=$CACHE/apt-$SUITE
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	apt_sources >"$dir/sources.list"
	# apt calls a host that cannot be reached a warning; here it is an error.
	lab_apt apt-get -q -o APT::Update::Error-Mode=any update
}

# apt_fetch DIR PACKAGE=VERSION...: the .deb files, checked by apt against the signed lists.
apt_fetch() {
	local dir=$1
	shift
	[ -d "$CACHE/apt-$SUITE/lists/partial" ] || apt_refresh
	(cd "$dir" && lab_apt apt-get -q download "$@")
}

# The Packages file of the suite that the kernel comes from, on stdout.
apt_suite_packages() {
	cat "$CACHE/apt-$SUITE/lists/"*_dists_"$SUITE"_main_binary-"$ARCH"_Packages
}
