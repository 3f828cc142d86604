# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Gates that read the source as text.

# files PATTERN...: files of the tree whose path matches one of the shell patterns; none at all is an error.
files() {
	local path pattern found=1
	while IFS= read -r path; do
		for pattern; do
			# shellcheck disable=SC2053  # a pattern is meant
			if [[ $path == $pattern ]] && [ -f "$path" ]; then
				printf '%s\n' "$path"
				found=0
				break
			fi
		done
	done <"$OUT/files"
	return $found
}

# without_comments FILE: line numbers stay.
without_comments() {
	sed 's@//.*@@' "$1"
}

# absent PATTERN WHY FILE...: no code of the files matches the extended regular expression.
absent() {
	local pattern=$1 why=$2 file line status=0
	shift 2
	[ $# -gt 0 ] || {
		echo "no files to look at: was a folder renamed?"
		return 1
	}
	for file; do
		while IFS= read -r line; do
			echo "$file:$line"
			echo "    $why"
			status=1
		done < <(without_comments "$file" | grep -nE "$pattern")
	done
	return $status
}

gate_spdx() {
	local path status=0
	while IFS= read -r path; do
		case $path in
		LICENSE | Cargo.lock | */Cargo.lock) continue ;; # the licence itself, and a file that cargo writes
		debian/changelog | debian/source/format) continue ;; # whose forms have no place for it
		esac
		head -n 3 "$path" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || {
			echo "$path: no SPDX-License-Identifier: GPL-2.0-only in its first lines"
			status=1
		}
	done < <(files '*')
	return $status
}

# What was found before the root was entered.
gate_patches() {
	cat "$OUT/patches" && [ ! -s "$OUT/patches" ]
}

gate_unsafe() {
	local list
	mapfile -t list < <(files 'src/*.rs' 'userspace/src/*.rs' 'userspace/build.rs' |
		grep -vE '^src/abstractions/|^userspace/src/xtables/')
	absent '\bunsafe\b' "wrap it in src/abstractions or userspace/src/xtables, where unsafe lives" "${list[@]}"
}

# By hand where it can't be written: `module!` in the crate root expands to unsafe, as does what bindgen writes.
gate_forbid() {
	local path status=0 seen=0
	for path in src/*; do
		case $path in
		src/clusterip.rs | src/abstractions | src/bindings | src/*.c) continue ;;
		*.rs) ;;
		*) path=$path/mod.rs ;;
		esac
		seen=$((seen + 1))
		grep -qx '#!\[forbid(unsafe_code)\]' "$path" || {
			echo "$path: no #![forbid(unsafe_code)], which its whole module needs"
			status=1
		}
	done
	[ $seen -gt 4 ] || { echo "only $seen modules found"; return 1; }
	return $status
}

# An unsafe block or impl has SAFETY above it, in the same paragraph; an unsafe fn has a `# Safety` section, unless it
# implements a trait's, which has it there.
gate_safety() {
	local list
	mapfile -t list < <(files 'src/abstractions/*.rs' 'userspace/src/xtables/*.rs')
	awk '
		FNR == 1 { paragraph = above = implements = "" }
		/^[[:space:]]*$/ { paragraph = above = ""; next }
		# A function that begins right below another belongs to no paragraph but its own.
		/^[[:space:]]*}[[:space:]]*$/ { above = "" }
		/^(unsafe )?impl/ { implements = / for / }
		{ code = $0; sub(/\/\/.*/, "", code); paragraph = paragraph "\n" $0 }
		/^[[:space:]]*(\/\/|#\[)/ { above = above "\n" $0; next }
		code ~ /(^|[^[:alnum:]_])unsafe (\{|impl)/ {
			blocks++
			if (paragraph !~ /SAFETY:/) { print FILENAME ":" FNR ": no SAFETY: note above this unsafe"; bad = 1 }
		}
		code ~ /(^|[^[:alnum:]_])unsafe (extern "C" )?fn [[:alnum:]_]/ {
			blocks++
			if (above !~ /# Safety/ && !implements) {
				print FILENAME ":" FNR ": no # Safety section above this unsafe fn"
				bad = 1
			}
		}
		{ above = "" }
		END {
			if (!blocks) { print "no unsafe found in src/abstractions: is it looked at?"; bad = 1 }
			exit bad
		}' "${list[@]}" || return 1
	# Counted as well: one note does not serve two blocks.
	local blocks notes
	blocks=$(cat "${list[@]}" | sed 's@//.*@@' | grep -oE '\bunsafe (\{|impl\b)' | wc -l)
	notes=$(cat "${list[@]}" | grep -c 'SAFETY:')
	[ "$notes" -ge "$blocks" ] || {
		echo "src/abstractions has $blocks unsafe blocks and impls, and $notes SAFETY: notes"
		return 1
	}
}

gate_layers() {
	local status=0 list
	mapfile -t list < <(files 'src/cluster/*.rs')
	absent '\bkernel::|\bcrate::|\babstractions\b' "src/cluster is pure: core and super:: only" "${list[@]}" || status=1

	mapfile -t list < <(files 'src/*.rs' |
		grep -vE '^src/(abstractions/|bindings/|cluster/|clusterip\.rs$|abi_check\.rs$)')
	absent '\bbindings::|\b(use|mod)\b.*\bbindings\b|\bbindings as\b' "only src/abstractions speaks to C" \
		"${list[@]}" || status=1

	# In comments neither: this folder is what the kernel crate could offer to anyone.
	mapfile -t list < <(files 'src/abstractions/*.rs')
	if grep -niH clusterip "${list[@]}"; then
		echo "    src/abstractions never knows whom it serves"
		status=1
	fi
	return $status
}
