// SPDX-License-Identifier: Apache-2.0
// The record of a run: what each call did, with the bytes it wrote, so that the disk of any instant
// can be made again without the program (replay.py reads it).
//
// Directory/calls has a line for each call, tabs between: number, thread, name, call, place, result
// (a negative errno when it failed), inode of the descriptor (0 if none), offset, bytes recorded,
// and the six arguments with commas between. The bytes stand in directory/data, one after another.
#pragma once
#include "point.h"

struct record;

// Makes the directory's files, which must not exist. NULL with errno set when it cannot. Lives as
// long as the process.
struct record *record_open(const char *directory);

// Appends one call; the thread must be stopped on its way back from it, or (result 0) before a send
// on a socket. False with errno set when the record could not be written.
bool record_call(struct record *record, long number, const struct point_stop *stop,
                 const char *place, long result);
