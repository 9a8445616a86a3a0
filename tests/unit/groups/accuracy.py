#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The groups of real machines: usage: accuracy.py MOAT DATA [--table]

DATA holds dumps and boot logs and the groups that Linux reported there. A dump that
shows ACS must give the same groups; where it is not shown, whatever is called certain
must be so. --table prints what docs/groups-accuracy.md has. Exit status 77: no data.
"""
import glob
import json
import os
import subprocess
import sys

moat, data = sys.argv[1:3]
table = "--table" in sys.argv
failed = seen = 0


def truth_of(path):
    with open(path) as f:
        rows = (line.split() for line in f)
        return {r[1]: r[0] for r in rows if len(r) >= 2 and r[0].isdigit()}


def partition(devices, key):
    groups = {}
    for d in devices:
        groups.setdefault(key[d], set()).add(d)
    return {d: frozenset(groups[key[d]]) for d in devices}


def check(kind, name, args, truth_path):
    global failed, seen
    run = subprocess.run([moat, "groups", "--format", "json", *args],
                         capture_output=True, text=True)
    if run.returncode:
        # A log that starts after the enumeration has nothing to form groups from.
        if "no PCI function in it" not in run.stderr:
            failed += 1
            print("FAILED", name, run.stderr)
        elif table:
            print(f"| {kind} | {name} | - | - | - | - | the log lacks the enumeration |")
        return
    truth = truth_of(truth_path)
    devices = {d["address"]: d for d in json.loads(run.stdout)["devices"]
               if d["group"] is not None}
    both = [d for d in truth if d in devices]
    want = partition(both, truth)
    have = partition(both, {d: devices[d]["group"] for d in both})
    certain = [d for d in both if devices[d]["certain"]]
    wrong = [d for d in certain if want[d] != have[d]]
    differ = [d for d in both if want[d] != have[d]]
    seen += 1
    if wrong:
        failed += 1
        print("FAILED", name, "differs for", " ".join(sorted(wrong)))
    if table:
        notes = []
        if len(truth) > len(both):
            notes.append(f"{len(truth) - len(both)} devices are only in the boot log")
        if differ and not wrong:
            notes.append("ACS not shown by the source")
        print(f"| {kind} | {name} | {len(both)} | {len(certain)} | {len(wrong)} | "
              f"{len(differ)} | {'; '.join(notes)} |")


if not os.path.isdir(os.path.join(data, "pci-cases")):
    print("no data of real machines beside the tree")
    sys.exit(77)
for kind in ("pci-cases", "pci-partial"):
    for case in sorted(glob.glob(os.path.join(data, kind, "*"))):
        dump, log, truth = (os.path.join(case, f)
                            for f in ("lspci.txt", "dmesg.txt", "groups.tsv"))
        if os.path.exists(dump) and os.path.exists(truth):
            check(kind, os.path.basename(case),
                  ["--lspci", dump] + (["--dmesg", log] if os.path.exists(log) else []),
                  truth)
for log in sorted(glob.glob(os.path.join(data, "pci-dmesg-only", "*.dmesg.txt"))):
    check("boot log", os.path.basename(log)[:-len(".dmesg.txt")], ["--dmesg", log],
          log[:-len(".dmesg.txt")] + ".groups.tsv")
if not table:
    print(seen, "machines,", failed, "wrong")
sys.exit(1 if failed else 0)
