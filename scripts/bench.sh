#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: bench.sh BUILD
# All figures of bench/, each beside a reference measured in the same run. Meaningful
# in an optimised build on an idle machine: meson setup --buildtype=release.
set -u
build=$1

title() {
	printf '\n== %s\n' "$*"
}

title "data plane: translation, DMA, pinning"
[ ! -x "$build/bench/machine-bench" ] || "$build/bench/machine-bench"
title "map and unmap through the core and the VT-d driver"
[ ! -x "$build/bench/map-bench" ] || "$build/bench/map-bench"
title "in a program under moat run: traps, ioctls, copies"
"$build/moat" run -- "$build/bench/vfio-bench"
title "start-up of moat run -- true"
"$build/bench/spawn-bench" "$build/moat" run --
