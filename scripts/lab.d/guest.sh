# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest: a root of real tools as one squashfs, and the stock kernel's image with its modules as another.

# Modules that the guest gets, under kernel/, besides everything that these need.
GUEST_MODULES="net lib crypto arch/x86/crypto fs/overlayfs fs/squashfs fs/9p fs/ext4 fs/fuse
	drivers/virtio drivers/block drivers/char drivers/net/*.ko* drivers/net/bonding drivers/net/ipvlan
	drivers/net/macvlan drivers/net/netdevsim drivers/net/vxlan drivers/net/wireguard drivers/net/team"
# What the initramfs loads before there is a root.
# In bookworm's kernel the bus and the ports are modules too.
BOOT_MODULES="virtio_pci virtio_console virtio_blk squashfs overlay"

guest_have() {
	cached GUEST_DIR guest "$(key "$SUITE" "$MIRROR" "$GUEST" "$(declare -f guest_make make_root)")" \
		"making the guest's root" 30 guest_make
	cached IMAGE_DIR image "$(image_key)" \
		"unpacking the stock kernel $RELEASE and its modules" 40 image_make
}

image_key() {
	key "$RELEASE" "$KERNEL_VERSION" "$IMAGES" "$(<"$LABD/guest.sh")" "$(<"$LABD/initramfs-init")" "$BUSYBOX"
}

guest_make() {
	local dir=$1
	# shellcheck disable=SC2086  # a list of words
	make_root "$dir/root" essential $GUEST
	rm -rf "$dir/root/var/lib/apt" "$dir/root/var/cache" "$dir/root/boot"
	mkdir -p "$dir/root/opt/clusterip" "$dir/root/var/cache" "$dir/root/boot"
	mksquashfs "$dir/root" "$dir/root.squashfs" -comp lz4 -noappend -no-progress -quiet
	rm -rf "$dir/root"
}

image_make() {
	local dir=$1 package pins=("$BUSYBOX") modules=$1/modules/usr/lib/modules/$RELEASE
	mkdir "$dir/debs"
	for package in $IMAGES; do
		pins+=("$package=$KERNEL_VERSION")
	done
	apt_fetch "$dir/debs" "${pins[@]}"
	for package in "$dir/debs/"*.deb; do
		dpkg-deb -x "$package" "$dir/x"
	done
	rm -rf "$dir/debs"
	# In /boot, or beside the modules.
	find "$dir/x" -path "*/bin/busybox" -exec mv {} "$dir/busybox" \;
	find "$dir/x" -name "vmlinuz*" -type f -exec mv {} "$dir/vmlinuz" \;
	mkdir -p "$dir/modules/usr/lib/modules"
	ln -s usr/lib "$dir/modules/lib"
	mv "$dir"/x/*/lib/modules/"$RELEASE" "$modules" 2>/dev/null || mv "$dir/x/lib/modules/$RELEASE" "$modules"
	rm -rf "$dir/x"
	[ -s "$dir/vmlinuz" ] || {
		echo "no vmlinuz in: $IMAGES"
		return 1
	}
	image_modules "$dir/modules" "$modules"
	mksquashfs "$dir/modules" "$dir/modules.squashfs" -comp lz4 -noappend -no-progress -quiet
	image_initramfs "$dir"
}

# Keeps the modules named above and what they depend on, unpacked (kmod in the guest would pay for xz at each load).
image_modules() {
	local base=$1 modules=$2 path keep=$1/keep
	depmod -b "$base" "$RELEASE"
	for path in $GUEST_MODULES; do
		# shellcheck disable=SC2086  # one of them is a pattern
		(cd "$modules" && find kernel/$path -name '*.ko*' 2>/dev/null) || true
	done | awk -v deps="$modules/modules.dep" '
		BEGIN {
			while ((getline line < deps) > 0) {
				split(line, half, ":")
				needs[half[1]] = half[2]
			}
		}
		{
			print
			count = split(needs[$1], need, " ")
			for (i = 1; i <= count; i++)
				print need[i]
		}' | sort -u >"$keep"
	(cd "$modules" && find kernel -name '*.ko*' | sort | comm -23 - "$keep" | xargs -r rm)
	rm "$keep"
	find "$modules" -name '*.ko.xz' -print0 | xargs -0 -r -n 64 -P "$JOBS" xz -d
	find "$modules" -name '*.ko.zst' -print0 | xargs -0 -r -n 64 -P "$JOBS" zstd -q -d --rm
	rm -f "$modules/build" "$modules/source"
	sed -i -E 's/\.ko\.(xz|zst)$/.ko/' "$modules/modules.order"
	depmod -b "$base" "$RELEASE"
}

image_initramfs() {
	local dir=$1 tree=$1/first name path number=10
	mkdir -p "$tree/bin" "$tree/modules" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/lower" "$tree/extra" \
		"$tree/upper" "$tree/new"
	mv "$dir/busybox" "$tree/bin/busybox"
	install -m 755 "$LABD/initramfs-init" "$tree/init"
	for name in $BOOT_MODULES; do
		modprobe -d "$dir/modules" -S "$RELEASE" --show-depends "$name"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$dir/order"
	while read -r path; do
		cp "$path" "$tree/modules/$number-${path##*/}" # loaded in the order of their names
		number=$((number + 1))
	done <"$dir/order"
	rm "$dir/order"
	(cd "$tree" && find . | cpio -o -H newc --quiet -R 0:0) | zstd -q -3 >"$dir/initramfs"
	rm -rf "$tree"
}
