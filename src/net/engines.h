// SPDX-License-Identifier: Apache-2.0
//
// Channels to the engines, from the side of a front. What may be read goes to the readers in turn,
// what changes something to the writer. Questions are built when an engine is there to take them:
// until then, and when a reader dies over one, they wait for the next for LIMIT_ENGINE_WAIT_MS.
// Nothing that changes something is ever asked of a writer twice.
//
// A reader may answer ERR_TO_WRITER: it could read, but something is to be written about it. The
// writer is then asked instead, and where it cannot answer, a reader once more and for good.
//
// This room does not know what is asked. Frames and answers cross in memory that both ends share.
// The owner of the event loop asks engines_may_sleep before each turn and calls engines_turn after
// it.
#ifndef KW_NET_ENGINES_H
#define KW_NET_ENGINES_H

#include "base/buf.h"
#include "ipc/ipc.h"

struct event_base;
struct engines;
struct question;

struct engines_handler {
    // Appends the question's body. An error ends the question: `lost` is told.
    enum err (*ask)(void *data, void *asker, struct buf *body);

    // The answer. Its body is borrowed until this returns.
    void (*answered)(void *data, void *asker, const struct ipc_frame *answer);

    // There will be no answer: ERR_UNAVAILABLE, ERR_TIMEOUT, or what `ask` said. `maybe_done`: an
    // engine that may change things had the question, so nobody knows what became of it.
    void (*lost)(void *data, void *asker, enum err code, bool maybe_done);
};

MUST_USE enum err engines_new(struct event_base *base, uint16_t kind,
                              const struct engines_handler *handler, void *data,
                              struct engines **ret);
void engines_free(struct engines *engines);
void engines_freep(struct engines **engines);

// Takes the channel (a connected socket, owned from now on) of a reader, or of the writer; one with
// the same number is replaced, and is as dead. Its bytes cross in `memory` (borrowed).
MUST_USE enum err engines_attach(struct engines *engines, bool writer, uint32_t index, int fd,
                                 int memory);

// Asks on behalf of `asker`. The handler may be called before this returns. ERR_UNAVAILABLE when
// too many questions are under way, or so many that wait for one engine that its queue is full.
MUST_USE enum err engines_ask(struct engines *engines, bool writes, void *asker,
                              struct question **ret);

// Tells every reader that is there something that has no answer. What cannot be told is lost.
void engines_tell_readers(struct engines *engines, uint16_t kind, struct span body);

// The asker is gone; what it asked is not called back any more. NULL is allowed.
void engines_forget(struct question *question);

// Whether the next turn may wait for events; engines then wake it. False: something is to be sent,
// is there, or will be sooner than one falls asleep and is woken (proc/spin.h); it may have looked
// for that for some microseconds.
bool engines_may_sleep(struct engines *engines);

// Takes the answers that are there, sends what has been asked once a turn has asked nothing more,
// and gives up what waits for too long.
void engines_turn(struct engines *engines, int64_t now_ms);

#endif
