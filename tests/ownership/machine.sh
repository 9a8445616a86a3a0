#!/bin/sh
# SPDX-License-Identifier: MIT
# The -r and -x halves of check-ownership.sh for Moat: "machine.sh make IOMMU ARGUMENTS"
# remembers what the next scenario wants, "machine.sh enter PROGRAM..." runs it so.
# MOAT, MACHINES (the folder of machine files) and STATE (a scratch file) are given.
set -u
what=$1
shift
if [ "$what" = make ]; then
	case $1 in
	intel) file=golden-groups.dts kind= ;;
	intel-noir) file=golden-groups-noir.dts kind= ;;
	intel-cm) file=golden-groups-cm.dts kind= ;;
	none) file=golden-groups.dts kind=none ;;
	amd) file=golden-groups.dts kind=amd ;;
	*) exit 77 ;; # no such IOMMU yet
	esac
	printf '%s\n%s\n%s\n' "$file" "$kind" "${2-}" > "$STATE"
	exit 0
fi
{ read -r file; read -r kind; read -r append; } < "$STATE"
# shellcheck disable=SC2086 # MOAT_RUN is a list of options
exec "$MOAT" run ${MOAT_RUN-} --machine "$MACHINES/$file" ${kind:+--iommu "$kind"} \
	${append:+--append "$append"} -- "$@"
