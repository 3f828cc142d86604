# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rebuilt tree: from the source package and the headers' configuration, cut down to what a module's build reads.
# The lab does the same in its build root (scripts/lab.d/kernel.sh, which knows how a release is named), but keeps all
# of the source: its debug kernel is made of it.

# shellcheck source=/dev/null
. scripts/lab.d/kernel.sh # kernel_suffix

# Never read while the tree is prepared, and most of 1.7 GB. By its place from the top: rust/helpers has directories of the
# same names. Headers stay, all of them.
TREE_SKIP=('drivers/*.c' 'sound/*.[ch]' 'fs/*.c' 'net/*.c' 'samples/*.c' 'Documentation/*.rst' 'Documentation/*.txt'
	'Documentation/*.yaml' 'Documentation/*.svg' 'tools/testing' 'tools/perf' 'drivers/gpu/drm/amd/include/*' 'arch/*/boot/dts')

# tree_unpack DIRECTORY: the archive's own top directory has any name.
tree_unpack() {
	local top
	top=$(xz -dc "$(source_archive)" 2>/dev/null | tar -t 2>/dev/null | sed -n 's@/.*@@; 1p; 1q' || true)
	xz -dc -T0 "$(source_archive)" | tar -x -C "$1" --no-same-owner --strip-components=1 --anchored \
		"${TREE_SKIP[@]/#/--exclude=$top/}"
}

tree_have() {
	local cache place
	if tree_is_there; then
		return
	fi
	cache=$(cache_dir)
	place=$(tree_place)
	mkdir -p "$cache"
	(
		flock 9 # a kernel upgrade and an admin may ask at once
		! tree_is_there || exit 0
		rm -rf "$cache"/tmp.*
		tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		trap 'rm -rf "$tmp"' EXIT
		chmod 755 "$tmp"
		say "making the Rust metadata of $KVER from $(source_archive) (some minutes, once for this kernel)"
		start=$SECONDS
		tree_make "$tmp"
		tree_cut "$tmp"
		tree_key >"$tmp/.key"
		rm -rf "$place"
		mv -T "$tmp" "$place"
		say "$place: $(du -sm "$place" | cut -f1) MB, $((SECONDS - start)) s"
	) 9>"$cache/.lock"
}

tree_make() {
	local dir=$1 make
	# shellcheck disable=SC2034  # what kernel_suffix reads
	local RELEASE=$KVER
	make=(env -u MAKEFLAGS -u MAKELEVEL make -C "$dir" --no-print-directory "${variables[@]}")
	tree_unpack "$dir"
	cp "$CONFIG" "$KDIR/Module.symvers" "$dir"
	# vermagic has the whole release in it
	kernel_suffix "$dir" "$("${make[@]}" -s kernelversion)"
	"${make[@]}" -s -j"$JOBS" olddefconfig modules_prepare
	tree_same "$dir"
	[ "$(cat "$dir/include/config/kernel.release")" = "$KVER" ] || {
		say "the tree calls itself $(cat "$dir/include/config/kernel.release"), the kernel is $KVER"
		return 1
	}
}

# Kconfig drops what it cannot set without a word, and structures change with it: pahole of another version is enough.
# What is only a compiler's name or an answer about it makes no difference in a structure.
tree_same() {
	local changed
	changed=$(diff <(settings "$CONFIG") <(settings "$1/.config") | grep '^[<>]' || true)
	[ -z "$changed" ] || {
		say "the configuration did not come out as the kernel's (<), some tool here is another than the kernel's own:"
		printf '%s\n' "$changed" >&2
		return 1
	}
}

settings() {
	grep -E '^CONFIG_' "$1" | grep -vE '^CONFIG_((CC|RUSTC|BINDGEN)_VERSION_TEXT|(GCC|LD|AS|LLD|PAHOLE|RUSTC_LLVM)_VERSION)=' | sort
}

# Of what is left, only what a module's build reads; found by building with less and less.
tree_cut() {
	local dir=$1
	(
		cd "$dir" || exit
		rm -rf block certs crypto drivers fs init io_uring ipc kernel lib mm net samples security sound usr virt \
			Documentation CREDITS MAINTAINERS .clang-format
		find rust -type f ! -name '*.rmeta' ! -name '*.so' ! -name bindgen_parameters ! -name Makefile -delete
		find tools -type f ! -perm -100 -delete
		find arch -mindepth 1 -maxdepth 1 ! -name x86 ! -name arm64 -exec rm -rf {} +
		find arch -type f \( -name '*.[cSo]' -o -name '.*.cmd' -o -name '*.dts*' \) -delete
		find . -type d -empty -delete
	)
}

# tree_forget [KVER]
tree_forget() {
	local place release
	for place in "$(cache_dir)"/tree-*; do
		[ -d "$place" ] || continue
		release=${place##*/tree-}
		if [ $# -gt 0 ]; then
			[ "$release" = "$1" ] || continue
		elif [ -e "$MACHINE_ROOT/lib/modules/$release/build/Module.symvers" ]; then
			continue # its headers are there
		fi
		rm -rf "$place"
		say "forgot $place"
	done
	rmdir "$(cache_dir)" 2>/dev/null || { rm -f "$(cache_dir)/.lock" && rmdir "$(cache_dir)" 2>/dev/null; } || true
}
