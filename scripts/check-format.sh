#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is as .clang-format wants it; prints the first difference of each that is not.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
for f in $(git ls-files '*.c' '*.h'); do
	if ! clang-format-14 --dry-run -Werror "$f" >/dev/null 2>&1; then
		clang-format-14 --dry-run "$f" 2>&1 | head -n 1
		bad=1
	fi
done
exit $bad
