# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For the parts that are a Pacemaker cluster in one guest: pacemaker, agent.
# shellcheck disable=SC2154  # passed, failed, skipped are those of scripts/lanes.sh

# shellcheck source=/dev/null
. scripts/lanes.sh
# shellcheck source=/dev/null
. scripts/pages.sh # write_table

# Its own, for another part may run at the same time.
payload=build/ha/${0##*/}.payload

# build: the program, after its own tests; ends the part when it does not build.
build() {
	mkdir -p "$payload"
	if ! {
		flock 8 && # another part may be building the same
			scripts/lab build &&
			scripts/lab exec -- cargo test --locked --release --quiet -p pacemaker &&
			scripts/lab exec -- cargo build --locked --release --quiet -p pacemaker &&
			install -m 644 "$(scripts/lab module-path)" "$payload/ipt_CLUSTERIP.ko" &&
			install -m 755 build/cargo/release/pacemaker userspace/ocf/ClusterIP "$payload"
	} 8>build/ha/building >"$payload.log" 2>&1; then
		tail -n 20 "$payload.log"
		echo "the program does not build, or its own tests fail"
		echo "0 passed, 1 failed"
		exit 1
	fi
}

# in_guest SUITE LIMIT ARGS...: boots that suite's root and runs the program in it; LIMIT is for a very busy machine.
# The guest's clock counts instructions, so that its seconds do not depend on what else the machine does.
in_guest() {
	local suite=$1 limit=$2
	shift 2
	scripts/lab boot --icount --append transparent_hugepage=never --root "$suite" --payload "$payload" --mem 2G \
		--timeout "$limit" --console "ha/$1-$suite.console" -- /opt/clusterip/pacemaker "$@"
}

# written LOG: with WRITE=1 the table of that log goes into docs/pacemaker.md, between its markers.
written() {
	local page=docs/pacemaker.md
	[ "${WRITE:-}" = 1 ] || return 0
	grep '^| ' "$1" | write_table "$page" measured || echo "no table was measured; $page stays as it is"
}

# close: the last line; its status is the part's.
close() {
	sum "$passed" "$failed" "$skipped"
	echo
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
