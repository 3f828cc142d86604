# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel itself says: its headers, and how it was configured. No package changes the latter.

# The abstractions that src/ is written on are those of this kernel.
OLDEST=7.2

probe_headers() {
	if [ "$(printf '%s\n' "$OLDEST" "$(kernel_series)" | sort -V | head -n 1)" != "$OLDEST" ]; then
		never "$KVER is older than $OLDEST, the first kernel whose Rust parts the module can use."
		return 1 # what it calls its options would be another question
	fi
	if [ ! -e "$KDIR" ]; then
		missing "$(package headers)" -- "there are no headers of $KVER in $KDIR."
		return 1
	elif [ ! -f "$CONFIG" ] || [ ! -f "$KDIR/Module.symvers" ]; then
		missing "$(package headers)" -- "$KDIR has no .config or no Module.symvers: it is a kernel tree that was not built," \
			"or half of a package."
		return 1
	fi
	release=$(headers_release)
	if [ "$release" != "$KVER" ]; then
		missing "$(package headers)" -- "$KDIR holds the headers of ${release:-an unknown kernel}, not of $KVER: what is" \
			"built with them would not load."
		return 1
	fi
}

# needed NAME SENTENCE: y or m.
needed() {
	case $(setting "$1") in
	y | m) ;;
	*) never "$2 (CONFIG_$1 is off)." ;;
	esac
}

probe_config() {
	case $(setting X86_64)$(setting ARM64) in
	y) [ "$(setting ARM64)" != y ] || note "nobody has tried the module on ARM." ;;
	*) never "this is no 64-bit x86 or ARM kernel, and the module is made for these." ;;
	esac
	needed MODULES "this kernel loads no modules"
	needed RUST "this kernel was built without Rust; Debian's have it from 7.2 on"
	if [ "$(setting PREEMPT_RT)" = y ] && [ -z "$(setting NETFILTER_XTABLES_LEGACY)" ]; then
		never "this is a real-time kernel (CONFIG_PREEMPT_RT), and those have no legacy tables; CLUSTERIP is a rule in one."
	else
		needed NETFILTER_XTABLES_LEGACY "this kernel has no legacy tables; CLUSTERIP is a rule in one"
		needed IP_NF_IPTABLES_LEGACY "this kernel has no legacy tables for IPv4; CLUSTERIP is a rule in one"
	fi
	needed NF_CONNTRACK "this kernel has no connection tracking, by which a connection stays with its node"
	needed NF_CONNTRACK_MARK "this kernel has no connection marks, in which the target keeps a connection's node"
	needed NETFILTER_FAMILY_ARP "this kernel has no netfilter hooks for ARP, through which all nodes answer with one MAC"
	needed PROC_FS "this kernel has no /proc, where a VIP's file is"
}

# What is no obstacle to a build, but to the module afterwards.
probe_signing() {
	if [ "$(setting MODULE_SIG_FORCE)" = y ]; then
		note "this kernel loads signed modules only (CONFIG_MODULE_SIG_FORCE): sign the module with a key that it knows."
	elif [ "$KVER" = "$(uname -r)" ] && secure_boot; then
		note "Secure Boot is on: the kernel refuses the module unless it is signed with a key that the firmware knows (MOK)."
	fi
}

# The variable's fifth byte is its value.
secure_boot() {
	for file in "$MACHINE_ROOT"/sys/firmware/efi/efivars/SecureBoot-*; do
		if [ -r "$file" ] && [ "$(od -An -tu1 -j4 -N1 "$file" | tr -d ' ')" = 1 ]; then
			return 0
		fi
	done
	return 1
}
