# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which kernel, and which compilers: read from the archive, written down in build/lab.lock, used until `update`.
# The lock file is made of NAME='value' lines:
#   RELEASE   what `uname -r` says           KERNEL_VERSION  the package version of image, headers and source
#   IMAGES    packages the image is made of  HEADERS SOURCE  package names
#   BUSYBOX   the initramfs's one program
#   TOOLS     build root packages, each with its version     GUEST  the same for the guest's root

TOOLS_WANTED="gcc libc6-dev make libelf-dev libssl-dev bc bison flex xz-utils
	clang libclang-dev llvm kmod cpio pahole python3-minimal ca-certificates pkgconf libxtables-dev binutils
	iptables g++ valgrind man-db groff-base mandoc"
GUEST_WANTED="bash mount mawk iproute2 iptables arptables nftables conntrack tcpdump kmod iputils-arping iputils-ping procps
	util-linux ethtool libcap2-bin strace"

versions_have() {
	if [ ! -s "$LOCK" ] || [ "$(lock_inputs)" != "$(sed -n "s/^INPUTS='\(.*\)'$/\1/p" "$LOCK")" ]; then
		mkdir -p "$BUILD" "$CACHE"
		slow "reading the archive's lists ($SUITE)" 8 apt_refresh ||
			die "archive" "$MIRROR could not be read" \
				"check the network (and http_proxy); the machine needs deb.debian.org for the set-up"
		slow "resolving versions" 5 versions_resolve "$LOCK.new" ||
			die "versions" "see the line above" "name another kernel with KVER=, or another SUITE="
		mv "$LOCK.new" "$LOCK"
	fi
	set -a # the stages run in shells of their own
	# shellcheck source=/dev/null
	. "$LOCK"
	set +a
}

# What the lock depends on besides the archive: another question needs another answer.
lock_inputs() {
	key "$SUITE" "$KVER" "$FLAVOUR" "$TOOLS_WANTED" "$GUEST_WANTED" "$(<"$LABD/versions.sh")"
}

versions_show() {
	if [ ! -s "$LOCK" ]; then
		host_check
		versions_have
	fi
	local RELEASE KERNEL_VERSION IMAGES HEADERS SOURCE TOOLS GUEST RUSTC_TEXT BINDGEN_TEXT CC_TEXT RESOLVED INPUTS BUSYBOX
	# shellcheck source=/dev/null
	. "$LOCK"
	cat <<EOF
suite      $SUITE (root: $BASE), resolved $RESOLVED, in ${LOCK#"$TREE"/}
kernel     $RELEASE ($KERNEL_VERSION)
packages   $IMAGES $HEADERS $SOURCE
built with $CC_TEXT
           $RUSTC_TEXT
           $BINDGEN_TEXT
build root $(tr ' ' '\n' <<<"$TOOLS" | sed '2,$s/^/           /')
guest root $(tr ' ' '\n' <<<"$GUEST" | sed '2,$s/^/           /')
EOF
}

# Kernels of the suite whose image, headers and source all stand at one version: "release package-version", newest
# first. A source or headers that wait for their signed image (as linux-source does for days) drop out here.
versions_candidates() {
	apt_suite_packages | awk -v flavour="$FLAVOUR" '
		$1 == "Package:" { package = $2 }
		$1 == "Version:" { have[package " " $2] = 1; if (package ~ /^linux-image-[0-9]/) images[package " " $2] = 1 }
		END {
			for (i in images) {
				split(i, part, " ")
				release = substr(part[1], 13)
				# linux-image-7.2.12+deb13-amd64, but not ...-cloud-amd64, nor ...-dbg
				if (release !~ ("^[^-]+-" flavour "$"))
					continue
				split(release, number, /[.+~-]/)
				source = "linux-source-" number[1] "." number[2]
				if ((("linux-headers-" release " " part[2]) in have) && ((source " " part[2]) in have))
					print release, part[2], source
			}
		}' | sort -k2,2Vr
}

versions_resolve() {
	local out=$1 release version source tmp config chosen='' seen='' there=''
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064  # this very directory
	trap "rm -rf $tmp" EXIT
	while read -r release version source; do
		there+=" $version"
		case $KVER in
		'' | "$release" | "$version") ;;
		*) [[ $version == "$KVER"[-.~+]* ]] || continue ;;
		esac
		seen+=" $version"
		apt_fetch "$tmp" "linux-headers-$release=$version" >/dev/null
		dpkg-deb -x "$tmp"/linux-headers-*.deb "$tmp/x"
		config=$tmp/x/usr/src/linux-headers-$release/.config
		if grep -q '^CONFIG_RUST=y' "$config"; then
			chosen=$release
			break
		fi
		echo "$version: no CONFIG_RUST"
		rm -rf "$tmp/x" "$tmp"/*.deb
	done < <(versions_candidates)
	if [ -z "$chosen" ]; then
		echo "no kernel in $SUITE ($FLAVOUR${KVER:+, $KVER}) has Rust, image, headers and source; there are:${there:- none}${seen:+, looked at:$seen}"
		return 1
	fi
	versions_lock "$config" "$chosen" "$version" "$source" >"$out"
}

# config_text FILE NAME: a string of the kernel's configuration, without its quotes.
config_text() {
	sed -n "s/^CONFIG_$2=\"\(.*\)\"$/\1/p" "$1"
}

versions_lock() {
	local config=$1 release=$2 version=$3 source=$4 images=linux-image-$2 package uname tools guest busybox
	tools=$(versions_tools "$config")
	# shellcheck disable=SC2086  # a list of words
	guest=$(versions_pin $GUEST_WANTED)
	busybox=$(versions_pin busybox-static)
	uname=$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$(dirname "$config")/include/generated/utsrelease.h")
	# Newer images are an empty package over these parts.
	for package in linux-binary linux-modules linux-base; do
		if apt_suite_packages | grep -x "Package: $package-$release" >/dev/null; then
			images+=" $package-$release"
		fi
	done
	cat <<EOF
# SPDX-License-Identifier: GPL-2.0-only
# Made by scripts/lab; 'scripts/lab update' makes it again.
INPUTS='$(lock_inputs)'
RESOLVED='$(date -u +%Y-%m-%dT%H:%M:%SZ)'
RELEASE='$uname'
KERNEL_VERSION='$version'
IMAGES='$images'
HEADERS='linux-headers-$release'
SOURCE='$source'
CC_TEXT='$(config_text "$config" CC_VERSION_TEXT)'
RUSTC_TEXT='$(config_text "$config" RUSTC_VERSION_TEXT)'
BINDGEN_TEXT='$(config_text "$config" BINDGEN_VERSION_TEXT)'
TOOLS='$tools'
GUEST='$guest'
BUSYBOX='$busybox'
EOF
}

# The compilers are those that the kernel's own configuration names: -backports or experimental have newer ones,
# and Rust metadata made by another rustc is not loadable.
versions_tools() {
	local config=$1 rustc bindgen gcc
	gcc=$(grep -o 'gcc-[0-9]*' <<<"$(config_text "$config" CC_VERSION_TEXT)" | head -n 1 || true)
	rustc=$(config_text "$config" RUSTC_VERSION_TEXT | cut -d' ' -f2)
	bindgen=$(config_text "$config" BINDGEN_VERSION_TEXT | cut -d' ' -f2)
	# shellcheck disable=SC2086  # a list of words
	versions_pin ${gcc:+"$gcc"} "rustc/$rustc" "cargo/$rustc" "rust-clippy/$rustc" "rustfmt/$rustc" "rust-src/$rustc" \
		"bindgen/$bindgen" $TOOLS_WANTED
}

# versions_pin NAME[/UPSTREAM]...: the same as NAME=VERSION. Without an upstream version it is the suite's candidate,
# which is never -backports' or experimental's: their priority is lower.
versions_pin() {
	local want name upstream version pins=()
	for want; do
		name=${want%%/*}
		upstream=${want#"$name"}
		upstream=${upstream#/}
		if [ -n "$upstream" ]; then
			version=$(lab_apt apt-cache madison "$name" | awk -v up="$upstream" '!seen && $3 ~ ("^" up "[-+~]") { print $3; seen = 1 }')
		else
			version=$(lab_apt apt-cache policy "$name" | sed -n 's/^  Candidate: //p')
		fi
		if [ -z "$version" ] || [ "$version" = '(none)' ]; then
			echo "the archive has no $name $upstream, which this kernel was built with" >&2
			return 1
		fi
		pins+=("$name=$version")
	done
	echo "${pins[*]}"
}
