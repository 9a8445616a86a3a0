#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold the layers: a folder includes only what lies above it in docs/architecture.md.

usage: check-layers.py [ROOT]

Every '#include "folder/..."' of a file in a layer is checked; system headers are not.
"""
import os
import re
import sys

# Each folder may include those before it, unless it is in ONLY.
ORDER = ["base", "machine", "pci", "of", "acpi", "pgtable", "iommu", "units", "drivers",
         "dma", "vfio", "iommufd", "endpoints", "server", "preload", "cli"]
# pci/, of/ and acpi/ stand on one level.
LEVEL = {"of": "pci", "acpi": "pci", "iommufd": "vfio"}
ONLY = {
    "units": ["base", "machine"],
    "endpoints": ["base", "machine", "pci", "of"],
    "preload": ["base", "machine", "units", "endpoints"],
}
# Single headers that a folder may use beyond that.
EXTRA = {
    ("preload", "server/wire.h"),
}
# A driver shares with its unit the register layout and nothing else.
UNIT_SHARED = re.compile(r"units/(\w+)/\w*regs\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def level(folder):
    return ORDER.index(LEVEL.get(folder, folder))


def allowed(src, path):
    folder = path.split("/")[0]
    if folder == src or folder == "include" or folder not in ORDER:
        return True
    if (src, path) in EXTRA:
        return True
    if src == "drivers" and folder == "units":
        return bool(UNIT_SHARED.match(path))
    if src in ONLY:
        return folder in ONLY[src]
    return level(folder) <= level(src)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    bad = files = 0
    for src in ORDER:
        for where, _, names in os.walk(os.path.join(root, src)):
            for name in names:
                if not name.endswith((".c", ".h")):
                    continue
                files += 1
                full = os.path.join(where, name)
                text = open(full, encoding="utf-8").read()
                for m in INCLUDE.finditer(text):
                    if not allowed(src, m.group(1)):
                        line = text.count("\n", 0, m.start(1)) + 1
                        print("%s:%d: %s/ must not include %s" % (full, line, src, m.group(1)))
                        bad += 1
    if not bad:
        print("layers: %d files hold" % files)
    return 1 if bad else 0


sys.exit(main())
