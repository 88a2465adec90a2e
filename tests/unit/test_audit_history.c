// SPDX-License-Identifier: Apache-2.0
//
// audit/audit_history.h: what was done with one object is found among the newest records and around
// known times; what lies outside of the bounded look is not, and it is said from when on all is
// there.
#include "audit/audit_history.h"

#include "tests/unit/audit_rig.h"

enum { SECOND = 1700000000 };

struct seen {
    size_t count;
    int64_t first_ms, last_ms;
    size_t creates, gets;
};

static enum err note(void *context, const struct audit_history_event *event)
{
    struct seen *seen = context;
    assert_int_equal(event->who_kind, PRINCIPAL_ENDPOINT);
    assert_int_equal(event->who.bytes[0], 0x11);
    seen->first_ms =
        seen->count == 0 || event->time_ms < seen->first_ms ? event->time_ms : seen->first_ms;
    seen->last_ms = event->time_ms > seen->last_ms ? event->time_ms : seen->last_ms;
    seen->creates += span_eq_str(event->verb, verb_name(VERB_CREATE));
    seen->gets += span_eq_str(event->verb, verb_name(VERB_GET));
    seen->count++;
    return ERR_OK;
}

// A record of object 0x22…, or of another, at a second after the start.
static struct audit_record at(const struct principal *who, enum verb verb, bool own, int64_t second)
{
    struct audit_record record = record_of(who, verb);
    record.time_ms = (SECOND + second) * 1000;
    if (!own)
        memset(record.object.bytes, 0x33, UUID_LEN);
    return record;
}

static void append(bool own, int count, int64_t second)
{
    struct principal who = somebody();
    OK(store_begin(fix.store, STORE_WRITE));
    for (int i = 0; i < count; i++) {
        struct audit_record record = at(&who, VERB_CREATE, own, second);
        OK(audit_append(fix.store, fix.key, &record));
    }
    OK(store_commit(fix.store));
}

static void fetch(uint32_t index, bool own, int count, int64_t second)
{
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(index);
    struct principal who = somebody();
    for (int i = 0; i < count; i++) {
        struct audit_record record = at(&who, VERB_GET, own, second);
        OK(audit_journal_add(journal, fix.key, &record));
    }
    OK(audit_journal_write(journal));
}

static struct seen look(const int64_t *times, size_t count, int64_t *ret_since_ms)
{
    struct seen seen = {0};
    struct audit_history_want want = {
        .root = fix.root, .store = fix.store, .times = times, .time_count = count};
    memset(want.object.bytes, 0x22, UUID_LEN);
    OK(audit_history(&want, note, &seen, ret_since_ms));
    return seen;
}

static void what_was_done_with_the_object_alone_is_found(void **state)
{
    (void)state;
    int64_t since = -1;
    struct principal who = somebody();
    assert_int_equal(look(NULL, 0, &since).count, 0);
    assert_int_equal(since, 0);
    append(true, 1, 0);
    append(false, 5, 1);
    struct audit_record record = at(&who, VERB_CREATE, true, 2);
    record.outcome = ERR_NOT_PERMITTED;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, fix.key, &record));
    record.outcome = ERR_OK;
    record.attempted = true;
    OK(audit_append(fix.store, fix.key, &record));
    OK(store_commit(fix.store));
    fetch(0, true, 2, 3);
    fetch(0, false, 3, 4);
    fetch(7, true, 1, 5);
    // No anchor covers the reads yet: they are found once one does.
    assert_int_equal(look(NULL, 0, &since).gets, 0);
    OK(audit_anchor(fix.root, fix.store));
    struct seen seen = look(NULL, 0, &since);
    assert_int_equal(seen.creates, 1);
    assert_int_equal(seen.gets, 3);
    assert_int_equal(seen.last_ms, (SECOND + 5) * 1000LL);
    assert_int_equal(since, SECOND * 1000LL);
}

static void what_is_older_than_the_look_is_found_by_its_time(void **state)
{
    (void)state;
    int64_t since = 0;
    const int64_t times[] = {SECOND, SECOND, SECOND + 100};
    append(true, 1, 0);
    append(false, 300, 0);
    append(true, 1, 100);
    append(false, 6000, 200);
    append(true, 1, 300);
    struct seen seen = look(NULL, 0, &since);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.first_ms, (SECOND + 300) * 1000LL);
    assert_int_equal(since, (SECOND + 200) * 1000LL);
    // Each once, though the times lie upon one another.
    seen = look(times, 3, &since);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.first_ms, SECOND * 1000LL);
    assert_int_equal(since, (SECOND + 200) * 1000LL);
}

static void a_long_journal_is_looked_at_from_its_end(void **state)
{
    (void)state;
    int64_t since = 0;
    append(false, 1, 0);
    fetch(0, true, 1, 1);
    for (int i = 0; i < 12; i++) {
        fetch(0, false, 1000, 10 + i);
        OK(audit_anchor(fix.root, fix.store));
    }
    fetch(0, true, 1, 50);
    OK(audit_anchor(fix.root, fix.store));
    struct seen seen = look(NULL, 0, &since);
    assert_int_equal(seen.gets, 1);
    assert_int_equal(seen.last_ms, (SECOND + 50) * 1000LL);
    assert_in_range(since, (SECOND + 10) * 1000LL, (SECOND + 21) * 1000LL);
}

static void a_journal_that_is_gone_or_not_sound_is_passed_over(void **state)
{
    (void)state;
    int64_t since = 0;
    append(true, 1, 0);
    fetch(0, true, 3, 1);
    OK(audit_anchor(fix.root, fix.store));
    assert_int_equal(look(NULL, 0, &since).count, 4);
    int fd = openat(fix.root, JOURNAL, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, size_of(JOURNAL) - 40), 1);
    (void)close(fd);
    assert_in_range(look(NULL, 0, &since).count, 1, 3);
    assert_int_equal(unlinkat(fix.root, JOURNAL, 0), 0);
    assert_int_equal(look(NULL, 0, &since).count, 1);
}

static enum err give_up(void *context, const struct audit_history_event *event)
{
    (void)context, (void)event;
    FAIL(ERR_MEMORY, "enough");
}

static void who_asked_may_end_the_look(void **state)
{
    (void)state;
    int64_t since = 0;
    struct audit_history_want want = {.root = fix.root, .store = fix.store};
    memset(want.object.bytes, 0x22, UUID_LEN);
    append(true, 1, 0);
    FAILS(ERR_MEMORY, audit_history(&want, give_up, NULL, &since));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_done_with_the_object_alone_is_found),
        TEST(what_is_older_than_the_look_is_found_by_its_time),
        TEST(a_long_journal_is_looked_at_from_its_end),
        TEST(a_journal_that_is_gone_or_not_sound_is_passed_over),
        TEST(who_asked_may_end_the_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
