#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: qemu.sh MOAT SOURCE CACHE
# Debian's QEMU under TCG boots Debian's cloud kernel with an edu of Moat's assigned
# through vfio-pci. The guest has an IOMMU of its own, so it drives the device by
# physical addresses first and through its own VFIO then (guest-edu.c, vfio-copy).
# MOAT= (empty) runs the same with QEMU's own edu: the reference.
# The kernel package is taken from CACHE, or downloaded there once.
set -u
moat=$1 source=$2 cache=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

skip() {
	echo "skipped: $*"
	exit 77
}

for tool in qemu-system-x86_64 busybox gzip cc dpkg-deb; do
	command -v "$tool" >/dev/null || skip "no $tool here"
done
busybox --list | grep -qx cpio || skip "this busybox has no cpio"

mkdir -p "$cache"
deb=$(ls "$cache"/linux-image-*-cloud-amd64_*.deb 2>/dev/null | tail -n 1)
if [ -z "$deb" ]; then
	command -v apt-get >/dev/null || skip "no apt-get to fetch a kernel with"
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$package" ] || skip "package linux-image-cloud-amd64 is not known here"
	(cd "$cache" && apt-get -qq download "$package") >/dev/null 2>&1 ||
		skip "package $package cannot be downloaded"
	deb=$(ls "$cache"/linux-image-*-cloud-amd64_*.deb 2>/dev/null | tail -n 1)
fi
dpkg-deb -x "$deb" "$dir/kernel" || skip "$deb cannot be unpacked"

mkdir -p "$dir/root/bin" "$dir/root/modules"
cp "$(command -v busybox)" "$dir/root/bin/busybox"
for p in "$source/tests/e2e/guest-edu.c" "$source/examples/vfio-copy.c"; do
	cc -static -O1 -D_GNU_SOURCE -o "$dir/root/bin/$(basename "$p" .c)" "$p" 2>"$dir/cc" ||
		{ cat "$dir/cc"; skip "no static linking here"; }
done
find "$dir/kernel/lib/modules" -name 'vfio*.ko*' -o -name 'irqbypass.ko*' |
	while read -r ko; do cp "$ko" "$dir/root/modules/"; done
cp "$source/tests/e2e/guest-init.sh" "$dir/root/init"
chmod +x "$dir/root/init"
(cd "$dir/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$dir/initrd"

if [ -n "$moat" ]; then
	set -- "$moat" run --report "$dir/report.json" --format json --device edu --
	device=vfio-pci,host=0000:00:05.0,addr=05.0
else
	set --
	device=edu,addr=05.0
fi
timeout 200 "$@" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 192 -nodefaults \
	-no-user-config -display none -serial stdio -no-reboot \
	-device intel-iommu,intremap=on,caching-mode=on -device "$device" \
	-kernel "$dir"/kernel/boot/vmlinuz-* -initrd "$dir/initrd" \
	-append 'console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt' \
	</dev/null >"$dir/out" 2>&1
status=$?
tr -d '\r' <"$dir/out" >"$dir/log"
cat "$dir/log"

fail() {
	echo "FAILED: $*"
	exit 1
}

[ $status -eq 0 ] || fail "QEMU exited with $status"
grep -q '^end of guest' "$dir/log" || fail "the guest did not come to its end"
! grep -q '^not ok' "$dir/log" || fail "$(grep -c '^not ok' "$dir/log") checks in the guest"
n=$(grep -c '^ok ' "$dir/log")
[ "$n" -ge 33 ] || fail "only $n checks ran in the guest"
if [ -n "$moat" ]; then
	grep -q '"iova": *"0xfff0000"' "$dir/report.json" ||
		fail "the DMA outside guest memory is not in the report"
fi
echo "passed: $n checks in the guest, DMA outside its memory reported"
