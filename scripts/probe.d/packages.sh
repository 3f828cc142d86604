# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a thing is called in each distribution's archive, and the command that brings it.

# debian, ubuntu, fedora, arch, or other.
distribution() {
	like=$(sed -n 's/^ID=\|^ID_LIKE=//p' "$MACHINE_ROOT/etc/os-release" 2>/dev/null | tr -d '"' | tr '\n' ' ')
	for name in ubuntu debian fedora arch; do
		case " $like " in
		*" $name "*)
			echo $name
			return
			;;
		esac
	done
	echo other
}

# package THING [VERSION]: Debian's packages come with the version in full, where the archive is known to have it.
package() {
	case $(distribution) in
	debian | ubuntu)
		case $1 in
		headers) echo "linux-headers-$KVER" ;;
		metadata) echo "linux-lib-rust-$KVER" ;; # Ubuntu's
		gcc | clang) echo "$1-${2:-}" ;;
		rustc | rust-src | bindgen) versioned "$1" "${2:-}" ;;
		libclang) echo "clang libclang-dev" ;;
		xz) echo xz-utils ;;
		modinfo) echo kmod ;;
		nm) echo binutils ;;
		flock) echo util-linux ;;
		libelf | libssl) echo "$1-dev" ;;
		llvm) echo "llvm lld" ;;
		*) echo "$1" ;;
		esac
		;;
	fedora)
		case $1 in
		headers | metadata) echo "kernel-devel-$KVER" ;;
		rustc) echo rust ;;
		bindgen) echo bindgen-cli ;;
		libclang) echo clang-libs ;;
		modinfo) echo kmod ;;
		nm) echo binutils ;;
		pahole) echo dwarves ;;
		flock) echo util-linux ;;
		libelf) echo elfutils-libelf-devel ;;
		libssl) echo openssl-devel ;;
		llvm) echo "llvm lld" ;;
		*) echo "$1" ;;
		esac
		;;
	arch)
		case $1 in
		headers | metadata) echo linux-headers ;;
		rustc | rustfmt) echo rust ;;
		bindgen) echo rust-bindgen ;;
		libclang) echo clang ;;
		modinfo) echo kmod ;;
		nm) echo binutils ;;
		flock) echo util-linux ;;
		libssl) echo openssl ;;
		llvm) echo "llvm lld" ;;
		*) echo "$1" ;;
		esac
		;;
	*) [ "$1" = metadata ] || echo "$1" ;;
	esac
}

# versioned NAME UPSTREAM: NAME=VERSION, if the archive has that upstream version.
versioned() {
	full=$(apt-cache madison "$1" 2>/dev/null | awk -v up="$2" '!seen && $3 ~ ("^" up "[-+~]") { print $3; seen = 1 }') || true
	echo "$1${full:+=$full}"
}

# install_command PACKAGES
install_command() {
	if [ -z "$(printf '%s' "$1" | tr -d ' ')" ]; then
		return # no package is: the sentence says what to do
	fi
	echo "probe: this brings what is missing:"
	# shellcheck disable=SC2086  # a list of words
	list=$(printf '%s\n' $1 | sort -u | tr '\n' ' ' | sed 's/ $//')
	case $(distribution) in
	debian | ubuntu) echo "  apt-get install $list" ;;
	fedora) echo "  dnf install $list" ;;
	arch) echo "  pacman -S $list" ;;
	*) echo "  install, by your distribution's names: $list" ;;
	esac
}
