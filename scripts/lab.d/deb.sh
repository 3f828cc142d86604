# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The root that packages are built in: trixie, with what debian/control asks for and no more. Made anew each month.

DEB_WANTED="build-essential debhelper dh-dkms fakeroot lintian man-db cargo rustc bindgen libxtables-dev pkgconf
	ca-certificates"

deb_root_have() {
	cached DEB_ROOT deb "$(key "$(date +%Y-%m)" "$MIRROR" "$DEB_WANTED" "$(declare -f make_root deb_root_make)")" \
		"making the root that packages are built in" 60 with_suite trixie deb_root_make
}

deb_root_make() {
	# shellcheck disable=SC2086  # a list of words
	make_root "$1" apt $DEB_WANTED
	mkdir "$1/src" "$1/cargo" "$1/out"
	: >"$1/etc/resolv.conf"
}

# deb_exec COMMAND...: in that root, the tree at /src, which cannot be written, and build/deb at /out.
deb_exec() {
	host_check
	deb_root_have
	mkdir -p "$BUILD/deb" "$CACHE/cargo"
	in_root "$DEB_ROOT" ro -b "$TREE:/src:ro" -b "$CACHE/cargo:/cargo" -b "$BUILD/deb:/out" /out "$@"
}

# An admin's machine: the kernel's headers, its source and compilers, DKMS. What a command changes there is gone after it.
dkms_root_have() {
	versions_have
	cached DKMS_ROOT dkms "$(key "$SUITE" "$MIRROR" "$TOOLS" "$HEADERS=$SOURCE=$KERNEL_VERSION" \
		"$(declare -f make_root dkms_root_make)")" "making a root with DKMS, headers and source of $RELEASE" 150 dkms_root_make
}

dkms_root_make() {
	# shellcheck disable=SC2086  # a list of words
	make_root "$1" apt $TOOLS dkms "$HEADERS=$KERNEL_VERSION" "$SOURCE=$KERNEL_VERSION"
	mkdir "$1/src" "$1/out" "$1/cargo"
	: >"$1/etc/resolv.conf"
}

# dkms_exec COMMAND...: in that root, the tree at /src, which cannot be written, and build/deb at /out.
dkms_exec() {
	host_check
	dkms_root_have
	mkdir -p "$BUILD/deb" "$BUILD/dkms-root"
	in_over "$DKMS_ROOT" "$BUILD/dkms-root" -b "$TREE:/src:ro" -b "$BUILD/deb:/out" /src "$@"
}
