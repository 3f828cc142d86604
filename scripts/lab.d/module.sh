# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Building ipt_CLUSTERIP.ko. Everything made goes to build/, the sources stay untouched.

# module_build [VAR=VALUE...]: what is given goes to the kernel's make.
module_build() {
	local start=$SECONDS out=${MODULE_DIR#"$TREE"/}
	[ -f "$TREE/Kbuild" ] || die "module" "there is no Kbuild file in the tree" "use a whole checkout"
	# Make compares times, and another kernel's headers can be older than our objects.
	if [ "$(cat "$MODULE_DIR/.kernel" 2>/dev/null)" != "$KERNEL_KEY" ]; then
		rm -rf "$MODULE_DIR"
	fi
	mkdir -p "$MODULE_DIR"
	echo "$KERNEL_KEY" >"$MODULE_DIR/.kernel"
	build_root_run make -C /kernel M=/src MO="/src/$out" --no-print-directory \
		CC="$(kernel_cc)" -j"$JOBS" "$@" modules || {
		say "the module does not build"
		return 1
	}
	say "$out/ipt_CLUSTERIP.ko is up to date ($((SECONDS - start)) s)"
}

# kbuild DIR OUT: another module of the tree, a test's, against the same kernel. OUT is in build/.
module_kbuild() {
	local dir=$1 out=$BUILD/$2
	if [ "$(cat "$out/.kernel" 2>/dev/null)" != "$KERNEL_KEY" ]; then
		rm -rf "$out"
	fi
	mkdir -p "$out"
	echo "$KERNEL_KEY" >"$out/.kernel"
	build_root_run make -C /kernel M="/src/$dir" MO="/src/build/$2" --no-print-directory -s \
		CC="$(kernel_cc)" -j"$JOBS" W=1 modules
}

# The guest finds the module by name, as on a real machine: modules.dep and its kin with our file in them. Made on the
# host, for depmod is slow in the guest; kept in build/ under the module's own checksum.
module_depmod() {
	local ko=$1 sum dir
	sum=$(key "$(sha256sum <"$ko")" "$IMAGE_DIR")
	dir=$BUILD/depmod/$sum
	touch -c "$dir" # in use: another boot, at the same time, removes old ones
	if [ ! -d "$dir" ]; then
		local tmp=$BUILD/depmod/tmp.$$
		local lib=$tmp/usr/lib/modules/$RELEASE
		rm -rf "$tmp"
		mkdir -p "$lib/updates"
		find "$BUILD/depmod" -mindepth 1 -maxdepth 1 -mmin +60 -exec rm -rf {} +
		ln -s usr/lib "$tmp/lib"
		ln -s "$IMAGE_DIR/modules/usr/lib/modules/$RELEASE/kernel" "$lib/kernel"
		cp "$IMAGE_DIR/modules/usr/lib/modules/$RELEASE"/modules.{order,builtin,builtin.modinfo} "$lib"
		cp "$ko" "$lib/updates/ipt_CLUSTERIP.ko"
		depmod -b "$tmp" "$RELEASE"
		rm "$lib/kernel" "$tmp/lib"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp" # or another boot made the same
	fi
	DEPMOD_DIR=$dir
}
