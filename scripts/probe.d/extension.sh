# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Whether iptables will find libipt_CLUSTERIP.so. Where it does not, it takes --new for its own --new-chain and says
# "chain name not allowed to start with `-'", which helps nobody.

# Where this iptables looks: the directories of XTABLES_LIBDIR, or else the distribution's alone.
extension_places() {
	if [ -n "${XTABLES_LIBDIR:-}" ]; then
		printf '%s\n' "$XTABLES_LIBDIR" | tr : '\n'
		return
	fi
	for dir in "$MACHINE_ROOT"/usr/lib/*-linux-gnu/xtables "$MACHINE_ROOT/usr/lib64/xtables" "$MACHINE_ROOT/usr/lib/xtables"; do
		# what all rules need is there
		[ ! -e "$dir/libxt_standard.so" ] || echo "$dir"
	done
}

probe_extension() {
	if ! iptables=$(command -v iptables-legacy); then
		extension "there is no iptables here, which rules are made by; install iptables."
		return
	fi
	found=
	places=
	for dir in $(extension_places); do
		places="$places $dir"
		[ ! -e "$dir/libipt_CLUSTERIP.so" ] || found=yes
	done
	if [ -z "$found" ]; then
		extension "iptables will not find libipt_CLUSTERIP.so (looked in:${places:- no place at all}), and will say \"chain name not" \
			"allowed to start with \`-'\"; $(extension_remedy)"
	fi
	case $(readlink -f "$(dirname "$iptables")/iptables" 2>/dev/null) in
	*nft*) note "iptables here is iptables-nft: let rules say --vip and --dev (our extension), or use iptables-legacy, and iptables-legacy-restore." ;;
	esac
}

extension_remedy() {
	for dir in "$MACHINE_ROOT/usr/local/lib/clusterip/xtables" "$MACHINE_ROOT/usr/lib/clusterip/xtables"; do
		if [ -e "$dir/libipt_CLUSTERIP.so" ]; then
			XTABLES_LIBDIR=
			echo "it is in $dir: export XTABLES_LIBDIR=$dir:$(extension_places | head -n 1)"
			return
		fi
	done
	echo "install the package iptables-clusterip, or run make install."
}
