#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recorded topologies as one text: pack-topologies.py DIR > topologies.txt

What repeats is written once: a line of 16 registers, and a function's list of lines.
    L<n> <32 hex digits>            a line
    F<n> <length> <off>:L<n> ...    a function's registers; lines of zeroes are left out
    T <name>                        a topology, or one of its states
    D <bdf> F<n> <group>            a device in the order of the dump, its group or -
"""
import glob
import os
import re
import sys

lines, fns = {}, {}


def ident(table, prefix, key, text):
    if key not in table:
        table[key] = f'{prefix}{len(table)}'
        print(f'{table[key]} {text}')
    return table[key]


def load(path):
    order, cfg, cur = [], {}, None
    for l in open(path):
        m = re.match(r'([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) ', l)
        if m:
            cur = m[1]
            order.append(cur)
            cfg[cur] = b''
        elif re.match(r'[0-9a-f]{2,3}: ', l):
            cfg[cur] += bytes.fromhex(l.split(':')[1])
    return order, cfg


root = sys.argv[1]
for t in sorted(os.listdir(root)):
    for d in [f'{root}/{t}'] + sorted(glob.glob(f'{root}/{t}/state*')):
        order, cfg = load(d + '/lspci.txt')
        group = {}
        for l in open(d + '/groups.txt'):
            g, bdf, _ = l.split()
            group[bdf] = g
        devices = []
        for bdf in order:
            c = cfg[bdf]
            parts = []
            for at in range(0, len(c), 16):
                if any(c[at:at + 16]):
                    h = c[at:at + 16].hex()
                    parts.append(f'{at:x}:' + ident(lines, 'L', h, h))
            key = f'{len(c)} ' + ' '.join(parts)
            devices.append((bdf, ident(fns, 'F', key, key), group.get(bdf, '-')))
        print('T', os.path.relpath(d, root))
        for dev in devices:
            print('D', *dev)
