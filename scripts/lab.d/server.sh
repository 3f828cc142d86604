# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A server as an admin has one: Debian's minimal installation on a disk, systemd, a kernel of the archive; and beside it,
# on a disk of its own, what apt would fetch, for the guest has no network to the archive. Only make upgrade boots it.
# Made anew each month.

# Two disks: pristine, and ready for our packages: compilers and the like are installed.

# What the minimal installation has not, and what is installed besides kernels and our packages' own needs.
SERVER_BASE="initramfs-tools zstd ca-certificates openssl"
SERVER_WANTED="dkms iptables iptables-persistent resource-agents"

server_have() {
	versions_have
	server_kernels
	deb_root_have
	export DEB_ROOT # the stages run in shells of their own
	cached SERVER_DIR server "$(key "$(date +%Y-%m)" "$MIRROR" "$OLD_KERNEL" "$NEW_KERNEL" "$(<"$LABD/server.sh")" \
		"$(<"$TREE/scripts/kernel.d/tree.sh")" "$(server_needs)")" \
		"making a server's disk with ${OLD_KERNEL%% *}, and what apt may want there" 400 server_make
}

# OLD_KERNEL and NEW_KERNEL, each "release version source": the archive's newest, and the newest of another series.
server_kernels() {
	local list
	list=$(versions_candidates)
	read -r NEW_KERNEL <<<"$list"
	OLD_KERNEL=$(awk -v new="${NEW_KERNEL##* }" '$3 != new { print; exit }' <<<"$list")
	[ -n "$OLD_KERNEL" ] || OLD_KERNEL=$(sed -n 2p <<<"$list")
	[ -n "$OLD_KERNEL" ] || die "kernels" "the archive has one kernel alone, so there is nothing to upgrade to" \
		"wait for its next one"
	export OLD_KERNEL NEW_KERNEL
}

# server_images RELEASE VERSION: with the linux-base of backports, for the release's own is too old for such a kernel.
server_images() {
	local package
	printf 'linux-base/%s' "$SUITE"
	for package in linux-image linux-binary linux-modules linux-base; do
		printf ' %s-%s=%s' "$package" "$1" "$2"
	done
}

# What our packages depend on, by debian/control.
server_needs() {
	sed -n '/^Depends:/,/^[^ ]/{s/^Depends://p;/^ /p}' "$TREE/debian/control" | tr '\n' , |
		sed 's/\${[^}]*}//g; s/[, ]*,[, ]*/, /g; s/^, //; s/, $//'
}

server_make() {
	local dir=$1 kernel old
	read -r -a old <<<"$OLD_KERNEL"
	server_root "$dir/root" "$SERVER_BASE $(server_images "${old[0]}" "${old[1]}")"
	server_repository "$dir"
	for kernel in "$OLD_KERNEL" "$NEW_KERNEL"; do
		# shellcheck disable=SC2086  # three words
		server_tree "$dir" $kernel
	done
	mksquashfs "$dir/repository" "$dir/repository.img" -noI -noD -noF -noX -noappend -no-progress -quiet
	server_disk "$dir" pristine
	server_ready "$dir"
	server_disk "$dir" ready
	printf '%s\n' "OLD_KERNEL='$OLD_KERNEL'" "NEW_KERNEL='$NEW_KERNEL'" "NEEDS='$(server_needs)'" >"$dir/words"
	rm -rf "$dir/root" "$dir/repository" "$dir/trees"
}

server_disk() {
	mke2fs -q -t ext4 -L root -d "$1/root" "$1/$2.img" 8G
}

# The same server with all that our packages stand on, and with the trees that DKMS would rebuild for its kernels: what
# is minutes here is hours where QEMU translates. iptables-persistent would save this machine's rules; it comes later.
server_ready() {
	local dir=$1 old
	read -r -a old <<<"$OLD_KERNEL"
	# shellcheck disable=SC2016  # expanded in there
	in_root "$dir/root" rw -b "$dir/repository:/mnt:ro" / sh -ec '
		export DEBIAN_FRONTEND=noninteractive
		echo "deb [trusted=yes] file:/mnt ./" >/run/list
		apt="apt-get -q -y --no-install-recommends -o Dir::Etc::SourceList=/run/list -o APT::Sandbox::User=root"
		$apt update
		$apt install $1
		$apt satisfy "$2"
		apt-get clean' sh "${SERVER_WANTED/iptables-persistent/} linux-headers-${old[0]} ${old[2]}" "$(server_needs)"
	cp -a "$dir/trees" "$dir/root/var/cache/clusterip"
}

# Unlike the lab's other roots this one keeps documentation and configuration: it is compared with what is left of it.
server_root() {
	local dir=$1 proxy packages
	read -r -a packages <<<"$2"
	proxy=$(apt-config shell p Acquire::http::Proxy | sed -n "s/^p='\(.*\)'$/\1/p")
	# shellcheck disable=SC2016  # expanded by mmdebstrap
	apt_sources | in_ns mmdebstrap --mode=root --format=directory --variant=important --include="${packages[*]}" \
		--aptopt='Acquire::Languages "none"' ${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\""} \
		--customize-hook='rm "$1/etc/apt/apt.conf.d/99mmdebstrap"; echo server >"$1/etc/hostname"' \
		--customize-hook='echo "LABEL=root / ext4 defaults 0 1" >"$1/etc/fstab"' "$BASE" "$dir" -
}

# All that apt would fetch. By versions and not by `-t`, which would bring the libelf of backports, and pahole wants
# that of the release.
server_repository() {
	local dir=$1 old new
	read -r -a old <<<"$OLD_KERNEL"
	read -r -a new <<<"$NEW_KERNEL"
	mkdir -p "$dir/repository/debs/partial" "$dir/over"
	# shellcheck disable=SC2016  # expanded in there
	in_over "$dir/root" "$dir/over" -b "$dir/repository:/mnt" / sh -ec '
		fetch="apt-get -q -y --no-install-recommends -d -o Dir::Cache::archives=/mnt/debs -o APT::Sandbox::User=root"
		apt-get -q -o APT::Sandbox::User=root update
		$fetch install $1
		$fetch install $2
		$fetch satisfy "$3"' sh \
		"$SERVER_WANTED linux-headers-${old[0]}=${old[1]} ${old[2]}=${old[1]}" \
		"$(server_images "${new[0]}" "${new[1]}") linux-headers-${new[0]}=${new[1]} ${new[2]}=${new[1]}" "$(server_needs)"
	rm -r "$dir/over" "$dir/repository/debs/partial" "$dir/repository/debs/lock"
	# shellcheck disable=SC2016  # expanded in there
	in_root "$DEB_ROOT" ro -b "$dir/repository:/out" /out sh -ec 'dpkg-scanpackages -m . >Packages'
}

# server_tree DIR RELEASE VERSION SOURCE: what scripts/kernel rebuilds for a kernel, made on that very server, as a chroot.
server_tree() {
	mkdir -p "$1/trees" "$1/over"
	# shellcheck disable=SC2016  # expanded in there
	in_over "$1/root" "$1/over" -b "$1/repository:/mnt:ro" -b "$TREE:/srv:ro" -b "$1/trees:/media" / sh -ec '
		export DEBIAN_FRONTEND=noninteractive
		echo "deb [trusted=yes] file:/mnt ./" >/etc/apt/sources.list
		apt-get -q update
		apt-get -q -y --no-install-recommends install "linux-headers-$1" "$2"
		apt-get -q -y --no-install-recommends satisfy "$3"
		mkdir /root/clusterip
		cp -r /srv/scripts /root/clusterip
		KVER=$1 /root/clusterip/scripts/kernel tree
		cp -a "/var/cache/clusterip/tree-$1" /media' sh "$2" "$4" "$(server_needs)"
	rm -r "$1/over"
}
