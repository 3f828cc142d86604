# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# iptables' own lines through save and restore, with the iptables of three suites of Debian against our module.
# shellcheck disable=SC2154  # out is scripts/conformance's

# One boot. The three roots (48 MB) are in a payload that no other boot has to unpack.
lane_roundtrip() {
	local suite root dir=$out/payload.roundtrip status=0
	mkdir -p "$dir/iptables"
	cp -a "$out/payload.ours/." "$dir"
	cp tests/conformance/differences "$dir"
	for suite in bookworm trixie forky; do
		root=$(scripts/lab iptables-path "$suite") || return
		rm -rf "$dir/iptables/$suite"
		cp -a "$root" "$dir/iptables/$suite"
	done
	# In the short form only the lines of iptables' own test file, and that it is this iptables.
	# shellcheck disable=SC2086  # words
	guests lines roundtrip roundtrip --roots iptables --differences differences ${SHORT:+own this} || status=$?
	tail -n 1 "$out/lines.roundtrip"
	return $status
}
