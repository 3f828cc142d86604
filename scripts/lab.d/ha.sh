# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Roots of the guest with its users' software, as a release ships it: Pacemaker and its agents, keepalived, strongSwan.
# Nothing of it is patched. Only make ha boots them; they are made when they are first asked for, and anew each month.

HA_WANTED="pacemaker pacemaker-cli-utils corosync resource-agents crmsh keepalived strongswan-charon strongswan-swanctl
	libcharon-extra-plugins net-tools lighttpd curl psmisc libxml2-utils openssh-server openssh-client"
HA_SUITES="trixie forky"

# ha_root_have SUITE: takes the place of the guest's own root.
ha_root_have() {
	local suite=$1
	[[ " $HA_SUITES " == *" $suite "* ]] ||
		die "root" "there is no root of '$suite' with its users' software" "there are: $HA_SUITES"
	cached GUEST_DIR "ha-$suite" "$(key "$(date +%Y-%m)" "$MIRROR" "$GUEST_WANTED" "$HA_WANTED" "$(<"$LABD/ha.sh")" \
		"$(declare -f guest_make make_root)")" \
		"making the guest's root with Pacemaker, keepalived and strongSwan ($suite)" 120 ha_root_make "$suite"
}

ha_root_make() {
	local GUEST="$GUEST_WANTED $HA_WANTED"
	with_suite "$1" guest_make "$2"
}
