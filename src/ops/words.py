# SPDX-License-Identifier: Apache-2.0
# Turns a list of words, one a line, into a C table: words.py OUT.c IN.txt
import sys

with open(sys.argv[2], encoding="ascii") as words, open(sys.argv[1], "w", encoding="ascii") as out:
    out.write('#include "ops/policy.h"\nconst char *const policy_words[] = {\n')
    for line in words:
        word = line.rstrip("\n")
        if word and not word.startswith("# "):
            out.write('    "%s",\n' % word.replace("\\", "\\\\").replace('"', '\\"'))
    out.write("    0};\n")
