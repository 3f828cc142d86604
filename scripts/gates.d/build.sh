# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Gates that build something.

# Parts of the names of the functions that the kernel calls with a packet and with an ARP message.
ENTRIES=(target_callback hook_callback)

# A licence that is enough by itself. Unicode-3.0 is a BSD licence with another name on it.
FREE='^(MIT|BSD-[123]-Clause|0BSD|ISC|Zlib|Unlicense|Unicode-3\.0)$'

# module_make DIRECTORY TREE [VAR=VALUE...]: a build from nothing, by the compiler that the kernel was built with.
module_make() {
	local dir=$1 tree=$2 cc
	shift 2
	cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' /kernel/.config)
	rm -rf "${dir:?}"
	mkdir -p "$dir"
	make -C /kernel M="$tree" MO="/src/$dir" CC="$cc" -j"$(nproc)" "$@" modules
}

# spoken FILE: lines in which a compiler or objtool speaks; none is good.
spoken() {
	if grep -E '(^|[^a-z])(warning|error)(\[[A-Z0-9]+\])?:|objtool:|WARNING:' -A 12 "$1"; then
		return 1
	fi
}

gate_format() {
	local list
	mapfile -t list < <(files '*.rs')
	rustfmt --check --color never "${list[@]}"
}

gate_clippy() {
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
}

gate_kernel_clippy() {
	if ! module_make "$OUT/clippy" /src CLIPPY=1 >"$OUT/clippy.log" 2>&1; then
		cat "$OUT/clippy.log"
		return 1
	fi
	grep -q 'CLIPPY \[M\]' "$OUT/clippy.log" || {
		echo "the build did not run clippy; see $OUT/clippy.log"
		return 1
	}
	spoken "$OUT/clippy.log"
}

gate_silent() {
	if ! module_make "$OUT/module" /src >"$OUT/module.log" 2>&1; then
		cat "$OUT/module.log"
		return 1
	fi
	spoken "$OUT/module.log"
}

# `cargo tree` knows what is compiled for this machine, and by which licence.
gate_licences() {
	local package licence part word status=0 seen=0 good
	while IFS='|' read -r package licence; do
		seen=$((seen + 1))
		[ "$licence" != GPL-2.0-only ] || [[ $package != *"(/src/"* ]] || continue
		# All parts joined by AND have to be free; of those joined by OR one is enough.
		while IFS= read -r part; do
			good=
			while IFS= read -r word; do
				[[ ! $word =~ $FREE ]] || good=1
			done < <(sed 's/ OR /\n/g; s@/@\n@g' <<<"$part" | tr -d '() ')
			[ -n "$good" ] || {
				echo "$package: '$licence' leaves no choice of a licence that we may link"
				status=1
			}
		done <<<"${licence// AND /$'\n'}"
	done < <(cargo tree --locked --quiet --workspace --edges normal,build,dev --prefix none \
		--format '{p}|{l}' | sed 's/ (\*)$//' | sort -u | grep .)
	[ $seen -gt 5 ] || { echo "only $seen crates found: did cargo tree fail?"; return 1; }
	return $status
}

gate_tools() {
	cargo test --locked --quiet -p tools
}

panic_reach() {
	cargo run --locked --quiet -p tools --bin panic-reach -- "$1" "${ENTRIES[@]}"
}

# What debian/crates copies has all that it depends on.
gate_packages() {
	debian/crates "$OUT/crates" &&
		cargo metadata --offline --format-version 1 --manifest-path "$OUT/crates/tree/Cargo.toml" >/dev/null
}

# The module of gate_silent, which comes first; alone, this gate builds it.
gate_panic_reach() {
	[ -f "$OUT/module/ipt_CLUSTERIP.ko" ] || gate_silent || return
	panic_reach "$OUT/module/ipt_CLUSTERIP.ko"
}

# A gate that can't fail is none: the same module with an index expression in its packet path.
gate_planted() {
	local tree=$OUT/planted report
	local marker='// gate: plant here'
	rm -rf "$tree"
	mkdir -p "$tree"
	cp -r Kbuild src include "$tree"
	[ "$(grep -c "^ *$marker\$" src/target.rs)" = 1 ] || {
		echo "src/target.rs: one line '$marker' is needed, in the packet's path, with 'source: u32' in scope"
		return 1
	}
	sed -i "s@^ *$marker\$@let _ = core::hint::black_box([1u8, 2, 3][source as usize]);@" "$tree/src/target.rs"
	if ! module_make "$OUT/planted-module" "/src/$tree" >"$OUT/planted.log" 2>&1; then
		cat "$OUT/planted.log"
		return 1
	fi
	report=$(panic_reach "$OUT/planted-module/ipt_CLUSTERIP.ko")
	if [ $? != 1 ] || [[ $report != *panic_bounds_check* ]]; then
		printf '%s\n' "$report" "the index expression planted at src/target.rs was not found"
		return 1
	fi
}
