# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# QEMU: which accelerator, and the command line shared by every boot.

# /dev/kvm can be there and still not run a stock kernel (nested, restricted, emulated), so it is tried with the real
# one. The answer holds until the machine boots again.
accel_have() {
	local boot verdict
	boot=$(</proc/sys/kernel/random/boot_id)
	verdict=$CACHE/accel-$boot
	if [ ! -s "$verdict" ]; then
		rm -f "$CACHE"/accel-*
		echo tcg >"$verdict.new"
		if [ -w /dev/kvm ]; then
			slow "trying KVM" 5 accel_probe "$verdict.new"
		fi
		mv "$verdict.new" "$verdict"
		say "accelerator: $(<"$verdict")"
	fi
	ACCEL=$(<"$verdict")
}
export IMAGE_DIR # the probe runs in a shell of its own

# accel_probe FILE: writes kvm to it if KVM boots the kernel. That it does not is no failure of anything.
accel_probe() {
	local file=$1 dir
	dir=$(mktemp -d)
	# shellcheck disable=SC2064  # this very directory
	trap "rm -rf $dir" EXIT
	: >"$dir/verdict"
	ACCEL=kvm
	qemu_args 512M 1 "$dir/verdict" "$dir/console"
	timeout --foreground -k 2 15 setpriv --pdeathsig KILL "${QEMU[@]}" -append "$APPEND lab.probe" || true
	if grep -q booted "$dir/verdict"; then
		echo kvm >"$file"
	fi
	cat "$dir/console" || true # for the log
}

# What every guest is booted with: a warning ends the run, freed memory is poisoned and checked, KFENCE samples often;
# norandmaps makes programs start four times faster under TCG.
CMDLINE="console=ttyS0 panic_on_warn=1 panic=-1 slub_debug=FZPU kfence.sample_interval=100 norandmaps
	random.trust_cpu=on loglevel=7"
CMDLINE=$(tr -s '\n\t' ' ' <<<"$CMDLINE")

# Under TCG the kernel measures the TSC while the host may be busy: seen fifty times too slow, so that the guest's
# clock ran fifty times too fast. The clock of the board is right, and no dearer there.
# There too a timer can fail the kernel's test of it, and the kernel give up: hence no test.
TCG_CMDLINE="tsc=unstable clocksource=acpi_pm no_timer_check"

# Under TCG both CPUs run on one host thread. With a thread each, QEMU 7.2 now and then keeps a stale translation of
# code that the kernel has just patched (static keys, on every hook and module): "Oops: int3", in one boot of seven on
# a busy machine. The speed is the same there; TCG_THREADS=multi has it anyway.
TCG_THREADS=${TCG_THREADS:-single}

# For `boot --icount`: the guest's clock counts executed instructions, one a nanosecond, so that times are the same on a
# busy machine and on any machine. It needs one processor and no KVM. No checks and no mitigations, for they would be
# measured too; the TSC is the clock, since it is that counter and nothing has to be measured against it.
ICOUNT_CMDLINE="console=ttyS0 panic_on_warn=1 panic=-1 norandmaps random.trust_cpu=on loglevel=7
	kfence.sample_interval=0 mitigations=off clocksource=tsc tsc=reliable"
ICOUNT_CMDLINE=$(tr -s '\n\t' ' ' <<<"$ICOUNT_CMDLINE")

# For `boot --steady`: that clock with all checks, and a guest that waits does so in real time, as disks do. Nobody in it
# misses a heartbeat because the machine had other things to do.

# qemu_args MEMORY CPUS VERDICT CONSOLE: sets QEMU and APPEND; the caller adds drives, ports and -append.
qemu_args() {
	QEMU=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -machine q35 -m "$1" -smp "$2")
	if [ "$ACCEL" = icount ]; then
		QEMU+=(-accel tcg -icount "shift=0,sleep=off" -cpu max)
		APPEND=$ICOUNT_CMDLINE
	elif [ "$ACCEL" = steady ]; then
		QEMU+=(-accel tcg -icount "shift=0,sleep=on" -cpu max)
		APPEND="$CMDLINE clocksource=tsc tsc=reliable"
	elif [ "$ACCEL" = kvm ]; then
		QEMU+=(-accel kvm -cpu host)
		APPEND=$CMDLINE
	else
		QEMU+=(-accel "tcg,thread=$TCG_THREADS" -cpu max)
		APPEND="$CMDLINE $TCG_CMDLINE"
	fi
	APPEND+=" $DEBUG_CMDLINE"
	QEMU+=(-kernel "$IMAGE_DIR/vmlinuz" -initrd "$IMAGE_DIR/initramfs" -serial "file:$4"
		-device virtio-serial-pci -chardev "file,id=verdict,path=$3"
		-device "virtserialport,chardev=verdict,name=clusterip.verdict")
}
