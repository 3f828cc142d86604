# SPDX-License-Identifier: GPL-2.0-only
#
# The doors. Everything behind them is in scripts/; the kernel's make reads Kbuild, not this file.
# make: here, for the running kernel or KVER and KDIR (see scripts/kernel), or else in the lab, as all the rest (scripts/build).
# Parameters: SUITE KVER FLAVOUR (which kernel: see scripts/lab help), T (tests whose name contains it); for
# conformance SHORT SEED LANE MUTANTS WRITE (see the head of scripts/conformance), for bench CHECK WRITE ROUNDS, for
# torture T SHORT SEED STRETCH LONG (see the head of scripts/torture), for ha T SHORT LONG WRITE (scripts/ha).

MAKEFLAGS += --no-print-directory
export SUITE KVER KDIR KSRC FLAVOUR ARCH T K SHORT SEED LANE MUTANTS WRITE CHECK ROUNDS STRETCH LONG DESTDIR PREFIX

.PHONY: all probe demo test vm install uninstall help clean conformance ha bench torture deb upgrade matrix

all:
	@scripts/build

probe:
	@scripts/probe

demo:
	@scripts/demo

test:
	@scripts/test

conformance:
	@scripts/conformance

bench:
	@scripts/bench

torture:
	@scripts/torture

ha:
	@scripts/ha

vm:
	@scripts/payload demo command && scripts/lab vm

install:
	@scripts/install

uninstall:
	@scripts/uninstall

clean:
	@scripts/lab clean

deb:
	@scripts/deb

upgrade:
	@scripts/upgrade

matrix:
	@scripts/matrix

help:
	@echo 'make           build module, extension and command: for the running kernel (KVER, KDIR: another) where it can have them, or else in the lab; it says which'
	@echo 'make probe     whether the running kernel can have the module; what is missing, and which package brings it'
	@echo 'make demo      three nodes and a client in a guest: the cluster answers, a node dies, its share moves'
	@echo 'make test      host tests, style gates, the extension, tests in the guest; of the guest tests, T=name runs those named'
	@echo 'make conformance  one suite on this module and on the C original (SHORT=1: a part of its cases, 6 minutes and more)'
	@echo 'make bench     instructions per packet, ours beside the original (CHECK=1: whether ours rose; WRITE=1: accept)'
	@echo 'make torture   a debug kernel (KASAN, lockdep, kmemleak) and everything that may break the module; hours (SHORT=1: 11 minutes, T=name: one part)'
	@echo 'make ha        Pacemaker, keepalived and strongSwan as Debian ships them, in the guest (SHORT=1: 6 minutes on two idle cores, T=name: one part)'
	@echo 'make vm        a shell in the guest, module loaded, the cluster standing'
	@echo 'make install   install module, extension and man page for the running kernel (DESTDIR, PREFIX)'
	@echo 'make uninstall remove what make install put there'
	@echo 'make deb       the Debian packages, in build/deb: built twice, compared, read by lintian (scripts/deb-check: DKMS with them)'
	@echo 'make matrix    the archive'"'"'s kernels one after the other: the whole guest suite on the first, a short form on the others (K=name: one)'
	@echo 'make upgrade   a server in a guest: the packages installed, the kernel upgraded, the machine rebooted, all purged (27 minutes)'
	@echo 'make clean     remove build/ (scripts/lab clean --cache: the cached roots and kernels too)'
	@echo 'make help      this'
	@echo
	@echo 'In the lab, for a kernel of the archive: make SUITE=trixie-backports. Another kernel: make SUITE=sid demo, make KVER=7.2.9 test. More: scripts/lab help'
