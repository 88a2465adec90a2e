// SPDX-License-Identifier: Apache-2.0
// What a hostile library would try from inside the process that loads it.
#pragma once

// Tries each thing once and appends "probe NAME RESULT" to the file in KWSHIM_TRACE, RESULT being 0
// if it succeeded, else the errno. The names are in the table of shim_probe.c. Harmless by itself:
// nothing is written outside the trace, nor changed but what KWSHIM_CHANGE names. A sandbox that
// answers by a signal ends the process; the trace then ends with "probe NAME" alone.
// "no-new-privs", "seccomp" and "dumpable" are no attempts: RESULT is what prctl tells. For each
// path in KWSHIM_FILES (separated by colons) the names are "read:PATH" and "write:PATH"; for each
// in KWSHIM_CHANGE, where mode, owner, times and attributes are changed if that is possible at all,
// "path:PATH" and "descriptor:PATH", and "inherited" for what the process had open before.
void shim_probe(void);
