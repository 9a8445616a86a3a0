#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What of the headers is public: the tree to install, and the names to export.

usage: headers.py build ROOT TREE MAP STAMP DEPFILE VERSION CC...
           copy include/moat and all that it includes from ROOT to TREE, and write a
           linker version script to MAP
       headers.py install ROOT INCLUDEDIR
           the same tree, below $MESON_INSTALL_DESTDIR_PREFIX/INCLUDEDIR

A header of folder/ becomes moat/folder/; includes of such files are rewritten to
<moat/folder/name.h>, so one -I is enough and nothing of ours shadows an embedder's
headers. Exported is each function and variable that a header of the tree declares,
found in what the preprocessor leaves of it.
"""
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^(\s*#\s*include\s+)"([^"]+)"', re.M)


def write(path, text):
    """Leaves a file alone that is as it should be: what depends on it stays built."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def tree(root, out):
    """Fills @out; returns the files and directories that it was made from."""
    public = os.path.join(root, "include", "moat")
    todo = []
    for where, _, names in os.walk(public):
        for name in sorted(names):
            if name.endswith(".h"):
                todo.append(os.path.relpath(os.path.join(where, name),
                                            os.path.join(root, "include")))
    seen, read, made = set(todo), [public], set()
    while todo:
        name = todo.pop()
        src = os.path.join(root, "include" if name.startswith("moat/") else "", name)
        read.append(src)

        def rewrite(m):
            inc = m.group(2)
            if inc not in seen:
                seen.add(inc)
                todo.append(inc)
            return '%s<%s>' % (m.group(1), inc if inc.startswith("moat/") else "moat/" + inc)

        with open(src, encoding="utf-8") as f:
            text = INCLUDE.sub(rewrite, f.read())
        dst = os.path.join(out, name if name.startswith("moat/") else "moat/" + name)
        write(dst, text)
        made.add(os.path.abspath(dst))
    for where, _, names in os.walk(os.path.join(out, "moat")):
        for name in names:
            old = os.path.abspath(os.path.join(where, name))
            if old not in made and old.endswith(".h"):
                os.unlink(old)
    return read


def public_headers(top):
    where = os.path.join(top, "moat")
    return sorted(n for n in os.listdir(where)
                  if n.endswith(".h") and not n.startswith("cxx_"))


def exports(top, cc):
    """The names that the headers below @top declare."""
    source = "".join("#include <moat/%s>\n" % n for n in public_headers(top))
    text = subprocess.run(cc + ["-D_GNU_SOURCE", "-std=gnu11", "-E", "-x", "c", "-I", top, "-"],
                          input=source, capture_output=True, text=True, check=True).stdout
    ours, lines = False, []
    for line in text.splitlines():
        m = re.match(r'# \d+ "([^"]*)"', line)
        if m:
            ours = os.path.abspath(m.group(1)).startswith(os.path.abspath(top) + os.sep)
        elif ours and not line.startswith("#"):
            lines.append(line)
    text = "\n".join(lines)
    hidden = re.compile(r'visibility\s*\(\s*"hidden"')
    names, depth, start, body = set(), 0, 0, False
    for i, c in enumerate(text):
        if c in "({[":
            if c == "{" and depth == 0:
                # A function's body ends its declaration; a struct's does not.
                body = text[start:i].rstrip().endswith(")")
            depth += 1
        elif c in ")}]":
            depth -= 1
            if c == "}" and depth == 0 and body:
                start, body = i + 1, False
        elif c == ";" and depth == 0:
            decl = text[start:i]
            start = i + 1
            if not hidden.search(decl):
                names |= declared(decl)
    return sorted(names)


def declared(decl):
    # Attributes and bodies away; parentheses nest at most three deep.
    inner = r'\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)'
    decl = re.sub(r'__attribute__\s*' + inner, " ", decl)
    while re.search(r'\{[^{}]*\}', decl):
        decl = re.sub(r'\{[^{}]*\}', " ", decl)
    decl = " ".join(decl.split())
    if re.match(r'(static|typedef|_Static_assert)\b', decl):
        return set()
    m = re.search(r'(\w+) ?\(', decl)
    if m:
        return {m.group(1)}
    m = re.match(r'extern\b.*?(\w+) ?(\[[^\]]*\] ?)*$', decl)
    return {m.group(1)} if m else set()


def build(root, top, script, stamp, depfile, version, *cc):
    read = tree(root, top)
    major, minor = version.split(".")[:2]
    write(script, "MOAT_%s.%s {\nglobal:\n%s\nlocal:\n\t*;\n};\n" %
          (major, minor, "\n".join("\t%s;" % n for n in exports(top, list(cc)))))
    with open(stamp, "w", encoding="utf-8") as f:
        f.write("/* The public headers are in place. */\n")
    with open(depfile, "w", encoding="utf-8") as f:
        f.write("%s: %s\n" % (script, " ".join(sorted(os.path.abspath(r) for r in read))))


def main():
    if len(sys.argv) > 8 and sys.argv[1] == "build":
        build(*sys.argv[2:])
    elif len(sys.argv) == 4 and sys.argv[1] == "install":
        prefix = os.environ["MESON_INSTALL_DESTDIR_PREFIX"]
        tree(sys.argv[2], os.path.join(prefix, sys.argv[3]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
