#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: installed.sh BUILD SOURCE CC MESON SANITIZER|none
# Programs built as an embedder builds them: against what is installed in a prefix, by
# pkg-config, with the shared library and with the static one, in C and in C++.
set -u
. "$(dirname "$0")/common.sh"
build=$1 source=$2 cc=$3 meson=$4 flags=
[ "$5" = none ] || flags=-fsanitize=$5
cxx=$(cxx_of "$cc")
: >"$work/out"
if ! command -v pkg-config >/dev/null; then
	echo "1..0 # SKIP no pkg-config"
	exit 0
fi

DESTDIR=$work/root "$meson" install --no-rebuild -C "$build" >"$work/out" 2>&1
ok $? api_install_into_a_prefix_succeeds

pc=$(find "$work/root" -name libmoat.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$work/root
pkg-config --exists --print-errors libmoat >"$work/out" 2>&1
ok $? api_pkg_config_knows_libmoat
cflags=$(pkg-config --cflags libmoat) libs=$(pkg-config --libs libmoat)
static=$(find "$work/root" -name libmoat.a)
lib=${static%/*}

! find "$work/root" -path '*/moat/*.h' | xargs grep -n '^#include "' >"$work/out"
ok $? api_installed_headers_include_by_one_root

for name in my-iommu virtual-iommu; do
	id=$(echo $name | tr - _)
	$cc -std=gnu11 -g -Wall -Wextra -Werror $flags $cflags -o "$work/$name" \
		"$source/examples/$name.c" $libs >"$work/out" 2>&1 &&
		LD_LIBRARY_PATH=$lib "$work/$name" >"$work/out" 2>&1 &&
		[ "$(tail -n 1 "$work/out")" = ok ]
	ok $? "api_${id}_on_the_installed_library_runs"
	$cc -std=gnu11 -g $flags $cflags -o "$work/$name-static" "$source/examples/$name.c" \
		"$static" -pthread >"$work/out" 2>&1 && "$work/$name-static" >"$work/out" 2>&1 &&
		[ "$(tail -n 1 "$work/out")" = ok ]
	ok $? "api_${id}_on_the_static_library_runs"
done

# A name of the inside cannot be reached, and is free for the program's own use.
cat >"$work/inside.c" <<'END'
#include <moat/machine.h>
extern struct translator *translator_get_slow(struct hw *hw);
int main(void) { return translator_get_slow(0) != 0; }
END
! $cc $flags $cflags -o "$work/inside" "$work/inside.c" $libs >"$work/out" 2>&1 &&
	grep -q 'undefined reference.*translator_get_slow' "$work/out"
ok $? api_internal_name_does_not_link
sed 's/^extern.*/int translator_get_slow(struct hw *hw); int translator_get_slow(struct hw *hw) { return hw != 0; }/' \
	"$work/inside.c" >"$work/own.c"
$cc $flags $cflags -o "$work/own" "$work/own.c" "$static" -pthread >"$work/out" 2>&1 &&
	"$work/own"
ok $? api_internal_name_is_free_for_the_program

if [ -n "$cxx" ]; then
	cat >"$work/machine.cc" <<'END'
#include <cstdio>
#include <moat/iommu.h>
#include <moat/machine.h>
#include <string>
int main()
{
	machine *m;
	if (machine_create(&m, 16 << 20, 4, "iommu.passthrough=1") || iommu_core_create(m))
		return 1;
	std::string line = m->cmdline;
	iommu_group *group = iommu_group_alloc(m);
	bool good = iommu_default_passthrough(m) && iommu_group_id(group) == 0 &&
		    line == "iommu.passthrough=1";
	iommu_group_put(group);
	iommu_core_destroy(m);
	machine_destroy(m);
	std::puts(good ? "ok" : "wrong");
	return !good;
}
END
	"$cxx" -std=c++17 -Wall $flags $cflags -o "$work/machine" "$work/machine.cc" $libs \
		>"$work/out" 2>&1 && LD_LIBRARY_PATH=$lib "$work/machine" >"$work/out" 2>&1
	ok $? api_cxx_program_on_the_installed_library_runs
else
	skip api_cxx_program_on_the_installed_library_runs "no C++ compiler"
fi
finish
