#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: qemu-ioat.sh MOAT SOURCE CACHE
# Linux's own I/OAT driver (ioatdma) in a guest takes one of Moat's channels: it resets
# it, and copies memory in its self-test, with the completion announced by MSI-X. The
# kernel of Debian's cloud images has no such driver, so this one is larger.
set -u
moat=$1 source=$2 cache=$3
. "$source/tests/e2e/guest-lib.sh"

kernel amd64
modules dca ioatdma
for device in ioat,async=on ioat,device=0x0b00; do
	boot "$source/tests/e2e/guest-ioat-init.sh" "$moat" run --report "$dir/report.json" \
		--format json --device "$device" -- qemu-system-x86_64 -M q35 -m 256 \
		-device vfio-pci,host=0000:00:05.0,addr=05.0 \
		-append 'no_timer_check console=ttyS0 quiet panic=-1'
	[ "$(grep -c '^ok ' "$dir/log")" -eq 4 ] || fail "not all checks ran with $device"
	grep -q '"errors": *0' "$dir/report.json" || fail "errors in the report with $device"
done
echo "passed: Linux drives I/OAT of both versions"
