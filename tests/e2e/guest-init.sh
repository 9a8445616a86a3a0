#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's first process: finds its edu device, drives it two ways, powers off.
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
export PATH=/bin
/bin/busybox --install -s /bin
edu=
for d in /sys/bus/pci/devices/*; do
	[ "$(cat "$d/vendor"):$(cat "$d/device")" = 0x1234:0x11e8 ] && edu=${d##*/}
done
if [ -z "$edu" ]; then
	echo "not ok enumeration: no 1234:11e8 in the guest"
	poweroff -f
fi
echo "ok enumeration as $edu, class $(cat /sys/bus/pci/devices/$edu/class), revision $(cat /sys/bus/pci/devices/$edu/revision)"
guest-edu mmio "$edu" 0x0fff0000
for m in irqbypass vfio vfio_iommu_type1 vfio_virqfd vfio-pci-core vfio-pci; do
	[ ! -f "/modules/$m.ko" ] || insmod "/modules/$m.ko" || echo "not ok insmod $m"
done
echo vfio-pci >/sys/bus/pci/devices/$edu/driver_override
echo "$edu" >/sys/bus/pci/drivers_probe
guest-edu vfio "$edu"
[ ! -x /bin/vfio-copy ] || vfio-copy --size 20000 && echo "ok vfio-copy in the guest"
echo "end of guest"
poweroff -f
