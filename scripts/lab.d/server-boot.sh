# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The server's boots, for make upgrade. Apart from its making, so that it is not made anew when these change.

# server_boot DISK STEP SECONDS [WORDS]: one boot, from the disk's own kernel as a boot loader would take it, with WORDS on
# its command line. Nothing of ours is on the disk for it: the unit that runs STEP when everything is up is handed over by
# the board.
server_boot() {
	local disk=$1 step=$2 limit=$3 words=${4:-} run=$BUILD/upgrade/$2 file path rc=0
	host_check
	versions_have
	server_have
	accel_have
	rm -rf "$run"
	mkdir -p "$run"
	for file in vmlinuz:vmlinuz initrd.img:initramfs; do
		path=$(debugfs -R "stat /${file%:*}" "$disk" 2>/dev/null | sed -n 's/^Fast link dest: "\(.*\)"/\1/p')
		say "$step: the disk boots ${path:-nothing, for it has no /${file%:*}}"
		debugfs -R "dump /$path $run/${file#*:}" "$disk" 2>/dev/null
	done
	cat >"$run/unit" <<-END
		[Unit]
		Description=$step
		After=multi-user.target
		[Service]
		Type=oneshot
		StandardOutput=file:/dev/virtio-ports/clusterip.out
		StandardError=inherit
		ExecStart=mkdir -p /run/lab
		ExecStart=mount -o ro /dev/disk/by-id/virtio-payload /run/lab
		ExecStart=-bash /run/lab/steps/$step
		ExecStart=systemctl --no-block poweroff
	END
	# shellcheck disable=SC2034  # qemu_args reads it
	IMAGE_DIR=$run
	CONSOLE=$run/console.log
	: >"$CONSOLE"
	qemu_args 2G 2 "$run/verdict" "$CONSOLE"
	# Checks of memory are for the module's own tests; here compilers run.
	APPEND="${APPEND/slub_debug=FZPU/} mitigations=off"
	server_drive root "format=raw,cache=unsafe,file=$disk"
	server_drive archive "format=raw,readonly=on,file=$SERVER_DIR/repository.img"
	server_drive payload "format=raw,readonly=on,file=$BUILD/upgrade/payload.img"
	QEMU+=(-chardev "file,id=out,path=$run/out" -device "virtserialport,chardev=out,name=clusterip.out"
		-netdev "dgram,id=wire,local.type=unix,local.path=$BUILD/upgrade/guest,remote.type=unix,remote.path=$BUILD/upgrade/outside"
		-device "virtio-net-pci,netdev=wire,mac=02:00:00:00:00:11"
		-smbios "type=11,value=io.systemd.credential.binary:systemd.extra-unit.step.service=$(base64 -w0 "$run/unit")")
	setpriv --pdeathsig KILL timeout --foreground -k 2 "$limit" setpriv --pdeathsig KILL "${QEMU[@]}" \
		-append "root=LABEL=root ro net.ifnames=0 $APPEND systemd.wants=step.service $words" </dev/null || rc=$?
	marks_search "$CONSOLE" || rc=3
	[ "$rc" = 0 ] || tail -n 25 "$CONSOLE" | sed 's/^/  | /' >&2
	rm -f "$run"/{vmlinuz,initramfs}
	return "$rc"
}

server_drive() {
	QEMU+=(-drive "if=none,id=$1,$2" -device "virtio-blk-pci,drive=$1,serial=$1")
}

# server_trees DISK: what the ready disk has, for the pristine one.
server_trees() {
	host_check
	versions_have
	server_have
	# shellcheck disable=SC2016  # expanded in there
	in_ns sh -ec '
		from=$(mktemp -d)
		to=$(mktemp -d)
		mount -o loop,ro "$1" "$from"
		mount -o loop "$2" "$to"
		cp -a "$from/var/cache/clusterip" "$to/var/cache"
		umount "$from" "$to"
		rmdir "$from" "$to"' sh "$SERVER_DIR/ready.img" "$1"
}
