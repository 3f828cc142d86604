# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The debug kernel (DEBUG=1): the source of the lab's kernel with KASAN, lockdep, kmemleak and their kin, as
# debug.config says it. Built by clang, for gcc's KASAN and Rust's do not go together; GNU ld does for both. Everything
# below the kernel is the lab's: the same root, the same guest.

DEBUG_CMDLINE=
GUEST_MEMORY=1G
if [ -n "$DEBUG" ]; then
	# A guest of this kind on a busy machine is slow, not hung: hence the longer times. And while the kernel finds out what
	# its processor can do, it forgets for a moment that page tables may have five levels: an interrupt in that moment, and
	# KASAN takes good addresses for wild ones (one boot of some dozens). So four levels.
	DEBUG_CMDLINE="no5lvl kmemleak=on watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=120"
	GUEST_MEMORY=2G
fi

# What coverage is kept of, beside the module under test: file of objects, object.
DEBUG_KCOV="net/netfilter/Makefile:x_tables net/ipv4/netfilter/Makefile:ip_tables"

debug_key() {
	DEBUG_KEY=$(key "$KERNEL_KEY" "$DEBUG_KCOV" "$(<"$LABD/debug.config")" \
		"$(declare -f debug_make debug_source debug_configure debug_strip)")
}

# Whether the debug kernel of this very tree is in the cache; nothing is made, and nothing is asked of the archive.
debug_have() (
	[ "$(lock_inputs)" = "$(sed -n "s/^INPUTS='\(.*\)'$/\1/p" "$LOCK" 2>/dev/null)" ] || return 1
	# shellcheck source=/dev/null
	. "$LOCK"
	# What is asked here are the keys alone.
	# shellcheck disable=SC2317  # called by root_have and kernel_have
	cached() {
		local -n result=$1
		# shellcheck disable=SC2034  # the caller's variable
		result=
	}
	root_have
	kernel_have
	debug_key
	[ -d "$CACHE/debug-$DEBUG_KEY" ]
)

# From here on the kernel is the debug kernel: its tree, its image, its name, its compiler.
debug_use() {
	debug_key
	cached DEBUG_DIR debug "$DEBUG_KEY" "building the debug kernel" 1200 debug_make "$ROOT_DIR" "$KERNEL_DIR"
	export KERNEL_DIR=$DEBUG_DIR KERNEL_KEY=$DEBUG_KEY CC_TEXT=clang
	RELEASE=$(<"$DEBUG_DIR/include/config/kernel.release")
	cached IMAGE_DIR image "$(key "$DEBUG_KEY" "$(declare -f debug_image_make)" "$(image_key)")" \
		"making the debug kernel's image" 30 debug_image_make "$DEBUG_DIR"
}

debug_make() {
	local root=$1 kernel=$2 dir=$3 make
	make=(in_root "$root" ro -b "$dir:/kernel" /kernel make CC=clang)
	debug_source "$kernel" "$dir" "${make[@]}"
	debug_configure "$dir" "${make[@]}"
	"${make[@]}" -j"$JOBS" bzImage modules
	"${make[@]}" -s INSTALL_MOD_PATH=/kernel/installed modules_install
	cp "$dir/arch/x86/boot/bzImage" "$dir/installed/vmlinuz"
	debug_strip "$dir"
}

# debug_source KERNEL-TREE DIR MAKE...: the source again, without what was made of it for the stock kernel.
debug_source() {
	local kernel=$1 dir=$2 file
	shift 2
	cp -a "$kernel/." "$dir"
	"$@" -s mrproper
	echo "-debug" >"$dir/localversion"
	for file in $DEBUG_KCOV; do
		echo "KCOV_INSTRUMENT_${file#*:}.o := y" >>"$dir/${file%:*}"
	done
}

# debug_configure DIR MAKE...: debug.config on allnoconfig. Kconfig drops what it cannot set without a word.
debug_configure() {
	local dir=$1 dropped
	shift
	cp "$LABD/debug.config" "$dir/debug.config"
	"$@" -s KCONFIG_ALLCONFIG=debug.config allnoconfig
	dropped=$(grep -E '^(# )?CONFIG_' "$dir/debug.config" | grep -vxFf "$dir/.config") || true
	[ -z "$dropped" ] || {
		echo "Kconfig did not take these lines of debug.config:"
		echo "$dropped"
		return 1
	}
}

# Objects are most of it, and modules of ours need none.
debug_strip() {
	local dir=$1
	find "$dir" \( -path "$dir/scripts" -o -path "$dir/tools" -o -path "$dir/rust" -o -path "$dir/installed" \) -prune \
		-o -type f \( -name '*.[oa]' -o -name '*.ko' \) -exec rm {} +
}

debug_image_make() {
	local kernel=$1 dir=$2
	mkdir -p "$dir/debs" "$dir/modules/usr/lib/modules"
	apt_fetch "$dir/debs" "$BUSYBOX"
	dpkg-deb -x "$dir"/debs/*.deb "$dir/x"
	find "$dir/x" -path "*/bin/busybox" -exec mv {} "$dir/busybox" \;
	rm -rf "$dir/debs" "$dir/x"
	cp "$kernel/installed/vmlinuz" "$dir/vmlinuz"
	ln -s usr/lib "$dir/modules/lib"
	cp -a "$kernel/installed/lib/modules/$RELEASE" "$dir/modules/usr/lib/modules"
	image_modules "$dir/modules" "$dir/modules/usr/lib/modules/$RELEASE"
	mksquashfs "$dir/modules" "$dir/modules.squashfs" -comp lz4 -noappend -no-progress -quiet
	image_initramfs "$dir"
}
