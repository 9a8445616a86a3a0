#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: run.sh MOAT VFIOCTL [OPTION-OF-MOAT-RUN...]
# What `moat run' promises on its command line: exit status, streams, signals, options;
# that nothing stays behind. Run it as root and as somebody else.
set -u
moat=$1 vfioctl=$2
shift 2
opts=$*
t=$(mktemp -d) || exit 1
trap 'rm -rf "$t"' EXIT
failed=0

check() { # NAME WANT GOT
	if [ "$2" != "$3" ]; then
		echo "FAIL $1: want '$2', got '$3'"
		failed=1
	fi
}
run() { "$moat" run $opts "$@"; }

run -- true; check status-true 0 $?
run -- sh -c 'exit 7'; check status-program 7 $?
run -- sh -c 'kill -TERM $$'; check status-signal 143 $?
run -- sh -c 'kill -KILL $$'; check status-kill 137 $?
run -- "$t/nothing" 2> "$t/err"; check status-missing 127 $?
check missing-says-why 1 "$(grep -c 'No such file' "$t/err")"
: > "$t/plain"
run -- "$t/plain" 2> "$t/err"; check status-not-executable 126 $?
run true; check no-dashes 0 $?
check quiet "" "$(run -- true 2>&1)"
check stdout-is-the-programs hello "$(run -- echo hello)"
check stdin-is-the-programs hello "$(echo hello | run -- cat)"

for bad in --nonsense --machine --format=xml --iommu=zorn; do
	"$moat" run $bad 2> "$t/err"; check "usage $bad" 2 $?
	check "usage says $bad" 1 "$(grep -c '^moat run: ' "$t/err")"
done
"$moat" run 2> /dev/null; check usage-no-program 2 $?
"$moat" nonsense 2> /dev/null; check usage-unknown-command 2 $?
"$moat" --nonsense 2> /dev/null; check usage-unknown-option 2 $?
"$moat" help run | grep -q -- --strict; check help 0 $?
"$moat" help nonsense > /dev/null 2>&1; check help-unknown 2 $?
"$moat" --version | grep -q '^moat [0-9]'; check version 0 $?
run --machine "$t/none.dts" -- true 2> "$t/err"; check machine-missing 125 $?
check machine-missing-says 1 "$(grep -c none.dts "$t/err")"
echo 'not a tree' > "$t/bad.dts"
run --machine "$t/bad.dts" -- true 2> "$t/err"; check machine-malformed 125 $?
check machine-malformed-line 1 "$(grep -c 'bad.dts:[0-9]*: ' "$t/err")"
"$moat" machine list | grep -q '^pc '; check machine-list 0 $?
"$moat" machine show | grep -q '^0000:00:03.0 .*edu.* vfio-pci'; check machine-show 0 $?
"$moat" machine check "$t/bad.dts" 2> /dev/null; check machine-check 1 $?

# The machine is what the program sees.
check devices ok "$(run -- sh -c 'test -e /sys/bus/pci/devices/0000:00:03.0/iommu_group && echo ok')"
check device-node 'character special file' "$(run -- stat -c %F /dev/vfio/vfio)"
check added-device 0x11e8 "$(run --device edu -- cat /sys/bus/pci/devices/0000:00:05.0/device)"
run --device edu --verbose -- true 2>&1 | grep -q '0000:00:05.0'; check added-device-said 0 $?
check no-iommu 0 "$(run --iommu none -- ls /sys/kernel/iommu_groups | wc -l)"
check append identity "$(run --append iommu=pt -- cat /sys/kernel/iommu_groups/3/type)"

# A child, a grandchild and a copy of the shell use one machine.
check shared vfio-pci "$(run -- sh -c '
	(echo 0000:00:03.0 > /sys/bus/pci/drivers/vfio-pci/unbind)
	sh -c "echo 0000:00:03.0 > /sys/bus/pci/drivers/vfio-pci/bind"
	basename $(readlink /sys/bus/pci/devices/0000:00:03.0/driver)')"
check vfio-call 0 "$(run -- "$vfioctl" do 'open c /dev/vfio/vfio' 'api c' | tail -1)"
check errno-of-write ENODEV "$(run -- "$vfioctl" do \
	'write /sys/bus/pci/drivers/vfio-pci/bind junk')"

# A machine is one run's own: two at a time do not see each other.
run -- sh -c 'echo 0000:00:03.0 > /sys/bus/pci/drivers/vfio-pci/unbind; sleep 1' &
sleep 0.3
check own-machine vfio-pci "$(run -- sh -c \
	'basename $(readlink /sys/bus/pci/devices/0000:00:03.0/driver)')"
wait

# Signals that are sent to moat reach the program.
"$moat" run $opts -- sh -c \
	'trap "echo caught; exit 5" USR1; echo ready; while :; do sleep 0.1; done' > "$t/out" &
pid=$!
n=0
until grep -q ready "$t/out" || [ $n = 50 ]; do sleep 0.1; n=$((n + 1)); done
kill -USR1 $pid
wait $pid; check signal-status 5 $?
check signal-caught 1 "$(grep -c caught "$t/out")"

# The report goes where it shall; --strict needs an error.
run --report "$t/report" --format json -- true; check report-status 0 $?
grep -q '"version"' "$t/report"; check report-json 0 $?
run --strict -- true; check strict-clean 0 $?
run --strict -- sh -c 'exit 3'; check strict-programs-status 3 $?

# A real environment is left alone.
check env-kept 'a  b' "$(X='a  b' run -- sh -c 'echo "$X"')"
check umask "$(umask)" "$(run -- sh -c umask)"
check cwd "$(pwd)" "$(run -- pwd)"
check user "$(id -u)" "$(run -- id -u)"
# SIGINT, SIGUSR1, SIGTERM, SIGCHLD are blocked as they were.
blocked='echo $((0x$(sed -n "s/^SigBlk:.*\(........\)$/\1/p" /proc/$$/status) & 0x14202))'
check mask "$(sh -c "$blocked")" "$(run -- sh -c "$blocked")"

[ $failed = 0 ] && echo "run: all as promised"
exit $failed
