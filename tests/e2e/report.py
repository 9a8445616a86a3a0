#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the report says of one wrong thing each (wrong.c), and that it says nothing else.

usage: report.py MOAT WRONG
"""
import json
import subprocess
import sys
import tempfile

MOAT, WRONG = sys.argv[1:3]
n = 0
bad = 0


def run(kind, *options):
    with tempfile.NamedTemporaryFile() as f:
        r = subprocess.run([MOAT, "run", "--report", f.name, "--format", "json", *options, "--",
                            WRONG, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60)
        text = f.read().decode()
    return r, json.loads(text) if text else None


def ok(good, name, why=""):
    global n, bad
    n += 1
    print("%sok %d - %s" % ("" if good else "not ", n, name), flush=True)
    if not good:
        bad += 1
        print("# " + str(why)[:2000].replace("\n", "\n# "))


def symbols(trace):
    return " ".join(f.get("symbol", "") for f in (trace or {}).get("frames", []))


def one(kind, severity, code, *options, **want):
    """Exactly one distinct record, of this kind, with these fields."""
    r, report = run(kind, *options)
    records = report["records"] if report else []
    good = r.returncode == 0 and len(records) == 1
    rec = records[0] if records else {}
    good = good and rec["severity"] == severity and rec["kind"] == code
    for key, value in want.items():
        got = rec
        for part in key.split("__"):
            got = got.get(part, {}) if isinstance(got, dict) else {}
        good = good and (value(got) if callable(value) else got == value)
    ok(good, "report_%s_is_told" % kind.replace("-", "_"), (r.stderr, report))


print("1..14")
r, report = run("nothing")
ok(r.returncode == 0 and report["records"] == [], "report_correct_program_is_clean",
   (r.stderr, report))
one("past-end", "error", "not-present", device="0000:00:03.0 (edu)", operation="write",
    iova="0x102010", length=64, where="after", distance=16, mapping__iova="0x100000",
    mapping__last="0x101fff", at=lambda t: "run_dma" in symbols(t),
    mapping__mapped_by=lambda t: "map_memory" in symbols(t))
one("after-unmap", "error", "not-present", operation="read", where="inside", distance=8,
    mapping__unmapped=True, title="DMA after unmap",
    mapping__unmapped_by=lambda t: "unmap_memory" in symbols(t))
one("read-only", "error", "write-not-permitted", title="DMA write to a read-only mapping",
    mapping__write=False, mapping__read=True)
one("write-only", "error", "read-not-permitted", title="DMA read from a write-only mapping",
    mapping__write=True, mapping__read=False)
one("never", "error", "not-present", where="nowhere", count=3,
    title="DMA to an address that was never mapped")
one("munmap", "warning", "memory-unmapped", length=0x2000,
    at=lambda t: "main" in symbols(t))
one("mprotect", "warning", "memory-protected", length=0x2000)
one("left", "warning", "mappings-left", mappings=1,
    mapped_by=lambda t: "map_memory" in symbols(t))
one("width", "warning", "mmio-width", bar=0, offset="0x1", width=1, operation="read")
one("forged-msi", "error", "interrupt-blocked", "--device", "edu,dma-mask=0xffffffff",
    device="0000:00:05.0 (edu)", operation="write")

r, _ = run("past-end", "--strict")
ok(r.returncode == 99, "report_strict_error_exits_99", r.returncode)
r, _ = run("left", "--strict")
ok(r.returncode == 0, "report_strict_warning_exits_0", r.returncode)
r = subprocess.run([MOAT, "run", "--", WRONG, "past-end"], stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE, timeout=60)
text = r.stderr.decode()
ok("ERROR: Moat: DMA past the end of a mapping" in text and
   "is 16 bytes past the end of the 8192-byte read and write mapping" in text and
   "wrong.c:" in text and "SUMMARY: Moat: 1 error, 0 warnings" in text and
   not r.stdout, "report_text_names_place_and_line", text)
sys.exit(1 if bad else 0)
