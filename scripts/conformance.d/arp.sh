# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The lane for ARP: the same generated frames against ours and the original, on one kernel.
# ARP_FRAMES: how many (200000). Sourced by scripts/conformance, which has $out, $seed and in_guest.
# shellcheck disable=SC2154  # those

# What the guests need beside the program: the module that hands frames to arp_xmit().
arp_payload() {
	local who
	scripts/lab kbuild tests/arp-xmit arp-xmit || return
	for who in ours original; do
		install -m 644 build/arp-xmit/arp_xmit.ko "$out/payload.$who"
	done
}

# The guests' progress, as they print it, until both are done.
arp_progress() {
	local who line
	declare -A said=()
	while sleep 10; do
		for who in original ours; do
			line=$(grep -a '^batch ' "$out/arp.$who" 2>/dev/null | tail -n 1)
			if [ -n "$line" ] && [ "$line" != "${said[$who]:-}" ]; then
				said[$who]=$line
				echo "arp, $who: $line"
			fi
		done
	done
}

arp_frames() {
	local who pids=() progress log=$out/arp.compare words good wrong bad=0
	local given=(--seed "$seed" --frames "${ARP_FRAMES:-200000}")
	arp_payload || return
	rm -f "$out"/arp.{original,ours}
	for who in original ours; do
		in_guest $who arp arp "${given[@]}" &
		pids+=($!)
	done
	arp_progress &
	progress=$!
	for who in original ours; do
		if ! wait "${pids[0]}"; then
			bad=$((bad + 1))
			echo "FAILED $who did not come to its end, or not with some of each kind of answer:"
			grep -v '^saw' "$out/arp.$who" | tail -n 25
			tail -n 5 "$out/arp.$who.lab"
		fi
		pids=("${pids[@]:1}")
	done
	kill $progress 2>/dev/null
	wait $progress 2>/dev/null
	# What came of the frames, by class; said already of a guest that failed.
	[ $bad != 0 ] || sed '/^saw\t/d; /^batch /d' "$out/arp.ours"
	scripts/lab exec -- build/cargo/release/conformance compare --differences tests/conformance/differences \
		"$out/arp.original" "$out/arp.ours" >"$log"
	while IFS=$'\t' read -r -a words; do
		if [ "${words[0]}" = mismatch ]; then
			arp_shrink "${words[1]}" "${words[2]}" "${given[@]}" </dev/null
		fi
	done <"$log"
	grep -Ev '^mismatch|^[0-9]+ passed' "$log"
	# No line of that kind: the comparison itself did not come to its end.
	read -r good _ wrong _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" || echo "0 passed, 1 failed")
	bad=$((bad + wrong))
	echo "$good passed, $bad failed"
	[ $bad = 0 ]
}

# arp_shrink STREAM BATCH OPTIONS...: both modules in one boot, for the frames that matter.
arp_shrink() {
	local stream=$1 batch=$2 both=$out/payload.arp-both name
	shift 2
	name=mismatch.${stream// /-}
	mkdir -p "$both"
	install -m 755 build/cargo/release/conformance "$both"
	install -m 644 build/arp-xmit/arp_xmit.ko "$both"
	install -m 644 "$out/payload.original/ipt_CLUSTERIP.ko" "$both/original.ko"
	install -m 644 "$out/payload.ours/ipt_CLUSTERIP.ko" "$both/ours.ko"
	scripts/lab boot --console "conformance/$name.console" --payload "$both" -- \
		/opt/clusterip/conformance arp "$@" --batch "$batch" --stream "$stream" --shrink original.ko ours.ko \
		>"$out/$name.text" 2>"$out/$name.lab"
	sed '/^-----BEGIN PCAP-----$/,/^-----END PCAP-----$/d' "$out/$name.text"
	sed -n '/^-----BEGIN PCAP-----$/,/^-----END PCAP-----$/{//!p}' "$out/$name.text" | base64 -d >"$out/$name.pcap"
	echo "the packets: $out/$name.pcap"
}
