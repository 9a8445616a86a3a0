#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: dpdk.sh MOAT
# Debian's DPDK, unmodified, runs its own tests of DMA devices on an I/OAT of version 3.3
# and on one of version 3.4, for which its driver tests error handling as well: those
# tests need DMA faults, and the report has to show them.
#
# The latency is for a busy machine: DPDK's driver loses a completion if a channel that it
# has just recovered completes a burst before the next call (endpoints/README.md).
set -u
moat=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

command -v dpdk-test >/dev/null || { echo "no dpdk-test here (Debian package dpdk)"; exit 77; }

DPDK_TEST=dmadev_autotest timeout 120 \
	"$moat" run --report "$dir/report.json" --format json \
	--device ioat,device=0x0b00,start-latency=50000,addr=0000:00:05.0 \
	--device ioat,device=0x2021,addr=0000:00:07.0 -- \
	dpdk-test --no-huge -m 256 --iova-mode=va --no-telemetry --no-shconf -l 0 \
	-a 0000:00:05.0 -a 0000:00:07.0 \
	</dev/null >"$dir/out" 2>&1
status=$?
# Progress comes with carriage returns; the last of each is enough.
sed 's/.*\r\(.\)/\1/' "$dir/out" >"$dir/log"

fail() {
	cat "$dir/log"
	echo "not ok: $*"
	exit 1
}

[ $status -eq 0 ] || fail "dpdk-test exited with $status"
grep -q '^Test OK' "$dir/log" || fail "dpdk-test does not say Test OK"
! grep -q 'Test Failed' "$dir/log" || fail "a test failed"
n=$(grep -c '^### Test dmadev instance .*\[[0-9a-f]*:[0-9a-f]*:[0-9a-f]*\.[0-9]\]' "$dir/log")
[ "$n" -ge 2 ] || fail "$n I/OAT devices were tested, expected 2"
grep -q 'errors expected' "$dir/log" || fail "error handling was not tested"
# Those that skip it: version 3.3, and DPDK's own software device.
[ "$(grep -c 'skipping error handling' "$dir/log")" -eq 2 ] || fail "error handling skipped"
grep -q '"iova": *"0x0"' "$dir/report.json" || fail "the faults at IOVA 0 are not in the report"

grep -E '^(### Test|DMA Dev|Test OK)' "$dir/log"
echo "ok: dmadev_autotest passes on $n I/OAT devices, error handling included"
