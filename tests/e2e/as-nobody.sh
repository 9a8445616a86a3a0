#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: as-nobody.sh COMMAND...   the same as somebody who has no rights
if [ "$(id -u)" != 0 ]; then
	exec "$@"
fi
command -v setpriv > /dev/null || { echo "no setpriv here"; exit 77; }
setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$2" || {
	echo "$2 is out of nobody's reach"
	exit 77
}
unset XDG_RUNTIME_DIR
HOME=/tmp exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
