// SPDX-License-Identifier: Apache-2.0
//
// audit/audit_export.h: an exported file is verified without the server, and whatever is changed in
// it is found: thousands of random edits, and those that somebody with a plan would make.
#include "audit/audit_export.h"
#include "base/clock.h"
#include "crypto/ed25519.h"
#include "tests/unit/audit_rig.h"

enum { EDITS = 2500, FILE_MAX = 16 << 20 };

static struct {
    struct buf private_key;
    struct audit_signer signer;
} key;

static void make_key(void)
{
    buf_done(&key.private_key);
    buf_init(&key.private_key, 64, true);
    OK(ed25519_make(&key.private_key, key.signer.public_key));
    key.signer.private_key = span_buf(&key.private_key);
}

static void sign(void)
{
    bool done = false;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_sign(fix.store, &key.signer, &done));
    OK(store_commit(fix.store));
    assert_true(done);
}

// A trail with changes, signed heads, reads of two readers and their anchors.
static void fill_trail(void)
{
    make_key();
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_sign_with(fix.store, &key.signer, key.signer.public_key));
    OK(store_commit(fix.store));
    change(12);
    read_some(0, 7);
    read_some(3, 4);
    OK(audit_anchor(fix.root, fix.store));
    sign();
    change(5);
    sign();
}

static struct audit_export job_of(enum audit_format format)
{
    static struct audit_keys keys;
    keys = (struct audit_keys){{fix.key}, 1};
    return (struct audit_export){.root = fix.root,
                                 .store = fix.store,
                                 .keys = &keys,
                                 .signer = &key.signer,
                                 .format = format};
}

static void export_to(const struct audit_export *job, struct buf *out)
{
    struct audit_export_place place = {0};
    buf_init(out, FILE_MAX, false);
    for (bool end = false; !end;)
        OK(audit_export_block(job, &place, out, &end));
}

static struct audit_file_verdict verify(struct span text, const uint8_t *trusted)
{
    struct audit_file_verdict verdict;
    static char nothing[1];
    FILE *in = fmemopen(text.len == 0 ? nothing : (void *)(uintptr_t)text.data,
                        text.len == 0 ? 1 : text.len, "r");
    assert_non_null(in);
    if (text.len == 0)
        assert_int_equal(getc(in), 0);
    OK(audit_file_verify(in, trusted, &verdict));
    (void)fclose(in);
    return verdict;
}

static const enum audit_format formats[] = {AUDIT_JSON_LINES, AUDIT_CSV};

static void an_export_is_sound_and_says_what_it_holds(void **state)
{
    (void)state;
    fill_trail();
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        struct buf file CLEANUP(buf_done);
        const struct audit_export job = job_of(formats[i]);
        export_to(&job, &file);
        struct audit_file_verdict verdict = verify(span_buf(&file), key.signer.public_key);
        if (!verdict.sound)
            fail_msg("line %d: %s", (int)verdict.bad_line, verdict.what);
        assert_int_equal(verdict.records, 22);
        assert_int_equal(verdict.read_records, 11);
        assert_int_equal(verdict.first.chain, 1);
        assert_int_equal(verdict.last.chain, 22);
        assert_int_equal(verdict.last.reads[3], 6);
        assert_int_equal(verdict.signed_sequence, 22);
        assert_memory_equal(verdict.public_key, key.signer.public_key, AUDIT_PUBLIC_LEN);
        // It tells what the trail tells.
        assert_non_null(memmem(file.data, file.len, MARK_NAME, strlen(MARK_NAME)));
        assert_non_null(memmem(file.data, file.len, MARK_WHY, strlen(MARK_WHY)));
        uint8_t other[AUDIT_PUBLIC_LEN] = {1};
        verdict = verify(span_buf(&file), other);
        assert_false(verdict.sound);
        assert_non_null(strstr(verdict.what, "not signed by the given public key"));
    }
}

// ---- random edits ----

static uint64_t rng_state = 88172645463325252ull;

static size_t below(size_t limit)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (size_t)(rng_state % limit);
}

static size_t line_start(struct span text, size_t at)
{
    while (at > 0 && text.data[at - 1] != '\n')
        at--;
    return at;
}

static struct span line_at(struct span text, size_t at)
{
    size_t from = line_start(text, at);
    const uint8_t *end = memchr(text.data + from, '\n', text.len - from);
    size_t to = end == NULL ? text.len : (size_t)(end - text.data) + 1;
    return span_of(text.data + from, to - from);
}

static void put(struct buf *out, const uint8_t *from, const uint8_t *to)
{
    OK(buf_put(out, span_of(from, (size_t)(to - from))));
}

static void edit_bytes(struct span text, unsigned kind, struct buf *out)
{
    size_t at = below(text.len);
    OK(buf_put(out, text));
    if (kind == 0) { // a bit
        out->data[at] ^= (uint8_t)(1u << below(8));
    } else if (kind == 1) { // a byte goes
        memmove(out->data + at, out->data + at + 1, out->len - at - 1);
        out->len--;
    } else if (kind == 2) { // a byte more
        OK(buf_put_u8(out, 0));
        memmove(out->data + at + 1, out->data + at, out->len - at - 1);
        out->data[at] = (uint8_t) "0a ,\n\"}"[below(7)];
    } else { // the rest goes
        out->len = at;
    }
}

static void edit_lines(struct span text, unsigned kind, struct buf *out)
{
    const uint8_t *end = text.data + text.len;
    struct span a = line_at(text, below(text.len));
    struct span b = line_at(text, below(text.len));
    if (a.data > b.data) {
        struct span c = a;
        a = b;
        b = c;
    }
    put(out, text.data, a.data);
    if (kind == 4) { // a line goes
        put(out, a.data + a.len, end);
    } else if (kind == 5) { // a line twice
        OK(buf_put(out, a));
        put(out, a.data, end);
    } else if (kind == 6) { // two lines change places
        OK(buf_put(out, b));
        put(out, a.data + a.len, b.data < a.data + a.len ? a.data + a.len : b.data);
        if (b.data != a.data)
            OK(buf_put(out, a));
        put(out, b.data + b.len, end);
    } else { // all between them goes
        put(out, b.data, end);
    }
}

static void every_random_edit_is_found(void **state)
{
    (void)state;
    int tried = 0;
    fill_trail();
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        struct buf file CLEANUP(buf_done);
        const struct audit_export job = job_of(formats[i]);
        export_to(&job, &file);
        struct span text = span_buf(&file);
        assert_true(verify(text, key.signer.public_key).sound);
        for (unsigned n = 0; n < EDITS; n++) {
            struct buf edited CLEANUP(buf_done);
            buf_init(&edited, FILE_MAX, false);
            unsigned kind = n % 8;
            if (kind < 4)
                edit_bytes(text, kind, &edited);
            else
                edit_lines(text, kind, &edited);
            if (span_eq(span_buf(&edited), text))
                continue;
            tried++;
            struct audit_file_verdict verdict = verify(span_buf(&edited), key.signer.public_key);
            if (verdict.sound)
                fail_msg("edit %u of kind %u was not found", n, kind);
            assert_true(verdict.what[0] != '\0');
        }
    }
    assert_in_range(tried, EDITS, 2 * EDITS);
}

// ---- edits with a plan ----

static void the_first_bad_record_is_named(void **state)
{
    (void)state;
    struct buf file CLEANUP(buf_done);
    fill_trail();
    const struct audit_export job = job_of(AUDIT_JSON_LINES);
    export_to(&job, &file);
    // Record 9 says another name; nothing else is touched.
    char *nine = memmem(file.data, file.len, "\"sequence\":9,", 13);
    assert_non_null(nine);
    char *name = strstr(nine, MARK_NAME);
    *name ^= 1;
    struct audit_file_verdict verdict = verify(span_buf(&file), NULL);
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, 9);
    assert_int_equal(verdict.bad_line, 10); // behind the beginning of the block
    assert_non_null(strstr(verdict.what, "record 9 was changed"));
    *name ^= 1;
    // Record 9 goes.
    struct span line = line_at(span_buf(&file), (size_t)((uint8_t *)nine - file.data));
    size_t at = (size_t)(line.data - file.data);
    memmove(file.data + at, file.data + at + line.len, file.len - at - line.len);
    file.len -= line.len;
    verdict = verify(span_buf(&file), NULL);
    assert_int_equal(verdict.bad_sequence, 9);
    assert_non_null(strstr(verdict.what, "record 9 is missing"));
}

static void another_key_cannot_seal_what_was_changed(void **state)
{
    (void)state;
    struct buf file CLEANUP(buf_done);
    fill_trail();
    uint8_t noted[AUDIT_PUBLIC_LEN];
    memcpy(noted, key.signer.public_key, sizeof noted);
    make_key(); // an intruder's
    const struct audit_export job = job_of(AUDIT_CSV);
    export_to(&job, &file);
    assert_true(verify(span_buf(&file), NULL).sound);
    assert_false(verify(span_buf(&file), noted).sound);
}

static void blocks_of_two_exports_do_not_mix(void **state)
{
    (void)state;
    struct buf one CLEANUP(buf_done);
    struct buf two CLEANUP(buf_done);
    fill_trail();
    const struct audit_export job = job_of(AUDIT_JSON_LINES);
    export_to(&job, &one);
    export_to(&job, &two);
    // The first block of one, the others of the other.
    const char *mark = "{\"row\":\"block\"";
    uint8_t *first = memmem(one.data + 1, one.len - 1, mark, strlen(mark));
    uint8_t *second = memmem(two.data + 1, two.len - 1, mark, strlen(mark));
    struct buf mixed CLEANUP(buf_done);
    buf_init(&mixed, FILE_MAX, false);
    put(&mixed, one.data, first);
    put(&mixed, second, two.data + two.len);
    struct audit_file_verdict verdict = verify(span_buf(&mixed), NULL);
    assert_false(verdict.sound);
    assert_non_null(strstr(verdict.what, "block 2 is missing"));
}

static void a_range_of_time_is_exported_alone(void **state)
{
    (void)state;
    struct buf file CLEANUP(buf_done);
    fill_trail();
    struct audit_export job = job_of(AUDIT_JSON_LINES);
    job.until_ms = 1700000000000; // all of the rig's changes are later, heads later still
    export_to(&job, &file);
    struct audit_file_verdict verdict = verify(span_buf(&file), NULL);
    assert_true(verdict.sound);
    assert_int_equal(verdict.records, 0);
    buf_done(&file);
    job.until_ms = 0;
    job.since_ms = clock_wall_ms() + 3600000;
    export_to(&job, &file);
    verdict = verify(span_buf(&file), NULL);
    assert_true(verdict.sound);
    assert_int_equal(verdict.records + verdict.read_records, 0);
}

static void a_long_trail_goes_into_many_blocks(void **state)
{
    (void)state;
    struct buf file CLEANUP(buf_done);
    struct principal who = somebody();
    fill_trail();
    OK(store_begin(fix.store, STORE_WRITE));
    for (int i = 0; i < 2500; i++) {
        struct audit_record record = record_of(&who, VERB_CREATE);
        OK(audit_append(fix.store, fix.key, &record));
    }
    OK(store_commit(fix.store));
    const struct audit_export job = job_of(AUDIT_CSV);
    export_to(&job, &file);
    struct audit_file_verdict verdict = verify(span_buf(&file), key.signer.public_key);
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.records, 2522);
    assert_int_equal(verdict.signed_sequence, 22);
}

static void a_cell_is_no_formula(void **state)
{
    (void)state;
    struct buf file CLEANUP(buf_done);
    struct principal who = somebody();
    who.name = span_str("=HYPERLINK(\"x\")\n,");
    struct audit_record record = record_of(&who, VERB_CREATE);
    fill_trail();
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, fix.key, &record));
    OK(store_commit(fix.store));
    const struct audit_export job = job_of(AUDIT_CSV);
    export_to(&job, &file);
    const char *cell = ",\"'=HYPERLINK(\"\"x\"\") ,\",";
    assert_non_null(memmem(file.data, file.len, cell, strlen(cell)));
    assert_true(verify(span_buf(&file), NULL).sound);
}

// ---- seals ----

// The lines that begin so, each read; *ret is the last one's.
static unsigned take_seals(struct span text, struct audit_sealed_range *ret)
{
    unsigned seals = 0;
    uint8_t other[AUDIT_PUBLIC_LEN] = {1};
    for (size_t at = 0; at < text.len;) {
        struct span line = line_at(text, at);
        at += line.len;
        line.len--;
        if (memcmp(line.data, "seal,", 5) != 0 && memcmp(line.data, "{\"row\":\"seal\",", 14) != 0)
            continue;
        OK(audit_seal_read(line, key.signer.public_key, ret));
        FAILS(ERR_INVALID, audit_seal_read(line, other, ret));
        OK(audit_seal_read(line, key.signer.public_key, ret));
        seals++;
    }
    return seals;
}

static void a_line_without_end_is_not_read_to_its_end(void **state)
{
    enum { ENDLESS = 4 << 20 };
    (void)state;
    char *text = malloc(ENDLESS);
    assert_non_null(text);
    memset(text, 'x', ENDLESS);
    FILE *in = fmemopen(text, ENDLESS, "r");
    struct audit_file_verdict verdict;
    OK(audit_file_verify(in, NULL, &verdict));
    assert_false(verdict.sound);
    assert_non_null(strstr(verdict.what, "line 1 is cut off or too long"));
    assert_true(ftell(in) < ENDLESS / 8);
    (void)fclose(in);
    free(text);
}

static void seals_tell_the_server_what_was_exported(void **state)
{
    (void)state;
    struct audit_sealed_range range;
    fill_trail();
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        struct buf file CLEANUP(buf_done);
        const struct audit_export job = job_of(formats[i]);
        export_to(&job, &file);
        assert_int_equal(take_seals(span_buf(&file), &range), 3);
        assert_int_equal(range.chain, 4);
        assert_int_equal(range.after, 0);
        assert_int_equal(range.last, 6);
    }
    FAILS(ERR_INVALID, audit_seal_read(span_str("{}"), key.signer.public_key, &range));
}

static int put_away(void **state)
{
    buf_done(&key.private_key);
    return tear_down(state);
}

#undef TEST
#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, set_up, put_away, NULL                                                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_export_is_sound_and_says_what_it_holds),
        TEST(every_random_edit_is_found),
        TEST(the_first_bad_record_is_named),
        TEST(another_key_cannot_seal_what_was_changed),
        TEST(blocks_of_two_exports_do_not_mix),
        TEST(a_range_of_time_is_exported_alone),
        TEST(a_long_trail_goes_into_many_blocks),
        TEST(a_cell_is_no_formula),
        TEST(a_line_without_end_is_not_read_to_its_end),
        TEST(seals_tell_the_server_what_was_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
