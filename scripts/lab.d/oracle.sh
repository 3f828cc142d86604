# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The C original, where it still lives: as a module of bookworm's stock kernel, and as one file of its source package
# that compiles unchanged for the lab's kernel. Both stay in the cache; nothing of them is ever in the tree.
# What was resolved is written to build/oracle.lock, made of NAME='value' lines:
#   ORACLE_RELEASE  what `uname -r` says        ORACLE_VERSION  the package version of image and source
#   ORACLE_IMAGES   packages the image is of    ORACLE_SOURCE   package name    ORACLE_BUSYBOX  as in build/lab.lock

ORACLE_SUITE=bookworm
ORACLE_LOCK=$BUILD/oracle.lock
ORACLE_FILE=net/ipv4/netfilter/ipt_CLUSTERIP.c

oracle_versions_have() {
	local inputs
	inputs=$(key "$ORACLE_SUITE" "$(<"$LABD/oracle.sh")")
	if [ ! -s "$ORACLE_LOCK" ] || ! grep -qx "INPUTS='$inputs'" "$ORACLE_LOCK"; then
		mkdir -p "$BUILD" "$CACHE"
		with_suite "$ORACLE_SUITE" slow "reading the archive's lists ($ORACLE_SUITE)" 8 apt_refresh ||
			die "archive" "$MIRROR could not be read" "check the network (and http_proxy)"
		with_suite "$ORACLE_SUITE" oracle_resolve "$inputs" >"$ORACLE_LOCK.new" ||
			die "versions" "$ORACLE_SUITE has no stock kernel with its source any more" \
				"the C original cannot be had; leave make conformance out"
		mv "$ORACLE_LOCK.new" "$ORACLE_LOCK"
	fi
	set -a # the stages run in shells of their own
	# shellcheck source=/dev/null
	. "$ORACLE_LOCK"
	set +a
}

# The metapackage names the kernel; its source stands at the same version.
oracle_resolve() {
	local inputs=$1 image version number
	read -r image version < <(apt_suite_packages | awk '
		$1 == "Package:" { package = $2 }
		package == "linux-image-amd64" && $1 == "Depends:" { gsub(/[()]/, ""); print $2, $4 }')
	[ -n "$image" ] || return 1
	number=$(cut -d. -f1,2 <<<"$version")
	apt_suite_packages | grep -x "Package: linux-source-$number" >/dev/null || return 1
	cat <<-END
		# SPDX-License-Identifier: GPL-2.0-only
		INPUTS='$inputs'
		ORACLE_RELEASE='${image#linux-image-}'
		ORACLE_VERSION='$version'
		ORACLE_IMAGES='$image'
		ORACLE_SOURCE='linux-source-$number'
		ORACLE_BUSYBOX='$(versions_pin busybox-static)'
	END
}

# The original as a module for the lab's kernel, and its path.
oracle_module_have() {
	local source
	oracle_versions_have
	with_suite "$ORACLE_SUITE" cached source oracle-source "$(key "$ORACLE_VERSION" "$ORACLE_FILE")" \
		"fetching the C original ($ORACLE_SOURCE $ORACLE_VERSION)" 40 oracle_source_make
	cached ORACLE_DIR oracle "$(key "$KERNEL_KEY" "$source" "$(<"$LABD/oracle.sh")")" \
		"building the C original for $RELEASE" 20 oracle_module_make "$source" "$ROOT_DIR" "$KERNEL_DIR"
}

oracle_source_make() {
	local dir=$1
	apt_fetch "$dir" "$ORACLE_SOURCE=$ORACLE_VERSION"
	dpkg-deb --fsys-tarfile "$dir"/*.deb | tar -xO --wildcards '*/linux-source-*.tar.xz' |
		xz -dc -T0 | tar -xO --wildcards "*/$ORACLE_FILE" >"$dir/ipt_CLUSTERIP.c"
	rm "$dir"/*.deb
	[ -s "$dir/ipt_CLUSTERIP.c" ]
}

oracle_module_make() {
	local source=$1 root=$2 kernel=$3 dir=$4
	cp "$source/ipt_CLUSTERIP.c" "$dir"
	echo 'obj-m := ipt_CLUSTERIP.o' >"$dir/Kbuild"
	in_root "$root" ro -b "$dir:/out" -b "$kernel:/kernel:ro" /out \
		make -C /kernel M=/out --no-print-directory CC="$(kernel_cc)" modules
	find "$dir" -mindepth 1 ! -name ipt_CLUSTERIP.ko -delete
}

# bookworm's kernel with its modules, the original among them: takes the place of the lab's own.
oracle_image_have() {
	oracle_versions_have
	local -x RELEASE=$ORACLE_RELEASE KERNEL_VERSION=$ORACLE_VERSION IMAGES=$ORACLE_IMAGES BUSYBOX=$ORACLE_BUSYBOX
	with_suite "$ORACLE_SUITE" cached IMAGE_DIR image "$(image_key)" \
		"unpacking the stock kernel $RELEASE and its modules" 40 image_make
}

# iptables of a suite, with what it needs to run, as a directory: IPTABLES_DIR.
iptables_have() {
	local suite=$1
	cached IPTABLES_DIR "iptables-$suite" "$(key "$(date +%Y-%m)" "$MIRROR" "$(<"$LABD/oracle.sh")")" \
		"fetching iptables of $suite" 15 iptables_make "$suite"
}

iptables_make() {
	local suite=$1 dir=$2 name
	with_suite "$suite" make_root "$dir/root" extract iptables
	rm -rf "$dir"/root/usr/share "$dir"/root/var/lib/apt "$dir"/root/var/cache
	mkdir -p "$dir/root/proc" "$dir/root/run"
	mv "$dir"/root/* "$dir"
	rmdir "$dir/root"
	# What nothing but an installed base-files has in newer suites.
	for name in lib lib64 bin sbin; do
		[ -e "$dir/$name" ] || ln -s "usr/$name" "$dir/$name"
	done
}
