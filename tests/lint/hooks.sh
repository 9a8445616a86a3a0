#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: hooks.sh EXPORTS.MAP LIBRARY
# The library never calls a function that it wraps, whichever object of it the call is
# in, and it exports the hooks and no more.
set -u
map=$1 library=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0

sed -n 's/^\t\([a-z_A-Z0-9]*\);$/\1/p' "$map" | sort >"$dir/hooks"
[ -s "$dir/hooks" ] || { echo "not ok: no hooks in $map"; exit 1; }
objdump -d --no-show-raw-insn "$library" >"$dir/code" || exit 1
[ "$(grep -c 'call ' "$dir/code")" -gt 100 ] || { echo "not ok: no code"; exit 1; }
# "call 1f0 <open>" or "jmp 1f0 <open@plt>"; "<open+0x20>" is a jump inside the hook.
sed -n 's/^.*\(call\|jmp\) .*<\([A-Za-z0-9_]*\)\(@plt\|@@*[A-Z0-9_.]*\)*>$/\2/p' "$dir/code" |
	sort -u >"$dir/calls"
for name in $(comm -12 "$dir/hooks" "$dir/calls"); do
	echo "not ok: something calls $name"
	bad=1
done
nm -D --defined-only "$library" | awk '{ print $3 }' | sed 's/@.*//' | sort -u >"$dir/exports"
if ! cmp -s "$dir/hooks" "$dir/exports"; then
	echo "not ok: exports differ from $map"
	diff "$dir/hooks" "$dir/exports"
	bad=1
fi
[ $bad = 0 ] && echo "ok: $(wc -l <"$dir/hooks") hooks are called by nobody inside"
exit $bad
