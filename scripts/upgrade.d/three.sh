# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# README's three commands, as typed, with what they print; then the cluster's address. For a machine that has eth0.

three_commands() {
	# shellcheck disable=SC2016  # expanded as it is typed
	typed "the packages install, and DKMS builds" 'apt-get install --no-install-recommends ./clusterip-dkms_*.deb ./iptables-clusterip_*.deb \
    linux-headers-$(uname -r) linux-source-$(uname -r | cut -d. -f1-2)'
	typed "iptables is the legacy one" 'update-alternatives --set iptables /usr/sbin/iptables-legacy'
	check "the module is not loaded before it is needed" [ ! -d /sys/module/ipt_CLUSTERIP ]
	typed "the rule brings it" 'iptables -I INPUT -d 10.0.0.80 -i eth0 -j CLUSTERIP --new --hashmode sourceip \
    --clustermac 01:00:5e:00:00:50 --total-nodes 3 --local-node 1'
	check "it is DKMS's, for this kernel" module_is_ours
	check "the probe has no objection" clusterip-probe
	check "the addresses come" network
	check "the node holds 1" holds 1
}

# Without its rule the node would answer for the address by its own MAC, and all alone: no rule, no address.
network() {
	cat >/etc/network/interfaces.d/eth0 <<-END
		auto eth0
		iface eth0 inet static
		address 10.0.0.11/24
		up if test -e $FILE; then ip address add $VIP/32 dev eth0; fi
	END
	ifup eth0
}

kernel_has_none() {
	! modinfo ipt_CLUSTERIP
}
