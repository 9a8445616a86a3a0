#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: headers.sh TREE CC
# Each public header compiles alone, in C and in C++, without a warning, and says so when
# something that it needs is missing.
set -u
. "$(dirname "$0")/common.sh"
tree=$1 cc=$2
cxx=$(cxx_of "$cc")
: >"$work/out"
quiet=

compile() { # HEADER COMPILER ARG...: twice, so that the guard is seen to work
	header=$1
	shift
	printf '#include <moat/%s>\n#include <moat/%s>\n' "$header" "$header" >"$work/a.src"
	"$@" -Wall -Wextra $quiet -Werror -I"$tree" \
		-c -o "$work/a.o" "$work/a.src" >"$work/out" 2>&1
}

headers=$(cd "$tree/moat" && ls *.h uapi/*.h | grep -v '^cxx_')
for h in $headers; do
	name=$(echo "$h" | tr './-' '___')
	compile "$h" "$cc" -x c -std=gnu11
	ok $? "api_${name}_alone_compiles"
	if [ -n "$cxx" ]; then
		compile "$h" "$cxx" -x c++ -std=c++17
		ok $? "api_${name}_alone_compiles_as_cxx"
	else
		skip "api_${name}_alone_compiles_as_cxx" "no C++ compiler"
	fi
done

# What they are made of stands alone in C; there it is for the embedder to ask for quiet.
quiet="-Wno-unused-parameter -Wno-sign-compare"
for h in $(cd "$tree/moat" && ls */*.h */*/*.h | grep -v '^uapi/'); do
	compile "$h" "$cc" -x c -std=gnu11 || break
done
ok $? api_inner_headers_alone_compile

# Beside the headers of the C++ library, whose names ours must not take.
if [ -n "$cxx" ]; then
	{
		for h in $headers; do echo "#include <moat/$h>"; done
		echo '#include <algorithm>'
		echo '#include <atomic>'
		echo '#include <limits>'
		echo 'struct mine { private: int x; public: int get() { return std::max(x, 1); } };'
		echo 'int take(mine &m) { std::atomic<int> a{m.get()}; return std::min(a.load(), 2); }'
		echo 'enum { BIT, ALIGN, likely };'
		echo 'unsigned cls(const dma_fault &f) { return f.class_; }'
	} >"$work/all.cc"
	"$cxx" -std=c++17 -Wall -Wextra -Werror -I"$tree" \
		-c -o "$work/a.o" "$work/all.cc" >"$work/out" 2>&1
	ok $? api_all_headers_beside_the_cxx_library_compile
else
	skip api_all_headers_beside_the_cxx_library_compile "no C++ compiler"
fi

mkdir -p "$work/planted/moat"
echo 'int planted(struct nowhere here);' >"$work/planted/moat/planted.h"
tree=$work/planted
! compile planted.h "$cc" -x c -std=gnu11
ok $? api_header_that_does_not_stand_alone_is_found
finish
