#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run all tests of a build directory and count test cases, not programs.

usage: check.py BUILD [meson test arguments]

The last line is "N passed, N failed" with ", N skipped" where something was
skipped; each failure and each reason to skip is named above it.
"""
import os
import subprocess
import sys
import xml.etree.ElementTree as ET


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = sys.argv[1]
    junit = os.path.join(build, "meson-logs", "testlog.junit.xml")
    if os.path.exists(junit):
        os.unlink(junit)
    run = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs"]
                         + sys.argv[2:])
    if not os.path.exists(junit):
        print("0 passed, 1 failed")
        return 1

    passed = failed = skipped = 0
    for suite in ET.parse(junit).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            name = "%s: %s" % (suite.get("name"), case.get("name"))
            if case.find("failure") is not None or case.find("error") is not None:
                print("FAILED %s" % name)
                failed += 1
            elif case.find("skipped") is not None:
                out = (case.findtext("system-out") or suite.findtext("system-out") or "").strip()
                print("skipped %s: %s" % (name, out.splitlines()[-1] if out else "no reason given"))
                skipped += 1
            else:
                passed += 1
    if run.returncode and not failed:
        failed = 1
    print("%d passed, %d failed%s" % (passed, failed,
                                      ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


sys.exit(main())
