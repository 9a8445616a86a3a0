#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: archive.sh OUT.a MAP CC... -- LIBRARY.a...
# One object of all the libraries, in which only the names of MAP are global, as an archive.
set -eu
out=$1 map=$2
shift 2
cc=
while [ "$1" != -- ]; do
	cc="$cc $1"
	shift
done
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed -n 's/^\t\([a-zA-Z_0-9]*\);$/\1/p' "$map" >"$dir/names"
$cc -r -nostdlib -o "$dir/moat.o" -Wl,--whole-archive "$@" -Wl,--no-whole-archive
objcopy --keep-global-symbols="$dir/names" "$dir/moat.o"
rm -f "$out"
ar rcsD "$out" "$dir/moat.o"
