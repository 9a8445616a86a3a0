#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the C array of built-in machines: embed.py OUT NAME=BLOB..."""
import sys

out, machines = sys.argv[1], [a.split('=', 1) for a in sys.argv[2:]]
with open(out, 'w') as f:
    f.write('// SPDX-License-Identifier: MIT\n#include "of/machine.h"\n')
    for i, (name, blob) in enumerate(machines):
        data = open(blob, 'rb').read()
        f.write(f'\nstatic const unsigned char blob_{i}[] __aligned(8) = {{')
        for at, byte in enumerate(data):
            f.write(('\n\t' if at % 16 == 0 else ' ') + f'{byte},')
        f.write('\n};\n')
    f.write('\nconst struct of_builtin_machine of_builtin_machines[] = {\n')
    for i, (name, blob) in enumerate(machines):
        f.write(f'\t{{ "{name}", blob_{i}, sizeof(blob_{i}) }},\n')
    f.write('\t{ NULL, NULL, 0 },\n};\n')
