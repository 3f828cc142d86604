# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For the parts that are one program, booted on the stock kernel and on the debug kernel: churn, soak.
# shellcheck disable=SC2154  # PART is the part's name

# shellcheck source=/dev/null
. scripts/lanes.sh

# stretched NUMBER: times STRETCH, as a whole number.
stretched() {
	awk -v number="$1" -v times="${STRETCH:-1}" 'BEGIN { print int(number * times + 0.5) }'
}

# program: builds it, after the tests of what it judges by; ends the part when it does not build.
program() {
	mkdir -p "build/$PART"
	if ! {
		scripts/lab exec -- cargo test --locked --release --quiet -p churn &&
			scripts/lab exec -- cargo build --locked --release --quiet -p churn
	} >"build/$PART/tests" 2>&1; then
		tail -n 20 "build/$PART/tests"
		echo "the program does not build, or its own tests fail"
		echo "0 passed, 1 failed"
		exit 1
	fi
}

# payload KERNEL: the program, and the module for that kernel.
payload() {
	local module=${MODULE:-} to=build/$PART/payload.$1
	if [ -z "$module" ]; then
		scripts/lab build || return
		module=$(scripts/lab module-path)
	fi
	mkdir -p "$to"
	install -m 644 "$module" "$to/ipt_CLUSTERIP.ko" || return
	install -m 755 build/cargo/release/churn "$to"
}

# one KERNEL LIMIT ARGS...: boots it (stock or debug) and runs the program with ARGS. LIMIT is in seconds, for a machine
# that is not busy.
one() {
	local kernel=$1 limit=$2 patience=1
	shift 2
	if [ "$kernel" = debug ]; then
		export DEBUG=1
		patience=10
	fi
	payload "$kernel" || return
	scripts/lab boot ${SHORT:+--mem 1G} --timeout $((limit * 3)) --console "$PART/$kernel.console" --payload "build/$PART/payload.$kernel" -- \
		env PATIENCE=$patience /opt/clusterip/churn "$@"
}

# on KERNEL LIMIT ARGS...: the same as a lane of its own. The debug kernel may not be there; a module that was given is
# for the stock kernel.
on() {
	local kernel=$1
	if [ "$kernel" = debug ] && [ -n "${MODULE:-}" ]; then
		return
	elif [ "$kernel" = debug ] && ! DEBUG=1 scripts/lab debug-have 2>/dev/null; then
		left_out "$3, debug kernel" "it is not in the cache; scripts/lab debug-kernel makes it"
	else
		lane "$3, $kernel kernel" "$3-$kernel" one "$@"
	fi
}

# close: the last line; its status is the part's.
close() {
	sum "$passed" "$failed" "$skipped"
	echo
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
