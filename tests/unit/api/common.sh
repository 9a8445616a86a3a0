# SPDX-License-Identifier: MIT
# For the tests of libmoat as an embedder sees it: TAP, and the compilers.
n=0
bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ok() { # STATUS NAME; what is in $work/out explains a failure
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$work/out" | head -n 20
		bad=1
	fi
}

skip() { # NAME REASON
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

finish() {
	echo "1..$n"
	exit $bad
}

# The C++ compiler beside C compiler $1; empty when there is none.
cxx_of() {
	case $1 in
	*clang*) set -- "$(echo "$1" | sed 's/clang/clang++/')" clang++ ;;
	*) set -- "$(echo "$1" | sed 's/gcc/g++/')" g++ ;;
	esac
	for cxx; do
		case $cxx in *++*) command -v "$cxx" && return ;; esac
	done
	return 0
}
