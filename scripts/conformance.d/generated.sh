# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The lanes on generated input: the same input against the original and ours, on one kernel. Where they differ, the input
# is made small in one more boot, which has both modules, and what is left of it is shown.
# Sourced by scripts/conformance, which has these:
# shellcheck disable=SC2154  # out seed program packets frames steps

# Half of the time would go into the poisoning of freed memory, which the other lanes have.
lane_packets() {
	local log=$out/packets.log good bad more worse
	WORDS="slub_debug=-" generated packets --seed "$seed" --packets "$packets" | tee "$log" | grep --line-buffered -Ev '^[0-9]+ passed'
	read -r good _ bad _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" || echo "0 passed, 1 failed")
	WORDS="slub_debug=-" nftables | tee "$log" | grep --line-buffered -Ev '^[0-9]+ passed'
	read -r more _ worse _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" || echo "0 passed, 1 failed")
	echo "$((good + more)) passed, $((bad + worse)) failed"
	[ $((bad + worse)) = 0 ]
}

# The same packets, and the rules by iptables-nft and in revision 1, against what ours did with revision 0.
nftables() {
	local nft=$out/payload.ours-nft
	scripts/extension build >/dev/null || return
	rm -rf "$nft"
	cp -a "$out/payload.ours" "$nft"
	install -D -m 644 build/extension/libipt_CLUSTERIP.so "$nft/xtables/libipt_CLUSTERIP.so"
	guests packets ours-nft packets --nft --seed "$seed" --packets "$packets" || {
		echo "FAILED packets under nftables: the guest did not come to its end, or not with some of each kind of packet"
		echo "0 passed, 1 failed"
		return 1
	}
	echo "the same packets under nftables, by revision 1:"
	in_root compare --lane packets --differences /dev/null "$out/packets.ours" "$out/packets.ours-nft" | grep -v ^mismatch
}

# The module that hands frames to arp_xmit(), where the program finds it.
arp_module() {
	scripts/lab kbuild tests/arp-xmit arp-xmit || return
	install -m 644 build/arp-xmit/arp_xmit.ko "$out/payload.original"
	install -m 644 build/arp-xmit/arp_xmit.ko "$out/payload.ours"
}

lane_arp() {
	arp_module || return
	generated arp --seed "$seed" --frames "$frames"
}

lane_walk() {
	generated walk --seed "$seed" --steps "$steps"
}

# generated LANE ARGS...: closes on `N passed, N failed`.
generated() {
	local lane=$1 log=$out/$1.compare good wrong bad=0 words
	shift
	rm -f "$log" "$out/$lane.original" "$out/$lane.ours" "$out/mismatch.$lane"*
	guests "$lane" "original ours" "$lane" "$@" || {
		echo "FAILED $lane: a guest did not come to its end, or not with some of each kind of input"
		bad=1
	}
	in_root compare --lane "$lane" --differences tests/conformance/differences "$out/$lane.original" "$out/$lane.ours" >"$log"
	while IFS=$'\t' read -r -a words; do
		[ "${words[0]}" != mismatch ] || smaller "$lane" "${words[1]}" "${words[2]}" "$@" </dev/null
	done <"$log"
	grep -Ev '^mismatch|^[0-9]+ passed' "$log"
	# Without that line the comparison itself did not come to its end.
	read -r good _ wrong _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" || echo "0 passed, 1 failed")
	bad=$((bad + wrong))
	echo "$good passed, $bad failed"
	[ $bad = 0 ]
}

# smaller LANE STREAM BATCH ARGS...: leaves out of a batch what does not matter; packets come to a file that tcpdump reads.
smaller() {
	local lane=$1 stream=$2 batch=$3 both=$out/payload.both name only
	shift 3
	case $lane in
	arp) only=(--batch "$batch" --stream "$stream") ;;
	packets) only=(--batch "$batch") ;;
	walk) only=(--segment "$batch") ;;
	esac
	name=mismatch.${stream// /-}
	rm -rf "$both"
	cp -a "$out/payload.ours" "$both"
	mv "$both/ipt_CLUSTERIP.ko" "$both/ours.ko"
	cp "$out/payload.original/ipt_CLUSTERIP.ko" "$both/original.ko"
	echo "making batch $batch of $stream smaller, as far as the two still differ ..."
	scripts/lab boot --append "${WORDS:-}" --console "conformance/$name.console" --payload "$both" -- \
		"$program" "$lane" "$@" "${only[@]}" --shrink original.ko ours.ko >"$out/$name.text" 2>"$out/$name.lab" || [ $? = 1 ] ||
		echo "the boot that makes it smaller ended badly: see $out/$name.lab"
	sed '/^-----BEGIN PCAP-----$/,/^-----END PCAP-----$/d; /^shrinking: /d' "$out/$name.text"
	if grep -q '^-----BEGIN PCAP-----$' "$out/$name.text"; then
		sed -n '/^-----BEGIN PCAP-----$/,/^-----END PCAP-----$/{//!p}' "$out/$name.text" | base64 -d >"$out/$name.pcap"
		echo "the packets: tcpdump -nevvXr $out/$name.pcap"
	fi
}
