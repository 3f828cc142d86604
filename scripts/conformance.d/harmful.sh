# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The cases that harm the original's kernel. Each gets a boot of its own in each implementation, and beside what the
# case saw stands the first thing that the kernel complained of on its console, or `nothing`.

# A report of the memory's own checks is a complaint as well.
# An oops is the end, so that nothing waits for who died of it (`oops=panic`).
COMPLAINTS='\bBUG:|\bBUG [a-z]|general protection fault|\bWARNING:|\bOops\b|rcu: INFO|\bKFENCE\b|panicked at|Kernel panic'

# harmful_complaint CONSOLE: the line, with the words of a warning, which stand before it.
harmful_complaint() {
	local console=$1 line before
	# A kernel that only says that it can complain does not.
	line=$(grep -anE -- "$COMPLAINTS" "$console" | grep -avE 'kfence: initialized|Command line:' | head -n 1)
	if [ -z "$line" ]; then
		echo nothing
		return
	fi
	before=$(sed -n "$((${line%%:*} - 1))p" "$console" | harmful_normal)
	line=$(harmful_normal <<<"${line#*:}")
	case $line-$before in
	WARNING*cut\ here*) echo "$line" ;;
	WARNING*) echo "$line: $before" ;;
	*) echo "$line" ;;
	esac
}

# harmful_normal: takes what changes from run to run and from kernel to kernel out of a line: time, processor, process,
# addresses, offsets, line numbers, taints, the number of a cache among its like.
harmful_normal() {
	tr -d '\r' | sed -E \
		-e 's/^(<[0-9]+>)?\[ *[0-9.]+\](\[ *[TC][0-9]+\])? *//' \
		-e 's/, CPU#[0-9]+: .*$//' \
		-e 's/CPU: [0-9]+ (UID: [0-9]+ )?PID: [0-9]+ at /at /' \
		-e 's/^WARNING: (at )?([^ :]+):[0-9]+ (at )?/WARNING: \2 /' \
		-e 's/\+0x[0-9a-f]+\/0x[0-9a-f]+( \[[A-Za-z0-9_]+\])?//g' \
		-e 's/ \((Not tainted|Tainted)[^)]*\)//' \
		-e 's/kmalloc-rnd-[0-9]+-/kmalloc-/' \
		-e 's/(0x)?[0-9a-f]{8,16}/X/g' \
		-e 's/^Oops: //' \
		-e 's/ *(PREEMPT|SMP|NOPTI|PTI|\[#[0-9]+\])([^ ]*)//g' \
		-e 's/ X: 0000$//' \
		-e 's/ +$//'
}

# harmful_one WHO NAME: one case in one boot; its lines go to build/conformance/harmful.NAME.WHO.
# shellcheck disable=SC2154  # `out` is scripts/conformance's
harmful_one() {
	local who=$1 name=$2 seen=$out/harmful.$2.$1 image=() status=0 title complaint
	[ "$who" != bookworm ] || image=(--image bookworm)
	# A second try for a boot that did not come to the case.
	for _ in 1 2; do
		status=0
		scripts/lab boot --timeout 200 --append oops=panic --console "${seen#build/}.console" \
			--payload "$out/payload.$who" "${image[@]}" -- /opt/clusterip/conformance cases --harmful "$name" \
			>"$seen.out" 2>"$seen.lab" || status=$?
		title=$(sed -n 's/^at\t//p' "$seen.out" | head -n 1)
		[ -z "$title" ] || break
	done
	if [ -z "$title" ]; then
		echo "harmful: $name did not start in $who (status $status): see $seen.lab" >&2
		return 1
	fi
	complaint=$(harmful_complaint "$seen.console")
	{
		grep -a $'^saw\t' "$seen.out"
		# A guest that did not end, and said nothing, is no good news.
		if [ $status != 0 ] && [ "$complaint" = nothing ]; then
			printf 'saw\t%s\tbroken\tstatus %s without a complaint\n' "$title" $status
		fi
		printf 'saw\t%s\tkernel\t%s\n' "$title" "$complaint"
	} >"$seen"
}

# harmful [PATTERN]...: all of them, two boots at a time; their lines go to build/conformance/cases.WHO.
harmful() {
	local who name names pid running=() failed=0
	names=$(scripts/lab exec -- build/cargo/release/conformance cases --harmful --list "$@") || return
	rm -f "$out"/harmful.*
	for name in $names; do
		for who in bookworm original ours; do
			if [ ${#running[@]} -ge 2 ]; then
				wait "${running[0]}" || failed=1
				running=("${running[@]:1}")
			fi
			harmful_one $who "$name" &
			running+=($!)
		done
	done
	for pid in "${running[@]}"; do
		wait "$pid" || failed=1
	done
	for who in bookworm original ours; do
		for name in $names; do
			[ ! -f "$out/harmful.$name.$who" ] || cat "$out/harmful.$name.$who"
		done >>"$out/cases.$who"
	done
	return $failed
}
