#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: fuzz-short.sh TARGET SECONDS
# Runs a libFuzzer target on its seed corpus (tests/fuzz/corpus/NAME) for a while.
set -eu
target=$1
seconds=$2
name=$(basename "$target")
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seeds="$top/tests/fuzz/corpus/${name#fuzz_}"
[ -d "$seeds" ] || seeds=
cd "$work"
mkdir new
# shellcheck disable=SC2086 # seeds may be empty
if ! "$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 \
	-print_final_stats=0 new $seeds >log 2>&1; then
	tail -n 40 log
	exit 1
fi
tail -n 1 log
