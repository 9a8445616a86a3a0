#!/bin/sh
# SPDX-License-Identifier: MIT
# The layer check passes on the tree, and fails on each kind of planted violation.
set -u
top=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
bad=0

ok() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}

# plant FILE INCLUDE: a tree of one file that includes what it says
refused() {
	rm -rf "$work/tree"
	mkdir -p "$work/tree/$(dirname "$1")"
	printf '#include "%s"\n' "$2" >"$work/tree/$1"
	! python3 "$top/scripts/check-layers.py" "$work/tree" >"$work/out" 2>&1 &&
		grep -q "$1:1: " "$work/out"
	ok $? "layers_$(echo "$1-$2" | tr './-' '___')_refused"
}

accepted() {
	rm -rf "$work/tree"
	mkdir -p "$work/tree/$(dirname "$1")"
	printf '#include "%s"\n' "$2" >"$work/tree/$1"
	python3 "$top/scripts/check-layers.py" "$work/tree" >"$work/out" 2>&1
	ok $? "layers_$(echo "$1-$2" | tr './-' '___')_accepted"
}

echo 1..11
python3 "$top/scripts/check-layers.py" "$top" >"$work/out" 2>&1
status=$?
[ $status -eq 0 ] || sed 's/^/# /' "$work/out"
ok $status layers_tree_holds
refused machine/a.c iommu/iommu.h
refused iommu/a.c vfio/vfio.h
refused units/vtd/a.c pgtable/pgtable.h
refused units/vtd/a.c drivers/vtd/a.h
refused drivers/vtd/a.c units/vtd/vtd_unit.h
refused endpoints/ioat/a.c iommu/iommu.h
refused preload/a.c vfio/vfio.h
accepted drivers/vtd/a.c units/vtd/vtd_regs.h
accepted preload/a.c server/wire.h
accepted server/a.c vfio/vfio.h
exit $bad
