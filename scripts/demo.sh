#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: demo.sh BUILD
# An unmodified VFIO program on a machine that is not there; then the same program with
# a bug that hardware would have turned into silent corruption.
set -u
build=$1
moat=$build/moat
copy=$build/examples/vfio-copy

show() {
	printf '\n$ %s\n' "$*"
	"$@"
	printf '(exit status %d)\n' $?
}

show "$moat" run -- sh -c 'lspci -nn; ls -d /sys/kernel/iommu_groups/*/devices/*'
show "$moat" run -- "$copy"
echo
echo "The same copy, with a DMA after unmap:"
show "$moat" run --strict -- "$copy" --bug
exit 0
