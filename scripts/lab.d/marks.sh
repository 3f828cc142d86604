# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What must not stand on the console of a run. The command's own verdict says nothing about the kernel: a run whose
# kernel complained has failed, whatever the command thought of it.

# Whole words where a longer one is harmless ("DEBUG:", the boot line "kfence: initialized").
MARKS='\bBUG:|\bWARNING:|\bOops\b|\bRIP:|Call Trace|rcu: INFO|\bKFENCE\b|unreferenced object|rust_kernel: panic|panicked at|Kernel panic'

# marks_search CONSOLE: fails, and shows the lines, when there is any.
marks_search() {
	local console=$1 found
	found=$(grep -aEn -A 12 -- "$MARKS" "$console" | head -n 80) || true
	[ -n "$found" ] || return 0
	say "crash marks on the console (kept in build/${CONSOLE_KEPT:-console.log}):"
	sed 's/^/  | /' <<<"$found" >&2
	return 1
}

# Every mark, planted in the middle of a good console, must fail the search; the good console must not.
marks_selftest() {
	local tmp line bad=0 count=0
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064  # this very directory
	trap "rm -rf $tmp" EXIT
	cat >"$tmp/good" <<-'END'
		[    0.10] kfence: initialized - using 2097152 bytes for 255 objects
		[    0.20] Command line: panic_on_warn=1 panic=-1 kfence.sample_interval=100
		[    0.30] DEBUG: a word that ends in a mark
		[    0.40] ipt_CLUSTERIP: loading out-of-tree module taints kernel.
		[    9.90] lab: end of run
	END
	marks_search "$tmp/good" 2>/dev/null || {
		say "selftest: a good console was refused"
		bad=1
	}
	while read -r line; do
		sed "3a [    0.35] $line" "$tmp/good" >"$tmp/planted"
		count=$((count + 1))
		if marks_search "$tmp/planted" 2>/dev/null; then
			say "selftest: not seen: $line"
			bad=1
		fi
	done <<-'END'
		BUG: kernel NULL pointer dereference, address: 0000000000000000
		WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 f+0x1/0x2
		WARNING: net/core/dev.c:1 at f+0x1/0x2, CPU#0: bash/1
		Oops: Oops: 0002 [#1] SMP NOPTI
		RIP: 0010:clusterip_target+0x1/0x2
		Call Trace:
		rcu: INFO: rcu_preempt self-detected stall on CPU
		BUG: KFENCE: use-after-free read in f+0x1/0x2
		KFENCE: out of bounds
		unreferenced object 0xffff888100000000 (size 64):
		rust_kernel: panicked at src/clusterip.rs:1:1:
		thread 'main' panicked at src/clusterip.rs:1:1:
		Kernel panic - not syncing: kernel: panic_on_warn set ...
	END
	[ $bad = 0 ] || return 1
	echo "crash marks: $count planted, $count seen; the good console passes"
}
