#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's first process: loads the I/OAT driver and looks at what it says.
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
export PATH=/bin
/bin/busybox --install -s /bin

check() {
	name=$1
	shift
	if "$@"; then echo "ok $name"; else echo "not ok $name"; fi
}
interrupts() {
	awk '/ioat-msix/ { n += $2 } END { exit n == 0 }' /proc/interrupts
}
quiet() {
	! dmesg | grep -iE 'ioatdma.*(fail|error|timed out|halted|CHANERR)'
}

for m in dca ioatdma; do
	insmod /modules/$m.ko
done
sleep 1
check "a channel is registered" test -d /sys/class/dma/dma0chan0
check "it can copy" grep -q copy /sys/class/dma/dma0chan0/quickdata/cap
check "its interrupt arrived" interrupts
check "the driver has no complaint" quiet
echo "end of guest"
poweroff -f
