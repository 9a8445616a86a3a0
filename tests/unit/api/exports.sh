#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: exports.sh TREE LIBRARY.so LIBRARY.a CC
# The library exports what its headers declare and no more, each name with a version, and
# needs nothing but libc. gcc's own list of prototypes is the judge of what is declared.
set -u
. "$(dirname "$0")/common.sh"
tree=$1 so=$2 archive=$3 cc=$4
: >"$work/out"

nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' | sort -u >"$work/versioned"
sed 's/@.*//' "$work/versioned" | sort -u >"$work/exported"
[ -s "$work/exported" ]
ok $? api_library_exports_something

grep -v '@@MOAT_[0-9]' "$work/versioned" | grep -v '^__\(a\|l\|t\|ub\)san\|^__odr_asan' >"$work/out"
[ ! -s "$work/out" ]
ok $? api_exports_all_have_a_version

if command -v gcc >/dev/null; then
	for h in "$tree"/moat/*.h; do
		case $h in */cxx_*) ;; *) echo "#include \"$h\"" ;; esac
	done >"$work/all.c"
	gcc -std=gnu11 -I"$tree" -fsyntax-only -aux-info "$work/protos" "$work/all.c" 2>"$work/out"
	# /* FILE:LINE:NC */ extern TYPE NAME (ARGUMENTS);
	grep -F "/* $tree/" "$work/protos" | grep -v '\*/ static ' |
		sed 's/^.*\*\/ extern //; s/ (.*//; s/^.*[ *]//' | sort -u >"$work/declared"
	{
		comm -23 "$work/declared" "$work/exported" | sed 's/^/declared, not exported: /'
		# Variables are in no list of prototypes.
		comm -13 "$work/declared" "$work/exported" | while read -r name; do
			nm -D "$so" | grep -q " [BDR] $name@" &&
				grep -rqw "$name" "$tree/moat" ||
				echo "exported, not declared: $name"
		done
	} | grep -v ': __\(asan\|odr_asan\)' >"$work/out"
	[ -s "$work/declared" ] && [ ! -s "$work/out" ]
	ok $? api_exports_are_what_headers_declare
else
	skip api_exports_are_what_headers_declare "no gcc"
fi

nm --defined-only --extern-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' |
	sort -u >"$work/static"
comm -3 "$work/static" "$work/exported" | grep -v '__odr_asan' >"$work/out"
[ -s "$work/static" ] && [ ! -s "$work/out" ]
ok $? api_static_library_has_the_same_names

readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
	grep -v '^libc\.so\|^ld-linux\|^libm\.so\|^libpthread\|^lib[a-z]*san\.so\|^libgcc_s\.so\|^libclang_rt' \
		>"$work/out"
[ ! -s "$work/out" ]
ok $? api_library_needs_libc_alone
finish
