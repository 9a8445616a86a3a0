#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that Moat is built and tested with, or says which
# are missing where it may not. "deps.sh tests" adds what only end-to-end tests use.
set -eu

build="gcc meson ninja-build pkg-config device-tree-compiler libfdt-dev libzydis-dev
libzycore-dev libjansson-dev libdw-dev libpci-dev libcmocka-dev"
# Real programs for the demo and the end-to-end tests.
programs="pciutils dpdk qemu-system-x86 busybox-static util-linux"

case "${1:-build}" in
build) want="$build" ;;
tests) want="$build $programs" ;;
*) echo "usage: $0 [build|tests]" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || exit 0
missing=
for p in $want; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true) in
	*"ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing; install them with" >&2
	echo "    sudo apt-get install --no-install-recommends$missing" >&2
	# Tests of programs that are not there say so and are skipped.
	[ "${1:-build}" = tests ] && exit 0
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
