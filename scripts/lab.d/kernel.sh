# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel tree that modules are built against. Debian's headers have no Rust metadata; made from the source at
# the same version, with the same configuration and compilers, it comes out the same, crate hashes included.

kernel_have() {
	KERNEL_KEY=$(key "$ROOT_KEY" "$RELEASE" "$KERNEL_VERSION" "$CC_TEXT" "$RUSTC_TEXT" "$BINDGEN_TEXT" \
		"$(<"$LABD/kernel.sh")")
	cached KERNEL_DIR kernel "$KERNEL_KEY" "preparing the kernel tree $RELEASE" 130 kernel_make "$ROOT_DIR"
}

kernel_cc() {
	echo "${CC_TEXT%% *}"
}

kernel_make() {
	local root=$1 dir=$2 debs
	kernel_compilers "$root"
	debs=$dir/.debs
	mkdir "$debs"
	apt_fetch "$debs" "$SOURCE=$KERNEL_VERSION" "$HEADERS=$KERNEL_VERSION"
	echo "unpacking $SOURCE"
	dpkg-deb --fsys-tarfile "$debs/$SOURCE"_*.deb | tar -xO --wildcards '*/linux-source-*.tar.xz' |
		xz -dc -T0 | tar -x -C "$dir" --strip-components=1
	dpkg-deb -x "$debs/$HEADERS"_*.deb "$debs/x"
	cp "$debs/x/usr/src/$HEADERS/.config" "$debs/x/usr/src/$HEADERS/Module.symvers" "$dir"
	rm -rf "$debs"
	in_root "$root" ro -b "$dir:/kernel" /kernel make -s kernelversion >"$dir/.version.tmp"
	kernel_suffix "$dir" "$(<"$dir/.version.tmp")"
	rm "$dir/.version.tmp"
	in_root "$root" ro -b "$dir:/kernel" /kernel make -j"$JOBS" CC="$(kernel_cc)" olddefconfig modules_prepare
	grep -q '^CONFIG_RUST=y' "$dir/.config" || {
		echo "olddefconfig dropped CONFIG_RUST: the root's rustc or bindgen does not fit"
		return 1
	}
	[ "$(<"$dir/include/config/kernel.release")" = "$RELEASE" ] || {
		echo "the tree calls itself $(<"$dir/include/config/kernel.release"), the image $RELEASE"
		return 1
	}
}

# What the release has after the source's own version, in the file that the kernel's setlocalversion reads.
kernel_suffix() {
	local dir=$1 version=$2
	if [[ $RELEASE == "$version"* ]]; then
		echo "${RELEASE#"$version"}" >"$dir/localversion"
		return
	fi
	# A release candidate (7.3.0-rc7) has a release of its own making (7.3-amd64): say it in the Makefile.
	sed -i -e "s/^SUBLEVEL = .*/SUBLEVEL =/" -e "s/^EXTRAVERSION = .*/EXTRAVERSION =/" "$dir/Makefile"
	version=$(sed -n -e 's/^VERSION = //p' -e 's/^PATCHLEVEL = //p' "$dir/Makefile" | paste -sd.)
	[[ $RELEASE == "$version"* ]] || {
		echo "release $RELEASE does not begin with the source's version $version"
		return 1
	}
	echo "${RELEASE#"$version"}" >"$dir/localversion"
}

# The compilers must be those of the kernel's configuration: Rust metadata of another rustc is of no use.
kernel_compilers() {
	local root=$1 have
	have=$(in_root "$root" ro / rustc --version)
	[ "$have" = "$RUSTC_TEXT" ] || {
		echo "the kernel was built by '$RUSTC_TEXT', the root has '$have'"
		return 1
	}
	have=$(in_root "$root" ro / bindgen --version)
	[ "$have" = "$BINDGEN_TEXT" ] || {
		echo "the kernel was built with '$BINDGEN_TEXT', the root has '$have'"
		return 1
	}
	have=$(in_root "$root" ro / "$(kernel_cc)" --version)
	have=${have%%$'\n'*}
	[ "${have##* }" = "${CC_TEXT##* }" ] || {
		echo "the kernel was built by '$CC_TEXT', the root has '$have'"
		return 1
	}
}
