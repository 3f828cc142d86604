# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Lanes, one after the other; each closes on `N passed, N failed` (and `, N skipped`), the run on their sum.

passed=0
failed=0
skipped=0
logs=build/log
mkdir -p "$logs"

# lane NAME LOG COMMAND...: runs it, what it says is kept as build/log/LOG.log. One that breaks before its closing line,
# runs nothing at all, or fails without saying what, counts as one failure. `by itself N s` in it is how long it took when
# that was not the time to read what it said.
lane() {
	local name=$1 log=$logs/$2.log start=$SECONDS status=0 closing='' good=0 bad=0 left=0 took
	shift 2
	printf '== %s\n' "$name"
	"$@" 2>&1 | tee "$log" || status=$?
	closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || true
	if [[ $closing =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
		good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} left=${BASH_REMATCH[4]:-0}
	fi
	if [ -z "$closing" ]; then
		printf '== %s: broke before its closing line (status %d): counts as a failure\n' "$name" "$status"
		bad=1
	elif [ "$((good + bad + left))" = 0 ]; then
		printf '== %s: ran no test at all: counts as a failure\n' "$name"
		bad=1
	elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
		printf '== %s: ended with status %d: counts as a failure\n' "$name" "$status"
		bad=1
	fi
	took=$(sed -n 's/^by itself \([0-9]*\) s$/\1/p' "$log" | tail -n 1)
	printf '== %s: %s, %d s\n\n' "$name" "$(sum "$good" "$bad" "$left")" "${took:-$((SECONDS - start))}"
	passed=$((passed + good))
	failed=$((failed + bad))
	skipped=$((skipped + left))
}

# left_out NAME REASON: a lane that is not run, and says why.
left_out() {
	printf '== %s: left out, %s\n' "$1" "$2"
	skipped=$((skipped + 1))
}

# sum PASSED FAILED SKIPPED
sum() {
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" = 0 ] || printf ', %d skipped' "$3"
}
