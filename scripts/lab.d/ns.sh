# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Running something in a root. Mounts live in a mount namespace and processes in a PID namespace of the one command:
# when it ends, however it ends (Ctrl-C, kill -9 of the lab), both are gone with it.

# PID 1 of the namespace. It stays a shell: PID 1 ignores the signals it has no handler for, its child does not.
# shellcheck disable=SC2016  # expanded in there
NS_SCRIPT='
	set -eu
	trap "exit 130" INT TERM
	root=$1 mode=$2 count=$3
	shift 3
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/tmp"
	mount -t tmpfs tmpfs "$root/run"
	for file in /etc/resolv.conf "${LAB_CA:-/etc/ssl/certs/ca-certificates.crt}"; do
		target=$root$file
		[ "$file" = /etc/resolv.conf ] || target=$root/etc/ssl/certs/ca-certificates.crt
		if [ -s "$file" ] && [ -f "$target" ]; then
			mount --bind "$(readlink -f "$file")" "$target"
		fi
	done
	while [ "$count" -gt 0 ]; do
		IFS=: read -r from to access <<-END
			$1
		END
		mount --bind "$from" "$root$to"
		if [ "$access" = ro ]; then
			mount -o remount,bind,ro "$root$to"
		fi
		shift
		count=$((count - 1))
	done
	if [ "$mode" = ro ]; then
		mount -o remount,bind,ro "$root"
	fi
	rc=0
	chroot "$root" /bin/sh -c "cd \"\$1\" && shift && exec \"\$@\"" sh "$@" || rc=$?
	exit $rc
'

# in_root ROOT ro|rw [-b FROM:TO[:ro]]... DIRECTORY COMMAND...
in_root() {
	local root=$1 mode=$2 binds=() name keep=()
	shift 2
	while [ "$1" = -b ]; do
		binds+=("$2")
		shift 2
	done
	# A clean environment, but for what reaches the network and the terminal.
	for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY TERM; do
		[ -z "${!name:-}" ] || keep+=("$name=${!name}")
	done
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child -- env -i "${keep[@]}" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 \
		LAB_CA="$(host_ca)" SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
		CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
		CARGO_HOME=/cargo CARGO_TARGET_DIR=/src/build/cargo \
		bash -c "$NS_SCRIPT" lab "$root" "$mode" "${#binds[@]}" "${binds[@]}" "$@"
}

# in_over ROOT SCRATCH [-b FROM:TO[:ro]]... DIRECTORY COMMAND...: as in_root, but what is written to the root is lost in the end.
in_over() {
	# shellcheck disable=SC2016  # expanded in there
	in_ns bash -c '
		set -e
		root=$1 over=$2 self=$3
		shift 3
		mount -t tmpfs tmpfs "$over"
		mkdir "$over/upper" "$over/work" "$over/root"
		mount -t overlay overlay -o "lowerdir=$root,upperdir=$over/upper,workdir=$over/work" "$over/root"
		"$self" __stage in_root "$over/root" rw "$@"' over "$1" "$2" "$LAB_SELF" "${@:3}"
}

# in_ns COMMAND...: on the host's root, in namespaces of its own.
in_ns() {
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc -- "$@"
}

# The host's certificates: behind an inspecting proxy the root's own do not do.
host_ca() {
	local file
	for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
		if [ -n "$file" ] && [ -s "$file" ]; then
			echo "$file"
			return
		fi
	done
}

# lab_exec [--] COMMAND...: in the build root.
lab_exec() {
	[ "${1:-}" != -- ] || shift
	[ $# -gt 0 ] || die "exec" "no command given" "scripts/lab exec -- COMMAND ARGS"
	lab_setup
	build_root_run "$@"
}

# The build root with the tree, the kernel and a cargo home; DIRECTORY is /src.
build_root_run() {
	mkdir -p "$BUILD" "$CACHE/cargo"
	in_root "$ROOT_DIR" ro -b "$TREE:/src" -b "$KERNEL_DIR:/kernel:ro" -b "$CACHE/cargo:/cargo" /src "$@"
}
