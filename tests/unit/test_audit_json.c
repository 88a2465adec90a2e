// SPDX-License-Identifier: Apache-2.0
//
// audit/audit.h: what a record tells, to whom, and that what tells is nowhere on the disk in clear.
#include "audit/audit_feed.h"
#include "tests/unit/audit_rig.h"

// ---- what is told, and to whom ----

static json_t *row_json(uint64_t sequence, struct span key)
{
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    const struct audit_feed_options options = {
        .root = fix.root, .store = fix.store, .after.chain = sequence - 1, .one_chain = true};
    const struct audit_keys keys = {{key}, key.len == 0 ? 0 : 1};
    const struct audit_item *item = NULL;
    json_t *json = NULL;
    OK(audit_feed_new(&options, &feed));
    OK(audit_feed_next(feed, &item));
    assert_non_null(item);
    OK(audit_feed_json(feed, &keys, &json));
    return json;
}

static const char *member(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "(none)" : text;
}

static void a_record_reads_as_json_with_the_key(void **state)
{
    (void)state;
    change(1);
    json_t *json = row_json(1, fix.key);
    const json_t *who = json_object_get(json, "principal");
    assert_int_equal(json_integer_value(json_object_get(json, "sequence")), 1);
    assert_string_equal(member(json, "time"), "2023-11-14T22:13:20.123Z");
    assert_string_equal(member(json, "verb"), "Create");
    assert_string_equal(member(json, "outcome"), "ERR_OK");
    assert_string_equal(member(json, "detail"), MARK_WHY);
    assert_string_equal(member(json, "telling"), "opened");
    assert_string_equal(member(json, "object"), "22222222-2222-2222-2222-222222222222");
    assert_int_equal(json_integer_value(json_object_get(json, "object_type")), 2);
    assert_true(json_is_false(json_object_get(json, "attempted")));
    assert_string_equal(member(who, "kind"), "endpoint");
    assert_string_equal(member(who, "id"), "11111111-1111-1111-1111-111111111111");
    assert_string_equal(member(who, "name"), MARK_NAME);
    assert_string_equal(member(who, "address"), MARK_PEER);
    json_decref(json);
}

static void without_the_key_a_record_tells_only_what_is_clear(void **state)
{
    (void)state;
    struct span keys[] = {span_of(NULL, 0), span_of(other_bytes, sizeof other_bytes)};
    change(1);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        json_t *json = row_json(1, keys[i]);
        assert_string_equal(member(json, "verb"), "Create");
        assert_string_equal(member(json, "telling"), "sealed");
        assert_string_equal(member(json, "detail"), "(none)");
        assert_string_equal(member(json_object_get(json, "principal"), "name"), "(none)");
        json_decref(json);
    }
}

static void a_record_of_a_locked_store_says_that_parts_were_left_out(void **state)
{
    (void)state;
    struct principal who = {.kind = PRINCIPAL_LOCAL, .uid = 1000, .address = span_str(MARK_PEER)};
    struct audit_record record = record_of(&who, VERB_HSM_INITIALIZE);
    record.attempted = true;
    record.outcome = ERR_HSM_PIN;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, span_of(NULL, 0), &record));
    OK(store_commit(fix.store));
    json_t *json = row_json(1, fix.key);
    assert_string_equal(member(json, "verb"), "hsm initialize");
    assert_string_equal(member(json, "outcome"), "ERR_HSM_PIN");
    assert_string_equal(member(json, "telling"), "left out");
    assert_true(json_is_true(json_object_get(json, "attempted")));
    const json_t *principal = json_object_get(json, "principal");
    assert_string_equal(member(principal, "kind"), "local");
    assert_int_equal(json_integer_value(json_object_get(principal, "uid")), 1000);
    json_decref(json);
}

static void long_and_odd_texts_are_cut_and_shown_safely(void **state)
{
    (void)state;
    char *text = calloc(1, 70000);
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_CREATE);
    for (size_t i = 0; i < 69998; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    who.name = span_of(text + 1, 60001); // begins within a character
    who.address = span_of(text, 60000);
    record.detail = span_of(text, 60000);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, fix.key, &record));
    OK(store_commit(fix.store));
    free(text);
    json_t *json = row_json(1, fix.key);
    assert_int_equal(strlen(member(json, "detail")), AUDIT_DETAIL_MAX);
    assert_memory_equal(member(json_object_get(json, "principal"), "name"), "0xa9c3a9", 8);
    json_decref(json);
    is_sound(1, 0);
}

static void an_anchor_reads_as_json(void **state)
{
    (void)state;
    read_some(3, 2);
    OK(audit_anchor(fix.root, fix.store));
    json_t *json = row_json(1, fix.key);
    assert_string_equal(member(json, "verb"), "anchor");
    assert_int_equal(json_integer_value(json_object_get(json, "reader")), 3);
    assert_int_equal(json_integer_value(json_object_get(json, "records")), 4);
    assert_int_equal(strlen(member(json, "hash")), 64);
    json_decref(json);
}

static void a_malformed_row_is_no_json(void **state)
{
    (void)state;
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    const struct audit_feed_options options = {.root = fix.root, .store = fix.store};
    const struct audit_item *item = NULL;
    struct store_audit row = {.sequence = 1, .record = span_str("\1\1nonsense")};
    OK(store_begin(fix.store, STORE_WRITE));
    OK(store_audit_append(fix.store, &row));
    OK(store_commit(fix.store));
    OK(audit_feed_new(&options, &feed));
    FAILS(ERR_DAMAGED, audit_feed_next(feed, &item));
}

// Records of one journal from `from` on, a line each.
static size_t lines_of(uint32_t index, struct span key, uint64_t from, uint32_t limit,
                       struct buf *out, uint64_t *ret_next)
{
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    struct audit_feed_options options = {
        .root = fix.root, .store = fix.store, .one_chain = true, .chain = index + 1};
    const struct audit_keys keys = {{key}, key.len == 0 ? 0 : 1};
    const struct audit_item *item = NULL;
    size_t lines = 0;
    options.after.reads[index] = from - 1;
    buf_clear(out);
    OK(audit_feed_new(&options, &feed));
    for (; lines < limit; lines++) {
        OK(audit_feed_next(feed, &item));
        if (item == NULL)
            break;
        json_t *json = NULL;
        OK(audit_feed_json(feed, &keys, &json));
        char *text = json_dumps(json, JSON_COMPACT);
        OK(buf_put_str(out, text));
        OK(buf_put_u8(out, '\n'));
        free(text);
        json_decref(json);
    }
    struct audit_extent place;
    audit_feed_place(feed, &place);
    *ret_next = place.reads[index] + 1;
    return lines;
}

static void reads_are_listed_in_pages_with_who_asked(void **state)
{
    (void)state;
    uint64_t next = 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, false);
    read_some(0, 3);
    cut(JOURNAL, size_of(JOURNAL) - 1);
    read_some(0, 3); // goes to the second segment, with a context of its own
    assert_int_equal(lines_of(0, fix.key, 1, 4, &out, &next), 4);
    OK(buf_put_u8(&out, 0));
    assert_non_null(strstr((const char *)out.data, MARK_NAME));
    assert_non_null(strstr((const char *)out.data, MARK_PEER));
    assert_non_null(strstr((const char *)out.data, "\"telling\":\"opened\""));
    assert_non_null(strstr((const char *)out.data, "\"verb\":\"Get\""));
    // From within the second segment, whose context stands before.
    assert_int_equal(lines_of(0, fix.key, next, 4, &out, &next), 1);
    OK(buf_put_u8(&out, 0));
    assert_non_null(strstr((const char *)out.data, MARK_NAME));
    assert_int_equal(lines_of(0, fix.key, next, 4, &out, &next), 0);
    assert_int_equal(lines_of(0, span_of(NULL, 0), 1, 100, &out, &next), 5);
    OK(buf_put_u8(&out, 0));
    assert_null(strstr((const char *)out.data, MARK_NAME));
    assert_non_null(strstr((const char *)out.data, "\"telling\":\"sealed\""));
    assert_int_equal(lines_of(7, fix.key, 1, 100, &out, &next), 0);
}

static void another_key_or_name_gets_a_context_of_its_own(void **state)
{
    (void)state;
    uint64_t next = 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, false);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_GET);
    OK(audit_journal_add(journal, span_of(other_bytes, sizeof other_bytes), &record));
    OK(audit_journal_add(journal, fix.key, &record));
    who.name = span_str("renamed");
    OK(audit_journal_add(journal, fix.key, &record));
    OK(audit_journal_add(journal, span_of(NULL, 0), &record)); // locked
    OK(audit_journal_write(journal));
    assert_int_equal(lines_of(0, fix.key, 1, 100, &out, &next), 4);
    OK(buf_put_u8(&out, 0));
    const char *first = strstr((const char *)out.data, "\"telling\":\"sealed\"");
    const char *second = strstr((const char *)out.data, MARK_NAME);
    const char *third = strstr((const char *)out.data, "renamed");
    const char *fourth = strstr((const char *)out.data, "left out");
    assert_true(first != NULL && first < second && second < third && third < fourth);
}

static bool holds(struct span bytes, const char *text)
{
    return bytes.data != NULL && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static void nothing_that_tells_is_on_the_disk_in_clear(void **state)
{
    (void)state;
    static const char *const files[] = {PATH_STORE, PATH_STORE "-wal", JOURNAL};
    static const char *const marks[] = {MARK_NAME, "payroll", MARK_PEER, "203.0.113", MARK_WHY};
    change(3);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    add_reads(journal, 3);
    struct principal who = somebody();
    struct audit_record refused = record_of(&who, VERB_GET);
    refused.detail = span_str(MARK_WHY);
    OK(audit_journal_add(journal, fix.key, &refused));
    OK(audit_journal_write(journal));
    OK(audit_anchor(fix.root, fix.store));
    size_t seen = 0;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct buf bytes CLEANUP(buf_done);
        buf_init(&bytes, (size_t)64 << 20, false);
        OK(file_read(fix.root, files[i], bytes.limit, &bytes));
        for (size_t k = 0; k < COUNT_OF(marks); k++)
            assert_false(holds(span_buf(&bytes), marks[k]));
        // The scan does find what is in clear.
        seen += holds(span_buf(&bytes), "Create") + holds(span_buf(&bytes), "Get");
    }
    assert_true(seen >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_reads_as_json_with_the_key),
        TEST(without_the_key_a_record_tells_only_what_is_clear),
        TEST(a_record_of_a_locked_store_says_that_parts_were_left_out),
        TEST(long_and_odd_texts_are_cut_and_shown_safely),
        TEST(an_anchor_reads_as_json),
        TEST(a_malformed_row_is_no_json),
        TEST(reads_are_listed_in_pages_with_who_asked),
        TEST(another_key_or_name_gets_a_context_of_its_own),
        TEST(nothing_that_tells_is_on_the_disk_in_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
