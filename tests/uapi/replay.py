#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replay recorded transcripts of VFIO and iommufd calls, each in a machine of its own.

usage: replay.py [-j N] [-k PATTERN] [-v] REPLAY TRANSCRIPTS COMMAND [ARG...]

TRANSCRIPTS is a file of "== NAME" sections, each of which is what a real kernel answered
to a script. The script is what stands before " => " in each line; a "fork" line follows
the lines of the child ("| " before them). COMMAND [ARG...] is put before REPLAY SCRIPT.
Prints TAP, a case for each transcript; -v prints the first line that differs.
"""
import concurrent.futures
import fnmatch
import getopt
import os
import subprocess
import sys
import tempfile


def sections(path):
    name, lines = None, []
    for line in open(path, encoding="utf-8"):
        if line.startswith("== "):
            if name:
                yield name, lines
            name, lines = line[3:].strip(), []
        elif name:
            lines.append(line)
    if name:
        yield name, lines


def script(lines):
    """The operations of a transcript, in the order of the script."""
    blocks = [[]]
    for line in lines:
        depth = 0
        while line.startswith("| "):
            line, depth = line[2:], depth + 1
        op = line.split(" => ")[0].rstrip("\n")
        while len(blocks) <= depth:
            blocks.append([])
        if op == "fork":
            child = blocks.pop() if len(blocks) > depth + 1 else []
            blocks[depth] += ["fork"] + child + ["endfork"]
        else:
            blocks[depth].append(op)
    return "\n".join(blocks[0]) + "\n"


def needs_root(lines):
    """Why a transcript cannot be had without root; docs/caveats.md has the second."""
    ops = script(lines)
    if os.geteuid() == 0:
        return ""
    if "\nsetuid " in ops:
        return "changing the user id needs root"
    if "map_file " in ops and "edu_dma " in ops:
        return "DMA to a file's memory cannot reach the server from a user namespace"
    return ""


def run(command, replay, name, lines, limit=120):
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, name + ".u")
        with open(path, "w", encoding="utf-8") as f:
            f.write(script(lines))
        os.chmod(work, 0o755)
        try:
            r = subprocess.run(command + [replay, path], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit)
        except subprocess.TimeoutExpired as e:
            return False, "timed out after\n" + (e.stdout or b"").decode(errors="replace")[-300:]
    got = r.stdout.decode(errors="replace").splitlines(True)
    if r.returncode:
        got.append("#exit %d %s" % (r.returncode, r.stderr.decode(errors="replace")[-400:]))
    if got == lines:
        return True, ""
    for i in range(max(len(got), len(lines))):
        want = lines[i] if i < len(lines) else "(end)\n"
        have = got[i] if i < len(got) else "(end)\n"
        if want != have:
            return False, "line %d\n  want: %s  got:  %s" % (i + 1, want, have)
    return False, "?"


def main():
    opts, args = getopt.gnu_getopt(sys.argv[1:], "+j:k:v")
    opts = dict(opts)
    if len(args) < 3:
        sys.exit(__doc__)
    replay, path, command = args[0], args[1], args[2:]
    pattern = opts.get("-k", "*")
    cases = [c for c in sections(path) if fnmatch.fnmatch(c[0], pattern)]
    jobs = int(opts.get("-j", os.cpu_count() or 1))
    print("1..%d" % len(cases), flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = [(name, needs_root(lines), None if needs_root(lines) else
                    pool.submit(run, command, replay, name, lines)) for name, lines in cases]
        for n, (name, skip, result) in enumerate(results, 1):
            if skip:
                print("ok %d - %s # SKIP %s" % (n, name, skip), flush=True)
                continue
            good, why = result.result()
            print("%sok %d - %s" % ("" if good else "not ", n, name), flush=True)
            if not good:
                bad += 1
                for line in why.splitlines():
                    print("# " + line)
    if "-v" in opts:
        print("# %d passed, %d failed" % (len(cases) - bad, bad))
    return 1 if bad else 0


sys.exit(main())
