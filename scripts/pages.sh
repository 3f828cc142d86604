# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For what writes into a page of the documentation what it measured (WRITE=1).

# write_table PAGE NAME < LINES: the lines take the place of what stands between <!-- NAME --> and <!-- end --> there.
write_table() {
	local page=$1 name=$2 new
	new=$(cat)
	[ -n "$new" ] || return
	NEW=$new awk -v start="<!-- $name -->" '
		$0 == start { print; print ENVIRON["NEW"]; inside = 1; next }
		inside && $0 == "<!-- end -->" { inside = 0 }
		!inside' "$page" >"$page.new" && mv "$page.new" "$page"
}
