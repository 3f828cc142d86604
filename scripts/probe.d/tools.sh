# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a build runs and reads. Rust's metadata is of use to the compiler that made it alone, so that compilers have to be
# those that the kernel's configuration names.

# program NAME: whether it can be run.
program() {
	command -v "$1" >/dev/null 2>&1
}

probe_compilers() {
	for name in make xz bash modinfo nm; do
		program "$name" || missing "$(package "$name")" -- "the program $name is not here."
	done
	probe_cc
	probe_rustc
	if has_metadata; then
		# Bindings are made for our own headers only: any that knows the kernel's options will do.
		program "${BINDGEN:-bindgen}" || missing "$(package bindgen)" -- "bindgen is not here, which reads the kernel's headers."
	else
		probe_bindgen
	fi
	if program "${BINDGEN:-bindgen}" && ! libclang; then
		missing "$(package libclang)" -- "bindgen finds no libclang to read C with."
	fi
	program rustfmt || missing "$(package rustfmt)" -- "rustfmt is not here, which the kernel's build has bindgen call."
}

probe_cc() {
	cc=$(kernel_compiler)
	wanted_cc=$(setting CC_VERSION_TEXT)
	if [ "$(setting CC_IS_CLANG)" = y ]; then
		major=$(($(setting CLANG_VERSION) / 10000))
		pack=clang
		for tool in ld.lld llvm-nm; do
			program "$tool" || missing "$(package llvm)" -- "$tool is not here; this kernel was built by LLVM throughout."
		done
	else
		major=$(($(setting GCC_VERSION) / 10000))
		pack=gcc
	fi
	if ! program "$cc"; then
		missing "$(package $pack $major)" -- "the kernel was built by $pack $major, and there is no $cc here ($wanted_cc)."
		return
	fi
	have=$("$cc" -dumpversion 2>/dev/null | cut -d. -f1)
	[ "$have" = "$major" ] ||
		missing "$(package $pack $major)" -- "the kernel was built by $pack $major, $cc is ${have:-another} ($wanted_cc)."
}

probe_rustc() {
	rustc=${RUSTC:-rustc}
	wanted_rustc=$(setting RUSTC_VERSION_TEXT)
	version=$(printf '%s\n' "$wanted_rustc" | cut -d' ' -f2)
	if ! program "$rustc"; then
		missing "$(package rustc "$version")" -- "the kernel was built by rustc $version, and there is no $rustc here."
	else
		have=$("$rustc" --version 2>/dev/null || true)
		[ "$have" = "$wanted_rustc" ] || missing "$(package rustc "$version")" -- \
			"the kernel was built by '$wanted_rustc', here is '$have': metadata of another rustc is of no use. RUSTC= names another."
	fi
}

probe_bindgen() {
	bindgen=${BINDGEN:-bindgen}
	wanted_bindgen=$(setting BINDGEN_VERSION_TEXT)
	version=${wanted_bindgen#bindgen }
	if ! program "$bindgen"; then
		missing "$(package bindgen "$version")" -- "the kernel was built with bindgen $version, and there is no $bindgen here."
	else
		have=$("$bindgen" --version 2>/dev/null || true)
		[ "$have" = "$wanted_bindgen" ] || missing "$(package bindgen "$version")" -- \
			"the kernel was built with '$wanted_bindgen', here is '$have'. BINDGEN= names another."
	fi
}

# As bindgen would: it loads a library, and fails at its first header where there is none.
libclang() {
	[ -z "${LIBCLANG_PATH:-}" ] || return 0
	empty=$(mktemp --suffix=.h) || return 0
	status=0
	"${BINDGEN:-bindgen}" "$empty" >/dev/null 2>&1 || status=1
	rm -f "$empty"
	return $status
}

# Ubuntu, Fedora, Arch: what their headers hold. A kernel's configuration can be of one rustc and its metadata of another.
probe_metadata() {
	made=$(head -c 200 "$KDIR"/rust/libkernel*.rmeta | tr -c '[:print:]' '\n' | grep -o 'rustc [0-9][^)]*)[^)]*)\{0,1\}' | head -n 1) || true
	version=$(setting RUSTC_VERSION_TEXT | cut -d' ' -f2)
	case "$made " in
	' ' | "rustc $version "*) ;;
	*) never "$KDIR/rust was made by '$made', the kernel by rustc $version: the distribution's headers don't fit themselves." ;;
	esac
	for dir in "$KDIR" "$(headers_common)"; do
		[ ! -f "$dir/rust/bindgen_parameters" ] || return 0
	done
	missing "$(package headers)" -- "$KDIR/rust has metadata but no bindgen_parameters: half of a package."
}

# Debian: the metadata is rebuilt. What was built for one version fits no other.
probe_source() {
	archive=$(source_archive)
	pack=$(source_package)
	wanted_source=$(headers_version)
	if [ -z "${KSRC:-}" ] && [ "$(distribution)" != debian ]; then
		missing "$(package metadata)" -- "$KDIR has no Rust metadata (rust/libkernel.rmeta); if no package of your distribution" \
			"brings it, give the kernel's own source as KSRC=linux.tar.xz."
	elif [ -z "${KSRC:-}" ] && [ -z "$wanted_source" ]; then
		missing '' -- "$KDIR has no Rust metadata (rust/libkernel.rmeta), and comes from no package of Debian's: run make" \
			"modules_prepare in it, or give the kernel's own source as KSRC=linux.tar.xz."
	elif [ -z "${KSRC:-}" ] && [ "$(version_of "$pack")" != "$wanted_source" ]; then
		have=$(version_of "$pack")
		missing "$pack=$wanted_source" -- "the headers have no Rust metadata, and $pack, which it is made from, is" \
			"${have:-not here}; it has to be $wanted_source."
	elif [ ! -f "$archive" ]; then
		missing "$pack${wanted_source:+=$wanted_source}" -- "there is no $archive, which Rust metadata is made from."
	fi
	version=$(setting RUSTC_VERSION_TEXT | cut -d' ' -f2)
	if program "${RUSTC:-rustc}"; then
		sysroot=$("${RUSTC:-rustc}" --print sysroot 2>/dev/null) || true
		[ -f "${RUST_LIB_SRC:-$sysroot/lib/rustlib/src/rust/library}/core/src/lib.rs" ] ||
			missing "$(package rust-src "$version")" -- "the source of Rust's own library is not here; the kernel builds its core."
	fi
	for name in tar flex bison bc flock; do
		program "$name" || missing "$(package "$name")" -- "the program $name is not here, which preparing a kernel's source takes."
	done
	if [ "$(setting DEBUG_INFO_BTF)" = y ] && ! program pahole; then
		missing "$(package pahole)" -- "pahole is not here; without it the kernel's configuration would come out another."
	fi
	for pair in libelf.h:libelf openssl/opensslv.h:libssl; do
		header "${pair%:*}" || missing "$(package "${pair#*:}")" -- "the header ${pair%:*} is not here, which the kernel's own tools need."
	done
}

header() {
	for file in "$MACHINE_ROOT/usr/include/$1" "$MACHINE_ROOT"/usr/include/*-linux-gnu/"$1"; do
		[ ! -f "$file" ] || return 0
	done
	return 1
}
