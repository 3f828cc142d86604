# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The suite is tested too: our module with a plausible mistake in it, one at a time, must be seen to differ from the
# original. tests/mutants has the mistakes, as patches of one line each:
#   # SPDX-License-Identifier: GPL-2.0-only
#   # AREA: what it breaks
#   a unified diff, for patch -p1
# and in `survivors` those that no lane sees, as `NAME | reason`.
# shellcheck disable=SC2154  # seed and out are scripts/conformance's

# mutant_lanes AREA: a lane's name and the program's arguments, in the order in which they are tried: the cases about what
# is broken, short forms of the generated input, then all of the cases.
mutant_lanes() {
	local near
	case $1 in
	hash | ports) near="§3.2 §3.3 §3.4" ;;
	verdict | mark) near="§3.1" ;;
	ARP) near="§4" ;;
	"device events") near="§5" ;;
	procfs) near="§6" ;;
	counting) near="§2.5 §2.6 §2.7 §2.8" ;;
	refusals) near="§2.1 §2.2 §2.4" ;;
	*) near='' ;;
	esac
	[ -z "$near" ] || echo "near-${1// /-} cases $near"
	cat <<-END
		packets packets --packets 20000 --seed $seed
		arp arp --frames 5000 --seed $seed
		walk walk --steps 1000 --seed $seed
		cases cases
	END
}

# of_cases LANE: whether its record is one of cases, which end where the next one begins; else each line stands alone.
of_cases() {
	[[ $1 == cases || $1 == near-* ]]
}

# mutant_near LANE PATTERN...: what the whole record has of the cases that a lane of some of them runs.
mutant_near() {
	local lane=$1 who pattern
	shift
	pattern=$(IFS='|' && echo "$*")
	for who in original mutant-none; do
		grep -E $'^(saw|at)\t('"$pattern"')' "$(mutant_record cases $who)" >"$(mutant_record "$lane" $who)"
	done
	cp "$(mutant_record cases mutant-none).failed" "$(mutant_record "$lane" mutant-none).failed"
}

MUTANT_LANES=${MUTANT_LANES:-near packets arp walk cases} # those that are run at all
MUTANT_JOBS=${MUTANT_JOBS:-$(nproc)}
MUTANT_LIMIT=${MUTANT_LIMIT:-600} # seconds for a boot
mutant_dir=build/mutants

# shellcheck source=/dev/null
. scripts/lab.d/marks.sh # MARKS

# lane_mutants [PATTERN]...: those whose name has one of the patterns in it, all without one.
lane_mutants() {
	local names=() name start=$SECONDS number=0 total done_now area lane args
	for name in tests/mutants/*.patch; do
		name=$(basename "$name" .patch)
		[[ $name != alloc-* ]] || continue # no allocation fails here: they are scripts/torture.d/allocations'
		mutant_wanted "$name" "$@" && names+=("$name")
	done
	total=${#names[@]}
	mkdir -p "$mutant_dir/rows"
	rm -f "$mutant_dir/rows"/* "$out"/mutants-near-*
	if ! arp_module || ! mutant_records; then
		echo "0 passed, 1 failed"
		return 1
	fi

	# The module as it is, by the way that all mutants go: what kills that one is no proof of anything.
	mutant_one none "nothing"
	if [ "$(cut -f3 "$mutant_dir/rows/none")" != survived ]; then
		echo "FAILED the module without a mutation: $(cut -f3 "$mutant_dir/rows/none")"
		echo "0 passed, 1 failed"
		return 1
	fi
	echo "ok the module without a mutation survives ($((SECONDS - start)) s)"
	while IFS= read -r area; do
		read -r lane args < <(mutant_lanes "$area")
		# shellcheck disable=SC2086  # a list of words
		[[ $lane != near-* ]] || mutant_near "$lane" ${args#cases }
	done < <(for name in "${names[@]}"; do mutant_what "$name"; done | sed 's/:.*//' | sort -u)

	# Ctrl-C does not reach what runs in the background.
	trap 'kill $(jobs -p) 2>/dev/null' EXIT
	trap 'exit 130' INT TERM
	start=$SECONDS
	for name in "${names[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge "$MUTANT_JOBS" ]; do
			wait -n
		done
		number=$((number + 1))
		done_now=$((number - 1))
		echo "mutant $number of $total, $((SECONDS - start)) s, about $(((SECONDS - start) * (total - done_now) / (done_now > 0 ? done_now : 1))) s left: $name"
		mutant_one "$name" "$(mutant_what "$name")" &
	done
	wait
	trap - EXIT INT TERM
	mutant_table "${names[@]}"
}

# mutant_wanted NAME PATTERN...
mutant_wanted() {
	local name=$1 pattern
	shift
	[ $# -gt 0 ] || return 0
	for pattern; do
		[[ $name != *"$pattern"* ]] || return 0
	done
	return 1
}

# mutant_what NAME: what it breaks, as its patch says.
mutant_what() {
	sed -n '2s/^# //p' "tests/mutants/$1.patch"
}

# What the original shows in each lane; made if it is not there, is of other arguments, or of another program.
mutant_records() {
	local lane args record binary=build/cargo/release/conformance
	while read -r lane args; do
		[[ " $MUTANT_LANES " == *" $lane "* ]] || continue
		record=$(mutant_record "$lane" original)
		if [ "$record" -nt $binary ] && [ "$(cat "$record.arguments" 2>/dev/null)" = "$args" ]; then
			continue
		fi
		echo "making $record"
		# shellcheck disable=SC2086  # a list of words
		in_guest original "$(basename "$record" .original)" $args </dev/null
		grep -q '^saw' "$record" || {
			echo "FAILED $lane: what the original shows is nothing; see $record and $record.lab"
			return 1
		}
		echo "$args" >"$record.arguments"
	done < <(mutant_lanes '')
}

# mutant_record LANE WHO: the file. Those of the suite's own lanes are of other sizes, hence other names.
mutant_record() {
	echo "$out/mutants-$1.$2"
}

# mutant_one NAME WHAT: builds it, runs the lanes until one kills it; its row is NAME, WHAT, killer, parted by tabs.
# The killer is `survived` when there is none.
mutant_one() {
	local name=$1 tree=$mutant_dir/$1 who=mutant-$1 lane args killer='' area=${2%%:*}
	if ! mutant_build "$name" >"$mutant_dir/$name.log" 2>&1; then
		killer="none: it does not apply or does not build, see $mutant_dir/$name.log"
	else
		mkdir -p "$out/payload.$who"
		cp build/cargo/release/conformance build/arp-xmit/arp_xmit.ko "$("$tree/scripts/lab" module-path)" "$out/payload.$who"
		while read -r lane args; do
			[[ " $MUTANT_LANES " == *" ${lane%%-*} "* ]] || continue
			mutant_lane "$name" "$lane" "$args" </dev/null
			[ -z "$killer" ] || break
		done < <(mutant_lanes "$area")
	fi
	[ "$killer" != "${lane:-}: ${lane:-}" ] || killer=$lane # a lane of one stream
	printf '%s\t%s\t%s\n' "$name" "$2" "${killer:-survived}" >"$mutant_dir/rows/$name"
	[ "$name" = none ] || echo "  $name: ${killer:-survived}"
	rm -rf "$tree" "$out/payload.$who"
}

# A tree of its own: what was built before comes along, so that only what the patch touches is built again.
mutant_build() {
	local name=$1 tree=$mutant_dir/$1
	rm -rf "$tree"
	mkdir -p "$tree/build"
	cp -a Kbuild src include scripts "$tree"
	cp -a build/lab*.lock "$(dirname "$(scripts/lab module-path)")" "$tree/build"
	[ "$name" = none ] || patch -d "$tree" -p1 -F0 --no-backup-if-mismatch <"tests/mutants/$name.patch" || return
	"$tree/scripts/lab" build
}

# mutant_lane NAME LANE ARGS: one boot, ended as soon as a difference is seen; sets `killer`.
# What the module without a mutation shows is kept for the others to be held against.
mutant_lane() {
	local name=$1 lane=$2 args=$3 record guest='' status=0 case cleared lab
	local who=mutant-$name
	record=$(mutant_record "$lane" "$who")
	cleared=$(mktemp)
	: >"$record"
	# The lane's own; a word of no meaning is as good as none.
	local -x WORDS=
	[ "$lane" != packets ] || WORDS="slub_debug=-"
	set -m # a process group of its own, so that all of the boot can be ended
	# shellcheck disable=SC2086  # a list of words
	LIMIT=$MUTANT_LIMIT in_guest "$who" "$(basename "$record" ".$who")" $args >/dev/null &
	guest=$!
	set +m
	# shellcheck disable=SC2064  # this very boot
	trap "kill -- -$guest 2>/dev/null; exit 143" TERM
	while [ "$name" != none ] && sleep 1 && kill -0 $guest 2>/dev/null; do
		# An oops leaves a kernel that goes on, with locks that nobody gives back.
		lab=$(cat "/proc/$guest/task/$guest/children" 2>/dev/null)
		killer=$(mutant_crash "$record" "build/run.${lab%% *}/console.log")
		if [ -z "$killer" ]; then
			cp "$record" "$record.now"
			[ -z "$(tail -c 1 "$record.now")" ] || sed -i '$d' "$record.now" # half a line
			case=$(mutant_differs "$lane" "$record.now" "$cleared") || continue
			echo "$case" >>"$cleared"
			mutant_judge "$lane" "$record.now" "$case" || continue
			killer="${lane/#near-*/cases}: $case"
		fi
		kill -- -$guest
		break
	done
	wait $guest 2>/dev/null || status=$?
	trap - TERM
	rm "$cleared"
	[ -n "$killer" ] || mutant_verdict "$name" "$lane" "$record" $status
	[ "$name" = none ] || [ -n "${MUTANTS_KEEP:-}" ] || rm -rf "$record" "$record".*
}

# mutant_differs LANE RECORD CLEARED: the first case (or stream) that shows something else than the module without a
# mutation does, of those that are complete and not cleared.
mutant_differs() {
	awk -F '\t' -v whole="$(of_cases "$1" && echo 1)" '
		function judge(name, seen, wanted) {
			if (!found && name != "" && !(name in cleared) && seen != wanted) {
				found = 1
				print name
			}
		}
		FILENAME == ARGV[1] { cleared[$0] = 1; next }
		FILENAME == ARGV[2] {
			if ($1 == "saw") {
				control[$2] = control[$2] $0 "\n"
				line[$2, ++lines[$2]] = $0
			}
			next
		}
		$1 == "at" { judge(current, mutant[current], control[current]); current = ""; next }
		$1 == "saw" {
			if (whole) {
				current = $2
				mutant[$2] = mutant[$2] $0 "\n"
				# It hangs, or what follows is of no more use.
				if ($3 == "broken")
					judge(current, mutant[current], control[current])
			} else {
				judge($2, $0, line[$2, ++seen[$2]])
			}
		}
		END { exit !found }' "$3" "$(mutant_record "$1" mutant-none)" "$2"
}

# mutant_judge LANE RECORD CASE: whether that one case, as far as it is there, differs from the original in a way that
# is not decided, and does not so without the mutation.
mutant_judge() {
	local lane=$1 record=$2 case=$3 dir=$2.judged who count
	# A stream that is listed has to differ somewhere, maybe further on.
	if ! of_cases "$lane" && grep -qF "$case | *" tests/conformance/differences; then
		return 1
	fi
	rm -rf "$dir"
	mkdir "$dir"
	mutant_part "$case" 0 "$record" >"$dir/mutant"
	count=$(of_cases "$lane" || wc -l <"$dir/mutant")
	for who in original mutant-none; do
		[ ! -f "$(mutant_record "$lane" $who)" ] ||
			mutant_part "$case" "${count:-0}" "$(mutant_record "$lane" $who)" >"$dir/$who"
	done
	awk -F ' [|] ' -v case="$case" '$1 == case' tests/conformance/differences >"$dir/differences"
	! mutant_compare "$lane" "$dir" "$dir/mutant" >/dev/null && mutant_compare "$lane" "$dir" "$dir/mutant-none" >/dev/null
}

# mutant_part CASE COUNT RECORD: a case's lines, the first COUNT of them or all.
mutant_part() {
	awk -F '\t' -v case="$1" -v count="$2" '$1 == "saw" && $2 == case && (!count || n++ < count)' "$3"
}

# mutant_compare LANE DIR OURS: with what the original showed, in DIR or as it was recorded.
mutant_compare() {
	local lane=$1 dir=$2 ours=$3 original differences=tests/conformance/differences
	original=$(mutant_record "$lane" original)
	if [ -n "$dir" ]; then
		original=$dir/original
		differences=$dir/differences
	fi
	if of_cases "$lane"; then
		scripts/lab exec -- build/cargo/release/conformance report --differences "$differences" \
			--part "$original" "$ours"
	else
		scripts/lab exec -- build/cargo/release/conformance compare --lane none "$original" "$ours" --differences "$differences"
	fi
}

# mutant_verdict NAME LANE RECORD STATUS: of a boot that came to its end; sets `killer`.
mutant_verdict() {
	local name=$1 lane=$2 record=$3 status=$4 control
	control=$(mutant_record "$lane" mutant-none).failed
	killer=$(mutant_crash "$record" "$record.console")
	# What the lab says of a guest that was not able to say it, nor its kernel.
	if [ -z "$killer" ] && [ "$status" = 3 ]; then
		killer=$(sed -nE 's/^lab: (no end within .*|the guest (ended|gave) .*); the console.*/crash: \1/p' "$record.lab")
	fi
	[ -z "$killer" ] || return 0
	# No fault of the module's, then: nothing that could kill.
	if ! grep -q '^saw' "$record"; then
		killer="none: $lane shows nothing: $(tail -n 1 "$record.lab")"
		return
	fi
	mutant_compare "$lane" '' "$record" >"$record.compared" 2>&1
	grep -qE '^[0-9]+ passed, [0-9]+ failed' "$record.compared" || {
		killer="none: $lane could not be compared: $(tail -n 1 "$record.compared")"
		return
	}
	sed -n 's/^FAILED //p' "$record.compared" >"$record.failed"
	if [ "$name" = none ]; then
		[ ! -s "$record.failed" ] || echo "$lane: $(wc -l <"$record.failed") fail without a mutation and kill nothing"
		return
	fi
	killer=$(grep -vxFf "$control" "$record.failed" | head -n 1)
	killer=${killer:+${lane/#near-*/cases}: ${killer%: differs}}
}

# mutant_crash RECORD CONSOLE: a crash, in words. Before the module is loaded it is none of its doing.
mutant_crash() {
	if grep -aq "could not insert 'ipt_CLUSTERIP'" "$1"; then
		echo "crash: the module does not load"
	elif grep -aq 'ipt_CLUSTERIP: loading out-of-tree' "$2" 2>/dev/null; then
		grep -aEm 1 -- "$MARKS" "$2" 2>/dev/null | sed -E 's/^\[[^]]*\] */crash: /; s/\r//; s/ +$//'
	fi
}

# mutant_survivor NAME: the reason why it may survive.
mutant_survivor() {
	[ ! -f tests/mutants/survivors ] || awk -F ' [|] ' -v name="$1" '$1 == name { print $2 }' tests/mutants/survivors
}

# mutant_table NAME...: the table, and what of it is wrong.
mutant_table() {
	local name what killer reason passed=1 failed=0 killed=0 # the control has passed
	{
		echo '| mutant | what it breaks | killed by |'
		echo '| --- | --- | --- |'
	} >"$out/mutants.md"
	for name; do
		reason=$(mutant_survivor "$name")
		if ! IFS=$'\t' read -r _ what killer <"$mutant_dir/rows/$name"; then
			killer='none: it was not run to its end'
		fi
		case $killer in
		survived)
			if [ -n "$reason" ]; then
				killer="**survives**: $reason"
				passed=$((passed + 1))
			else
				killer='**survives**'
				failed=$((failed + 1))
				echo "FAILED $name survives and is not listed: $what"
			fi
			;;
		none:*)
			failed=$((failed + 1))
			echo "FAILED $name: ${killer#none: }"
			;;
		*)
			killed=$((killed + 1))
			if [ -n "$reason" ]; then
				failed=$((failed + 1))
				echo "FAILED $name is listed as a survivor and is killed by $killer"
			else
				passed=$((passed + 1))
			fi
			;;
		esac
		echo "| $name | $what | ${killer//|/\\|} |" >>"$out/mutants.md"
	done
	while IFS= read -r name; do
		[ -f "tests/mutants/$name.patch" ] || {
			failed=$((failed + 1))
			echo "FAILED $name is listed as a survivor and is no mutant"
		}
	done < <([ ! -f tests/mutants/survivors ] || sed -n '/^#/d; s/ [|] .*//p' tests/mutants/survivors)
	echo "$# mutants, $killed killed; the table is $out/mutants.md"
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}
