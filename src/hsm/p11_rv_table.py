#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes p11_rv_table.h, the names of the CKR_ codes, from pkcs11.h: one RV(name) line a code.

usage: p11_rv_table.py PKCS11_H OUTPUT
"""
import re
import sys

DEFINE = re.compile(r"^#define\s+(CKR_[A-Z0-9_]+)\s+\((0x[0-9a-fA-F]+|[0-9]+)UL\)")


def main(header, output):
    names = {}
    with open(header, encoding="ascii") as lines:
        for line in lines:
            found = DEFINE.match(line)
            # Vendor codes have no name; of two names of one code the first counts.
            if found and int(found.group(2), 0) < 0x80000000:
                names.setdefault(int(found.group(2), 0), found.group(1))
    if 0x000000A0 not in names:
        sys.exit(f"{header}: found no CKR_PIN_INCORRECT, so the names cannot be right")
    with open(output, "w", encoding="ascii") as out:
        out.write("// Made by p11_rv_table.py from pkcs11.h.\n")
        out.writelines(f"RV({name})\n" for name in names.values())


main(*sys.argv[1:])
