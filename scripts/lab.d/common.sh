# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Parameters, messages, timing, and the cache that every slow stage lives in.

export SUITE=${SUITE:-trixie-backports}
export KVER=${KVER:-}
export FLAVOUR=${FLAVOUR:-amd64}
export ARCH=${ARCH:-amd64}
[ "${DEBUG:-}" = 1 ] || DEBUG=
export DEBUG

MIRROR=http://deb.debian.org/debian
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/clusterip
CACHE_DAYS=${CACHE_DAYS:-14}
JOBS=$(nproc)

# Another kernel gets a lock file and a module directory of its own; the default ones have short names.
VARIANT=
if [ "$SUITE/$KVER/$FLAVOUR" != trixie-backports//amd64 ]; then
	VARIANT=-$SUITE${KVER:+-$KVER}-$FLAVOUR
	VARIANT=${VARIANT//[^A-Za-z0-9.+-]/_}
fi
LOCK=$BUILD/lab$VARIANT.lock
# LAB_MODULE_DIR: a build of another kind (clippy, say) that must not disturb the ordinary one.
MODULE_DIR=${LAB_MODULE_DIR:-$BUILD/module$VARIANT${DEBUG:+-debug}}
LOGS=$BUILD/log

# suite_base SUITE: the release that it stands on; none for one that is refused by host_check, with a remedy. bookworm and
# trixie are for what the oracle, the packages and the probe need only.
suite_base() {
	case $1 in
	trixie-backports) echo trixie ;;
	experimental) echo sid ;;
	sid | forky | trixie | bookworm) echo "$1" ;;
	esac
}
BASE=$(suite_base "$SUITE")

# with_suite SUITE COMMAND...: with the lists of another suite.
with_suite() {
	local -x SUITE=$1
	# shellcheck disable=SC2034  # what the command reads
	local BASE
	BASE=$(suite_base "$1")
	shift
	"$@"
}

say() {
	printf 'lab: %s\n' "$*" >&2
}

# die STEP CAUSE REMEDY
die() {
	{
		printf 'lab: FAILED: %s\n' "$1"
		printf 'lab:   cause:  %s\n' "$2"
		printf 'lab:   remedy: %s\n' "$3"
	} >&2
	exit 2
}

# Keeps a line alive while a slow step runs: on a terminal every second, in a log every 20 s.
ticker() {
	local what=$1 estimate=$2 start=$SECONDS pause=20 never
	[ ! -t 2 ] || pause=1
	exec {never}<> <(:) # nothing is ever read from it: a pause without a process that could outlive us
	while ! read -r -t $pause -u $never && kill -0 $$ 2>/dev/null; do
		if [ -t 2 ]; then
			printf '\rlab: %s: %d s of about %d s ' "$what" $((SECONDS - start)) "$estimate" >&2
		else
			say "$what: $((SECONDS - start)) s of about $estimate s"
		fi
	done
}

# slow WHAT SECONDS COMMAND...: one step; says what it does and how long it took, keeps its output in a log and
# shows the log's end when it fails. Returns the command's status. COMMAND may be a function of the lab.
slow() {
	local what=$1 estimate=$2 start=$SECONDS log ticking rc=0
	shift 2
	mkdir -p "$LOGS"
	log=$LOGS/$(tr -c 'A-Za-z0-9\n' - <<<"$what" | tr -s -).log
	say "$what (about $estimate s) ..."
	ticker "$what" "$estimate" </dev/null 9>&- &
	ticking=$!
	setpriv --pdeathsig KILL "$LAB_SELF" __stage "$@" >"$log" 2>&1 </dev/null 9>&- || rc=$?
	kill $ticking 2>/dev/null || true
	wait $ticking 2>/dev/null || true
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ $rc -ne 0 ]; then
		say "$what: failed after $((SECONDS - start)) s; the end of ${log#"$TREE"/}:"
		tail -n 25 "$log" | sed 's/^/  | /' >&2
		return $rc
	fi
	say "$what: done in $((SECONDS - start)) s"
}

# key WORDS...: a short name for a set of inputs; file contents are put in with $(<file).
key() {
	printf '%s\0' "$@" | sha256sum | cut -c1-16
}

# cached VAR NAME KEY WHAT SECONDS COMMAND...: sets VAR to the stage's directory in the cache. If it is not there,
# COMMAND makes it in the directory given as its last argument, which is then moved in whole. Before that, stages that
# nobody has used for long go.
cached() {
	local -n result=$1
	local dir=$CACHE/$2-$3 what=$4 estimate=$5 tmp rc=0
	shift 5
	# shellcheck disable=SC2034  # the caller's variable
	result=$dir
	! stage_use "$dir" || return 0
	mkdir -p "$CACHE"
	exec 9>"$CACHE/.lock" # closed for what is started meanwhile, so that the lock is this shell's alone
	if ! flock -n 9; then
		say "$what: waiting for another run that fills the cache"
		flock 9
	fi
	if ! stage_use "$dir"; then
		rm -rf "$CACHE"/tmp.* # left by a run that was interrupted; the lock says that nobody uses it
		cache_prune
		need_disk
		tmp=$(mktemp -d "$CACHE/tmp.XXXXXX")
		chmod 755 "$tmp"
		slow "$what" "$estimate" "$@" "$tmp" || rc=$?
		if [ $rc -ne 0 ]; then
			rm -rf "$tmp"
			die "$what" "see the lines above" "mend what they name and start again; nothing half-made was kept"
		fi
		mv "$tmp" "$dir"
		stage_use "$dir"
	fi
	exec 9>&-
}

# stage_use DIR: whether the stage is there. If so it is in use, until this shell has ended and all that it started, a
# guest too: they hold its lock. Its time says when it was used last.
stage_use() {
	local fd
	{ exec {fd}<"$1"; } 2>/dev/null || return 1
	flock -s "$fd"
	[ "$1" -ef "/proc/self/fd/$fd" ] && touch "$1" && return 0 # and was not removed while we waited
	exec {fd}<&-
	return 1
}

# Removes the stages that nobody has used for CACHE_DAYS days; where less than 8 GB are free, also those unused for the
# longest, until there are, but none that was used in the last hour: its path may have been given to somebody who holds
# no lock. The caller holds the cache's.
cache_prune() {
	local used dir old
	[ "$CACHE_DAYS" != 0 ] || return 0
	old=$(date -d "-$CACHE_DAYS days" +%s)
	while read -r used dir; do
		[ "${used%.*}" -lt "$old" ] || [ "$(disk_free)" -lt 8 ] || break
		stage_remove "$dir" "${used%.*}"
	done < <(find "$CACHE" -mindepth 1 -maxdepth 1 -type d -mmin +60 -regextype egrep -regex '.*-[0-9a-f]{16}' \
		-printf '%T@ %p\n' | sort -n)
}

# stage_remove DIR TIME: unless somebody uses it, or has since it was looked at.
stage_remove() {
	local fd
	{ exec {fd}<"$1"; } 2>/dev/null || return 0
	if flock -n -x "$fd" && [ "$(stat -c %Y "$1")" = "$2" ]; then
		say "${1##*/}, unused since $(date -d "@$2" '+%-d %B %H:%M'), is removed from the cache"
		mv "$1" "$CACHE/tmp.removed" # at once, so that nobody finds half of it
		rm -rf "$CACHE/tmp.removed"
	fi
	exec {fd}<&-
}

# In gigabytes.
disk_free() {
	df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }'
}

need_disk() {
	local free need=3
	compgen -G "$CACHE/kernel-*" >/dev/null || need=8
	free=$(disk_free)
	[ "$free" -ge $need ] || die "disk space" "$CACHE has $free GB free, the lab needs $need" \
		"make room, or set XDG_CACHE_HOME to a directory with more"
}

lab_setup() {
	local start=$SECONDS
	host_check
	versions_have
	root_have
	kernel_have
	guest_have
	accel_have
	[ -z "$DEBUG" ] || debug_use
	[ $((SECONDS - start)) -lt 5 ] || say "set-up complete in $((SECONDS - start)) s"
}

lab_update() {
	host_check
	rm -f "$LOCK"
	versions_have
	versions_show
}

lab_clean() {
	rm -rf "$BUILD"
	if [ "${1:-}" = --cache ]; then
		rm -rf "$CACHE"
	fi
}
