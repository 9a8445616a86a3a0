# SPDX-License-Identifier: MIT
# For scripts that boot a Debian kernel in QEMU: sourced, with $source and $cache set.
# Makes $dir, which goes away at the end.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

skip() {
	echo "skipped: $*"
	exit 77
}

fail() {
	echo "FAILED: $*"
	exit 1
}

for tool in qemu-system-x86_64 busybox gzip cc dpkg-deb; do
	command -v "$tool" >/dev/null || skip "no $tool here"
done
busybox --list | grep -qx cpio || skip "this busybox has no cpio"

kernel_package() {
	find "$cache" -name 'linux-image-*.deb' | grep -E "linux-image-[0-9.]+-[0-9]+-$1_" |
		sort | tail -n 1
}

# kernel FLAVOUR: unpack Debian's kernel of that flavour ("cloud-amd64", "amd64") into
# $dir/kernel; the package comes from $cache, or is downloaded there once.
kernel() {
	mkdir -p "$cache"
	deb=$(kernel_package "$1")
	if [ -z "$deb" ]; then
		command -v apt-get >/dev/null || skip "no apt-get to fetch a kernel with"
		package=$(apt-cache depends "linux-image-$1" 2>/dev/null |
			awk '/Depends: linux-image/ { print $2; exit }')
		[ -n "$package" ] || skip "package linux-image-$1 is not known here"
		(cd "$cache" && apt-get -qq download "$package") >/dev/null 2>&1 ||
			skip "package $package cannot be downloaded"
		deb=$(kernel_package "$1")
	fi
	dpkg-deb -x "$deb" "$dir/kernel" || skip "$deb cannot be unpacked"
	mkdir -p "$dir/root/bin" "$dir/root/modules"
	cp "$(command -v busybox)" "$dir/root/bin/busybox"
}

# modules NAME...: put them into the guest's /modules.
modules() {
	for module in "$@"; do
		find "$dir/kernel/lib/modules" -name "$module.ko*" -exec cp {} "$dir/root/modules/" \;
	done
}

# program FILE.c: build it statically into the guest's /bin.
program() {
	cc -static -O1 -D_GNU_SOURCE -o "$dir/root/bin/$(basename "$1" .c)" "$1" 2>"$dir/cc" ||
		{ cat "$dir/cc"; skip "no static linking here"; }
}

# boot INIT COMMAND...: run "COMMAND... qemu-system-x86_64 ..." with the guest's /init;
# the console is in $dir/log, the exit status in $status.
boot() {
	cp "$1" "$dir/root/init"
	chmod +x "$dir/root/init"
	(cd "$dir/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$dir/initrd"
	shift
	timeout 200 "$@" -kernel "$dir"/kernel/boot/vmlinuz-* -initrd "$dir/initrd" \
		-accel tcg -cpu max -nodefaults -no-user-config -display none -serial stdio \
		-no-reboot </dev/null >"$dir/out" 2>&1
	status=$?
	tr -d '\r' <"$dir/out" >"$dir/log"
	cat "$dir/log"
	[ $status -eq 0 ] || fail "QEMU exited with $status"
	grep -q '^end of guest' "$dir/log" || fail "the guest did not come to its end"
	! grep -q '^not ok' "$dir/log" || fail "$(grep -c '^not ok' "$dir/log") checks in the guest"
}
