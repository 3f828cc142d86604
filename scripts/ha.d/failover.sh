# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For the parts of make ha that are tests of one program, failover-tests: keepalived, strongswan, articles, ssh.

# shellcheck source=/dev/null
. scripts/pages.sh # write_table

# failover_payload DIR: what the guest gets.
failover_payload() {
	local to=$1 log=build/log/failover-build.log
	rm -rf "$to"
	mkdir -p "$to/failover" "$to/xtables" build/log build/ha
	if ! {
		flock 8 && # another part may be building the same
			scripts/lab build && scripts/extension build && scripts/command build &&
			scripts/lab exec -- cargo test --locked --release --quiet -p failover &&
			scripts/lab exec -- cargo build --locked --release --quiet -p failover
	} 8>build/ha/building >"$log" 2>&1; then
		tail -n 30 "$log"
		echo "the program does not build, or its own tests fail"
		return 1
	fi
	install -m 644 "$(scripts/lab module-path)" "$to/ipt_CLUSTERIP.ko" &&
		install -m 644 build/extension/libipt_CLUSTERIP.so "$to/xtables" &&
		install -m 755 build/cargo/release/failover-tests build/command/clusterip "$to" &&
		install -m 644 tests/failover/*.sh "$to/failover" &&
		cp -r userspace/keepalived "$to"
}

# failover_run NAME LIMIT [COMMAND]: boots trixie's programs and runs the tests named so, after COMMAND, a line of shell.
# LIMIT is in seconds, for a machine that is not busy. The last line is the sum; 0 failed is success.
failover_run() {
	local name=$1 limit=$2 before=${3:-true} payload=build/ha.$1
	failover_payload "$payload" || {
		echo "0 passed, 1 failed"
		return 1
	}
	# shellcheck disable=SC2016  # expanded in the guest
	scripts/lab boot --steady --root trixie --payload "$payload" --mem 2G --timeout $((limit * 4)) --console "ha-$name.log" -- \
		env ROUNDS="${ROUNDS:-1}" PATIENCE="${PATIENCE:-1}" \
		XTABLES_LIBDIR=/opt/clusterip/xtables:/usr/lib/x86_64-linux-gnu/xtables \
		bash -c "$before"' && exec ./failover-tests "$0"' "${name}_"
}
