# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What must not stand on the console of a run. The command's own verdict says nothing about the kernel: a run whose
# kernel complained has failed, whatever the command thought of it.

# Whole words where a longer one is harmless ("DEBUG:", the boot line "kfence: initialized").
MARKS='\bBUG:?\s|\bWARNING:|\bOops\b|\bRIP:|Call Trace|rcu: INFO|\bKFENCE\b|unreferenced object|rust_kernel: panic|panicked at|Kernel panic'
# The debug kernel's, and what shows that one of its detectors has given up.
MARKS+='|\bKASAN\b|\bODEBUG:|\bINFO: |\bref_tracker: |\brefcount_t: |LOCKUP|unregister_netdevice: waiting for'
MARKS+='|kmemleak: [0-9]+ new suspected|kmemleak: .*disabled'

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
		[    0.35] kasan: KernelAddressSanitizer initialized (generic)
		[    0.36] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar
		[    0.37] kmemleak: Kernel memory leak detector initialized (mem pool available: 39612)
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
		BUG kmalloc-64 (Tainted: G           O       ): Poison overwritten
		BUG: KASAN: slab-use-after-free in f+0x1/0x2
		==== KASAN: maybe wild-memory-access in range [0x0-0x7]
		WARNING: possible circular locking dependency detected
		WARNING: suspicious RCU usage
		BUG: sleeping function called from invalid context at mm/slab.h:1
		BUG: MAX_LOCKDEP_KEYS too low!
		INFO: trying to register non-static key.
		INFO: lockdep is turned off.
		ODEBUG: free active (active state 0) object: 000000001 object type: timer_list hint: f+0x0/0x1
		INFO: task rmmod:77 blocked for more than 120 seconds.
		watchdog: BUG: soft lockup - CPU#0 stuck for 61s! [rmmod:77]
		watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 0
		BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!
		ref_tracker: reference already released.
		ref_tracker: net notrefcnt@000000001 has 1/1 users at
		refcount_t: underflow; use-after-free.
		unregister_netdevice: waiting for eth0 to become free. Usage count = 2
		kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
		kmemleak: Kernel memory leak detector disabled
	END
	[ $bad = 0 ] || return 1
	echo "crash marks: $count planted, $count seen; the good console passes"
}
