# SPDX-License-Identifier: Apache-2.0
# Turns SQL files into one C table of strings, in the order given: embed.py OUT.c IN.sql...
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    out.write('#include "store/sqlite/sq_schema.h"\n')
    out.write("const char *const sq_schema_steps[] = {\n")
    for path in sys.argv[2:]:
        with open(path, encoding="ascii") as sql:
            for line in sql:
                text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
                out.write(f'    "{text}\\n"\n')
        out.write("    ,\n")
    out.write("    0};\n")
