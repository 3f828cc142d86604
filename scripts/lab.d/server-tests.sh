# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the server would fetch to run the packages' own test: autopkgtest, and what debian/tests/control asks for, as far
# as neither its disk nor its archive has it. A directory that apt can read. Of backports the kernel alone: its rustc is
# not the kernel's.

server_tests_have() {
	local needs
	needs=$(sed -n 's/^Depends: @, //p' "$TREE/debian/tests/control")
	server_have
	cached SERVER_TESTS server-tests "$(key "$SERVER_DIR" "$needs" "$(<"$LABD/server-tests.sh")")" \
		"fetching what the packages' test asks for" 40 server_tests_make "$SERVER_DIR" "$SUITE" "$needs"
}

server_tests_make() {
	local server=$1 suite=$2 needs=$3 dir=$4
	mkdir -p "$dir/debs/partial" "$dir/disk" "$dir/archive" "$dir/over"
	# shellcheck disable=SC2016  # expanded in there
	in_ns sh -ec '
		mount -o loop,ro "$1/ready.img" "$5/disk"
		mount -o loop,ro "$1/repository.img" "$5/archive"
		"$2" __stage in_over "$5/disk" "$5/over" -b "$5:/mnt" -b "$5/archive:/srv:ro" / sh -ec "
			(echo \"deb [trusted=yes] file:/srv ./\" && cat /etc/apt/sources.list) >/run/list
			printf \"Package: linux-*\nPin: release n=\$1\nPin-Priority: 500\n\" >/run/preferences
			apt=\"apt-get -q -y --no-install-recommends -o Dir::Etc::SourceList=/run/list \
				-o Dir::Etc::Preferences=/run/preferences -o APT::Sandbox::User=root\"
			\$apt update
			\$apt -d -o Dir::Cache::archives=/mnt/debs satisfy \"autopkgtest, \$2\"" sh "$3" "$4"
		umount "$5/disk" "$5/archive"' sh "$server" "$LAB_SELF" "$suite" "$needs" "$dir"
	rm -r "$dir/debs/partial" "$dir/debs/lock" "$dir/disk" "$dir/archive" "$dir/over"
	# shellcheck disable=SC2016  # expanded in there
	in_root "$DEB_ROOT" ro -b "$dir:/out" /out sh -ec 'dpkg-scanpackages -m . >Packages'
}
