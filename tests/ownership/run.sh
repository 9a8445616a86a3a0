#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: run.sh MOAT VFIOCTL SOURCE [OPTION-OF-MOAT-RUN...]
# All recorded scenarios of binding, ownership, group types and hot plug.
set -u
MOAT=$1 VFIOCTL=$2 here=$3/tests/ownership MACHINES=$3/machines
shift 3
MOAT_RUN=$*
TMPDIR=$(mktemp -d) || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
STATE=$TMPDIR/machine
export MOAT VFIOCTL MACHINES MOAT_RUN TMPDIR STATE
"$here/check-ownership.sh" -v -r "sh $here/machine.sh make" -x "sh $here/machine.sh enter" \
	"$here/scenarios"
