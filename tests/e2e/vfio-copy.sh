#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: vfio-copy.sh MOAT VFIO-COPY [moat run options]
# The example on each kind of device and each way to its registers: it copies, and
# nothing but its own output is printed; with its bug the report says what happened,
# where, and by whom.
set -u
moat=$1 copy=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

fail() {
	echo "not ok: $*"
	echo "--- stdout"; cat "$dir/out"
	echo "--- stderr"; cat "$dir/err"
	exit 1
}

run() {
	timeout 60 "$moat" run "$@" >"$dir/out" 2>"$dir/err"
	status=$?
	n=$((n + 1))
}

copies() {
	run "$@"
	[ $status -eq 0 ] || fail "exit status $status of: $*"
	grep -q 'bytes copied, all equal' "$dir/out" || fail "no copy by: $*"
	[ ! -s "$dir/err" ] || fail "something on stderr of: $*"
}

copies "$@" -- "$copy"
copies "$@" --device edu -- "$copy" --device 0000:00:05.0
copies "$@" --device ioat -- "$copy" --device 0000:00:05.0 --size 1
copies "$@" --device ioat,xfercap=12 -- "$copy" --device 0000:00:05.0 --size 3000001
copies "$@" --device ioat,async=on -- "$copy" --device 0000:00:05.0
copies "$@" --device edu,async=on -- "$copy" --device 0000:00:05.0 --size 10000
copies "$@" --device ioat,mmap=off -- "$copy" --device 0000:00:05.0
copies "$@" --device edu,mmap=off -- "$copy" --device 0000:00:05.0 --size 10000
copies "$@" --device edu,dma-mask=0xffffffff -- "$copy" --device 0000:00:05.0 --size 10000

bug() {
	run --strict "$@" --bug
	[ $status -eq 99 ] || fail "exit status $status instead of 99 of: $*"
	grep -q 'DMA after unmap' "$dir/err" || fail "the report does not say DMA after unmap: $*"
	grep -q 'IOVA 0x8000000' "$dir/err" || fail "the report does not say where: $*"
	grep -q 'unmap_buffer' "$dir/err" || fail "the report does not say who unmapped: $*"
	grep -q 'map_buffer' "$dir/err" || fail "the report does not say who mapped: $*"
	grep -q "$device" "$dir/err" || fail "the report does not name $device: $*"
}
device=ioat bug "$@" -- "$copy"
device=edu bug "$@" --device edu -- "$copy" --device 0000:00:05.0
# Without --strict the program's own status counts.
run "$@" -- "$copy" --bug
[ $status -eq 0 ] || fail "exit status $status without --strict"
grep -q 'SUMMARY' "$dir/err" || fail "no report without --strict"
run "$@" -- "$copy" --device 0000:00:1e.0
[ $status -eq 77 ] || fail "exit status $status instead of the program's 77"
echo "ok: $n runs of the example"
