# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One boot of the guest: payload in, command run, its output live, its exit code ours.

lab_boot() {
	local payload=$BUILD/payload${DEBUG:+-debug} memory=$GUEST_MEMORY cpus=2 limit=600 append='' start=$SECONDS image='' root='' icount=''
	CONSOLE_KEPT=console.log
	while [ $# -gt 0 ]; do
		case $1 in
		--) shift && break ;;
		--payload) payload=$2 ;;
		--mem) memory=$2 ;;
		--smp) cpus=$2 ;;
		--timeout) limit=$2 ;;
		--append) append=$2 ;;
		--console) CONSOLE_KEPT=$2 ;;
		--image) image=$2 ;;
		--root) root=$2 ;;
		--icount)
			icount=icount
			shift
			continue
			;;
		--steady)
			icount=steady
			shift
			continue
			;;
		-*) die "boot" "there is no option $1" "scripts/lab help lists them" ;;
		*) break ;;
		esac
		shift 2
	done
	[ $# -gt 0 ] || die "boot" "no command given" "scripts/lab boot [OPTIONS] -- COMMAND ARGS"
	lab_setup
	if [ -n "$icount" ]; then
		ACCEL=$icount cpus=1
	fi
	case $image in
	'') ;;
	"$ORACLE_SUITE") oracle_image_have && RELEASE=$ORACLE_RELEASE ;;
	*) die "boot" "there is no image '$image'" "the only one beside the suite's own is $ORACLE_SUITE" ;;
	esac
	[ -z "$root" ] || ha_root_have "$root"
	boot_files "$payload"
	{
		printf 'exec'
		printf ' %q' "$@"
		echo
	} >"$RUN/tree/lab/command"
	printf "LAB_SHELL=\n" >"$RUN/tree/lab/environment"
	boot_drive "$payload"

	local rc=0 reader out
	mkfifo "$RUN/out"
	exec {out}<>"$RUN/out" # held open: neither end waits for the other
	cat <"$RUN/out" {out}>&- &
	reader=$!
	qemu_args "$memory" "$cpus" "$RUN/verdict" "$CONSOLE"
	boot_drives
	QEMU+=(-chardev "file,id=out,path=$RUN/out" -device "virtserialport,chardev=out,name=clusterip.out")
	say "booting $RELEASE ($ACCEL, $cpus CPUs, $memory) $((SECONDS - start)) s after the start"
	start=$SECONDS
	setpriv --pdeathsig KILL timeout --foreground -k 2 "$limit" setpriv --pdeathsig KILL \
		"${QEMU[@]}" -append "$APPEND $append" </dev/null {out}>&- || rc=$?
	exec {out}>&-
	wait $reader || true
	boot_verdict $rc "$limit" $((SECONDS - start))
}

# lab_vm: the same guest with a shell on a console of its own.
lab_vm() {
	local payload=$BUILD/payload${DEBUG:+-debug} saved
	[ -t 0 ] || die "vm" "standard input is not a terminal" "run make vm from a terminal"
	CONSOLE_KEPT=console.log
	lab_setup
	boot_files "$payload"
	cat >"$RUN/tree/lab/command" <<-'END'
		modprobe ipt_CLUSTERIP || echo "the module did not load"
		if [ -x demo/topology.sh ]; then
			demo/topology.sh up
		fi
		echo
		echo "The module is loaded. 'exit' switches the guest off."
		exec bash -i
	END
	printf "LAB_SHELL=yes\nLAB_TERM=%q\nLAB_SIZE=%q\n" "${TERM:-linux}" "$(stty size)" >"$RUN/tree/lab/environment"
	boot_drive "$payload"
	qemu_args "$GUEST_MEMORY" 2 "$RUN/verdict" "$CONSOLE"
	boot_drives
	QEMU+=(-chardev "stdio,id=shell,signal=off" -device "virtconsole,chardev=shell")
	saved=$(stty -g)
	setpriv --pdeathsig KILL "${QEMU[@]}" -append "$APPEND" || true
	stty "$saved"
	marks_search "$CONSOLE"
}

# RUN: what one boot needs, gone afterwards; only its console stays, as build/$CONSOLE_KEPT.
boot_files() {
	[ -d "$1" ] || die "boot" "there is no payload directory $1" "build it first: make demo or make test does"
	mkdir -p "$BUILD"
	local left
	for left in "$BUILD"/run.*; do # of a run that was killed: nothing could tidy up then
		[ -d "/proc/${left##*.}" ] || rm -rf "$left"
	done
	RUN=$BUILD/run.$$
	mkdir "$RUN"
	# shellcheck disable=SC2064  # this very directory
	trap "mv '$RUN/console.log' '$BUILD/$CONSOLE_KEPT'; rm -rf '$RUN'" EXIT
	trap 'exit 130' INT
	CONSOLE=$RUN/console.log
	: >"$CONSOLE"
	: >"$RUN/verdict"
	mkdir -p "$RUN/tree/lab"
	install -m 755 "$LABD/guest-init" "$RUN/tree/lab/init"
}

# One tar, written to a drive as it is: the payload, the module where modprobe looks, the lab's own files.
boot_drive() {
	local payload=$1
	tar -c -f "$RUN/payload.tar" --owner=0 --group=0 --transform 's,^\.,opt/clusterip,S' -C "$payload" .
	tar -r -f "$RUN/payload.tar" --owner=0 --group=0 -C "$RUN/tree" lab
	if [ -f "$payload/ipt_CLUSTERIP.ko" ]; then
		module_depmod "$payload/ipt_CLUSTERIP.ko"
		tar -r -f "$RUN/payload.tar" --owner=0 --group=0 -C "$DEPMOD_DIR" "usr/lib/modules/$RELEASE"
	fi
}

boot_drives() {
	local file
	for file in "$GUEST_DIR/root.squashfs" "$IMAGE_DIR/modules.squashfs" "$RUN/payload.tar"; do
		QEMU+=(-drive "if=virtio,format=raw,readonly=on,file=$file")
		# While a guest that counts instructions waits for the disk, its clock runs on to the next timer: it must not wait long.
		[ "$ACCEL" != icount ] || cat "$file" >/dev/null
	done
}

# boot_verdict QEMU-STATUS LIMIT SECONDS: the command's status, or a failure when there is none or the kernel complained.
boot_verdict() {
	local rc=$1 limit=$2 took=$3 verdict marks=0
	verdict=$(tr -dc 0-9 <"$RUN/verdict")
	marks_search "$CONSOLE" || marks=1
	if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
		say "no end within $limit s; the console's end:"
	elif [ "$rc" != 0 ]; then
		say "QEMU failed with status $rc; the console's end:"
	elif [ -z "$verdict" ]; then
		say "the guest ended without a verdict; the console's end:"
	elif ! grep -aq 'lab: end of run' "$CONSOLE"; then
		say "the guest gave a verdict, but its kernel did not get to the end; the console's end:"
	else
		say "guest done in $took s, status $verdict"
		[ $marks = 0 ] || return 3
		return "$verdict"
	fi
	tail -n 25 "$CONSOLE" | sed 's/^/  | /' >&2
	return 3
}
