# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel that is meant and what is known of it, for scripts/probe and scripts/kernel alike. POSIX sh; builds nothing.
#   KVER  what `uname -r` says of it (default: the running kernel)
#   KDIR  where its headers are (default: /lib/modules/$KVER/build)
#   KSRC  its source, a linux-source-X.Y.tar.xz, where the headers have no Rust metadata (default: the package's)
# MACHINE_ROOT stands before every path of the machine: for tests.

MACHINE_ROOT=${MACHINE_ROOT:-}
[ -n "${KVER:-}" ] || KVER=$(uname -r)
[ -n "${KDIR:-}" ] || KDIR=$MACHINE_ROOT/lib/modules/$KVER/build
CONFIG=$KDIR/.config
# Where Debian has modinfo and iptables; an ordinary user's shell does not look there.
PATH=$PATH:$MACHINE_ROOT/usr/sbin:$MACHINE_ROOT/sbin

# setting NAME: y, m, or what else CONFIG_NAME is; nothing where it is off.
setting() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$CONFIG"
}

# The release of the headers: what vermagic will be made of.
headers_release() {
	cat "$KDIR/include/config/kernel.release" 2>/dev/null ||
		sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$KDIR/include/generated/utsrelease.h" 2>/dev/null || true
}

# 7.2 of 7.2.12+deb13-amd64.
kernel_series() {
	printf '%s\n' "$KVER" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/'
}

# Debian's headers are two directories; what belongs to no flavour is in the other one.
headers_common() {
	if [ -d "$KDIR/source" ]; then
		echo "$KDIR/source"
	else
		sed -n 's@^include \(/.*\)/Makefile$@\1@p' "$KDIR/Makefile" 2>/dev/null | head -n 1
	fi
}

# The distribution's metadata, where it ships it (Ubuntu, Fedora, Arch). By pattern: the set of files differs by release.
has_metadata() {
	for file in "$KDIR"/rust/libkernel*.rmeta; do
		[ ! -f "$file" ] || return 0
	done
	return 1
}

# The compiler by the name that the kernel's configuration has for it, or by the one a user gives.
kernel_compiler() {
	if [ -n "${CC:-}" ]; then
		echo "$CC"
	elif [ "$(setting CC_IS_CLANG)" = y ]; then
		echo clang
	else
		name=$(setting CC_VERSION_TEXT | cut -d' ' -f1)
		major=$(($(setting GCC_VERSION) / 10000))
		for try in "$name" "gcc-$major" gcc; do
			if command -v "$try" >/dev/null 2>&1; then
				echo "$try"
				return
			fi
		done
		echo "$name"
	fi
}

# Rebuilt trees are kept: root's, which are DKMS's, with the machine; a user's in the user's own cache.
cache_dir() {
	if [ -n "${CLUSTERIP_CACHE:-}" ]; then
		echo "$CLUSTERIP_CACHE"
	elif [ "$(id -u)" = 0 ]; then
		echo "$MACHINE_ROOT/var/cache/clusterip"
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/clusterip/native"
	fi
}

# What a rebuilt tree is made of, but for its source: that may be gone, once the package has moved on.
tree_key() {
	{
		cat "$CONFIG" "$KDIR/Module.symvers"
		"${RUSTC:-rustc}" --version 2>/dev/null
	} | sha256sum | cut -c1-16
}

# The rebuilt tree's place, and whether it is there.
tree_place() {
	echo "$(cache_dir)/tree-$KVER"
}

tree_is_there() {
	[ "$(cat "$(tree_place)/.key" 2>/dev/null)" = "$(tree_key)" ]
}

# version_of PACKAGE: the version whose files are here, or nothing. In an upgrade DKMS is called while the headers are being
# configured, so that a package that is only unpacked counts.
version_of() {
	dpkg-query -W -f='${db:Status-Abbrev}${Version}\n' "$1" 2>/dev/null | sed -n 's/^.[iUFWt][ R] *//p'
}

# The version of the package that the headers came with; nothing, where they came with none.
headers_version() {
	version_of "linux-headers-$KVER"
}

source_package() {
	echo "linux-source-$(kernel_series)"
}

source_archive() {
	if [ -n "${KSRC:-}" ]; then
		echo "$KSRC"
	else
		echo "$MACHINE_ROOT/usr/src/$(source_package).tar.xz"
	fi
}
