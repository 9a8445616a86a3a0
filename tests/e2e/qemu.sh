#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: qemu.sh MOAT SOURCE CACHE
# Debian's QEMU under TCG boots Debian's cloud kernel with an edu of Moat's assigned
# through vfio-pci. The guest has an IOMMU of its own, so it drives the device by
# physical addresses first and through its own VFIO then (guest-edu.c, vfio-copy).
# MOAT= (empty) runs the same with QEMU's own edu: the reference.
set -u
moat=$1 source=$2 cache=$3
. "$source/tests/e2e/guest-lib.sh"

kernel cloud-amd64
modules irqbypass vfio vfio_iommu_type1 vfio_virqfd vfio-pci-core vfio-pci
program "$source/tests/e2e/guest-edu.c"
program "$source/examples/vfio-copy.c"

device=edu,addr=05.0
set --
if [ -n "$moat" ]; then
	device=vfio-pci,host=0000:00:05.0,addr=05.0
	set -- "$moat" run --report "$dir/report.json" --format json --device edu --
fi
boot "$source/tests/e2e/guest-init.sh" "$@" qemu-system-x86_64 -M q35 -m 192 \
	-device intel-iommu,intremap=on,caching-mode=on -device "$device" \
	-append 'no_timer_check console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt'

n=$(grep -c '^ok ' "$dir/log")
[ "$n" -ge 33 ] || fail "only $n checks ran in the guest"
if [ -n "$moat" ]; then
	grep -q '"iova": *"0xfff0000"' "$dir/report.json" ||
		fail "the DMA outside guest memory is not in the report"
fi
echo "passed: $n checks in the guest, DMA outside its memory reported"
