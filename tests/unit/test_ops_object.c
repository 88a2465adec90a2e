// SPDX-License-Identifier: Apache-2.0
//
// Create, Create Key Pair, Register, Get: what is made is what was asked for, what is given comes
// back byte for byte and in other formats, and what is wrong is refused before anything is stored.
#include "crypto/keypair.h"

#include "tests/unit/ops_rig.h"

static size_t count_mine(void)
{
    struct request request = {.verb = VERB_LOCATE, .maximum_items = -1};
    OK(run(&request));
    return rig.reply.uid_count;
}

static enum err create_with(int64_t algorithm, int64_t bits)
{
    struct request request = create_request(NULL);
    request.attrs.items[0].number = algorithm;
    request.attrs.items[1].number = bits;
    return run(&request);
}

static void a_key_has_the_length_that_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        int64_t algorithm, bits;
        size_t bytes;
    } table[] = {
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, 16},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 192, 24},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, 32},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 112, 16},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 168, 24},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 192, 24},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 256, 32},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, 256, 32},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_SKIPJACK, 80, 10},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        OK(create_with(table[i].algorithm, table[i].bits));
        assert_int_equal(rig.reply.object_type, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
        OK(simple(VERB_GET, rig.reply.uid));
        assert_int_equal(rig.reply.object.material.len, table[i].bytes);
        assert_int_equal(rig.reply.object.length, table[i].bits);
    }
}

static void des_keys_have_odd_parity(void **state)
{
    (void)state;
    OK(create_with(KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 168));
    OK(simple(VERB_GET, rig.reply.uid));
    struct span key = rig.reply.object.material;
    for (size_t i = 0; i < key.len; i++)
        assert_int_equal(__builtin_popcount(key.data[i]) % 2, 1);
}

static void lengths_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    size_t before = count_mine();
    static const int64_t bad[] = {-8, 1, 8, 129, 255, 257, 512, 65535, 1 << 20, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID, create_with(KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, bad[i]));
    FAILS(ERR_MISSING_DATA, create_with(KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 0));
    FAILS(ERR_MISSING_DATA, create_with(0, 256));
    FAILS(ERR_INVALID, create_with(KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048));
    FAILS(ERR_INVALID, create_with(KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 7));
    struct request request = create_request(NULL);
    request.object_type = KMIP_OBJECT_TYPE_PRIVATE_KEY;
    FAILS(ERR_INVALID, run(&request));
    assert_int_equal(count_mine(), before);
}

static struct request pair_request(int64_t algorithm, int64_t bits)
{
    struct request request = {.verb = VERB_CREATE_KEY_PAIR};
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, ATTR_ENUMERATION, algorithm);
    if (bits != 0)
        put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, bits);
    return request;
}

static struct span linked_to(struct span uid)
{
    struct ttlv item;
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    const struct attr *link = attrs_find(&rig.reply.attrs, KMIP_TAG_LINK);
    assert_non_null(link);
    assert_true(ttlv_find(link->bytes, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, &item));
    return item.value;
}

static void pairs_belong_together_and_are_linked(void **state)
{
    (void)state;
    static const struct {
        int64_t algorithm, bits;
        enum keypair_format private_format, public_format;
    } table[] = {
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, KEYPAIR_PKCS1, KEYPAIR_PKCS1},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, KEYPAIR_PKCS8, KEYPAIR_SPKI},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, 384, KEYPAIR_PKCS8, KEYPAIR_SPKI},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH, 521, KEYPAIR_PKCS8, KEYPAIR_SPKI},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct request request = pair_request(table[i].algorithm, table[i].bits);
        struct buf want CLEANUP(buf_done);
        struct buf got CLEANUP(buf_done);
        buf_init(&want, KEYPAIR_DER_MAX, false);
        buf_init(&got, KEYPAIR_DER_MAX, false);
        OK(run(&request));
        struct span private_uid = rig.reply.uid;
        struct span public_uid = rig.reply.public_uid;
        assert_true(span_eq(linked_to(private_uid), public_uid));
        assert_true(span_eq(linked_to(public_uid), private_uid));
        OK(simple(VERB_GET, private_uid));
        assert_int_equal(rig.reply.object_type, KMIP_OBJECT_TYPE_PRIVATE_KEY);
        OK(keypair_public_of(rig.reply.object.material, table[i].private_format, &want));
        OK(simple(VERB_GET, public_uid));
        assert_int_equal(rig.reply.object_type, KMIP_OBJECT_TYPE_PUBLIC_KEY);
        OK(keypair_convert_public(rig.reply.object.material, table[i].public_format, KEYPAIR_SPKI,
                                  &got));
        assert_true(span_eq(span_buf(&want), span_buf(&got)));
    }
}

static void pairs_that_are_not_offered_are_refused(void **state)
{
    (void)state;
    size_t before = count_mine();
    static const struct {
        int64_t algorithm, bits;
        enum err want;
    } table[] = {
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 512, ERR_INVALID},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 0, ERR_MISSING_DATA},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, -1, ERR_INVALID},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 255, ERR_INVALID},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, ERR_INVALID},
        {0, 256, ERR_MISSING_DATA},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct request request = pair_request(table[i].algorithm, table[i].bits);
        FAILS(table[i].want, run(&request));
    }
    assert_int_equal(count_mine(), before);
}

static struct request register_request(uint32_t type, uint32_t format, struct span material)
{
    struct request request = {.verb = VERB_REGISTER, .object_type = type};
    request.object = (struct object_data){.type = type, .key_format = format};
    request.object.material = material;
    return request;
}

static struct request register_aes(size_t bytes, uint32_t bits)
{
    static const uint8_t key[64] = {1, 2, 3};
    struct request request = register_request(KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                              KMIP_KEY_FORMAT_TYPE_RAW, span_of(key, bytes));
    request.object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
    request.object.length = bits;
    return request;
}

static void what_is_registered_comes_back(void **state)
{
    (void)state;
    struct request request = register_aes(32, 256);
    struct span material = request.object.material;
    OK(run(&request));
    OK(simple(VERB_GET, rig.reply.uid));
    assert_true(span_eq(rig.reply.object.material, material));
    assert_int_equal(rig.reply.object.algorithm, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    request = register_request(KMIP_OBJECT_TYPE_SECRET_DATA, KMIP_KEY_FORMAT_TYPE_OPAQUE,
                               span_str("hunter2"));
    request.object.subtype = 1;
    OK(run(&request));
    OK(simple(VERB_GET, rig.reply.uid));
    assert_true(span_eq_str(rig.reply.object.material, "hunter2"));
    assert_int_equal(rig.reply.object.subtype, 1);
    request = register_request(KMIP_OBJECT_TYPE_OPAQUE_OBJECT, 0, span_str("anything"));
    request.object.subtype = 0x80123456;
    OK(run(&request));
    OK(simple(VERB_GET, rig.reply.uid));
    assert_int_equal(rig.reply.object.subtype, 0x80123456);
}

static void a_key_that_is_not_what_it_says_is_refused(void **state)
{
    (void)state;
    size_t before = count_mine();
    static const struct {
        size_t bytes;
        uint32_t bits;
    } bad[] = {{1, 256}, {31, 256}, {32, 128}, {0, 256}, {0, 0}, {31, 0}, {32, 0xfffffff8}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct request request = register_aes(bad[i].bytes, bad[i].bits);
        FAILS(ERR_INVALID, run(&request));
    }
    struct request request = register_aes(32, 256);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, 128);
    FAILS(ERR_INVALID, run(&request));
    request = register_aes(32, 256);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, -8);
    FAILS(ERR_INVALID, run(&request));
    request = register_aes(32, 256);
    request.object_type = KMIP_OBJECT_TYPE_CERTIFICATE;
    FAILS(ERR_INVALID, run(&request));
    request = register_aes(32, 256);
    request.object.compression = KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID;
    FAILS(ERR_KEY_COMPRESSION, run(&request));
    request = register_aes(32, 256);
    request.object.key_format = 0;
    FAILS(ERR_MISSING_DATA, run(&request));
    request = register_request(KMIP_OBJECT_TYPE_SPLIT_KEY, 1, span_str("x"));
    FAILS(ERR_INVALID, run(&request));
    request = register_request(KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_KEY_FORMAT_TYPE_PKCS_8,
                               span_str("not DER"));
    FAILS(ERR_INVALID, run(&request));
    assert_int_equal(count_mine(), before);
}

static void a_registered_pair_is_looked_into(void **state)
{
    (void)state;
    struct buf private_der CLEANUP(buf_done);
    struct buf public_der CLEANUP(buf_done);
    buf_init(&private_der, KEYPAIR_DER_MAX, true);
    buf_init(&public_der, KEYPAIR_DER_MAX, false);
    OK(keypair_generate(KEYPAIR_P256, 0, &private_der, &public_der));
    struct request request = register_request(KMIP_OBJECT_TYPE_PRIVATE_KEY,
                                              KMIP_KEY_FORMAT_TYPE_PKCS_8, span_buf(&private_der));
    OK(run(&request));
    struct span uid = rig.reply.uid;
    assert_int_equal(attr_number(uid, KMIP_TAG_CRYPTOGRAPHIC_LENGTH), 256);
    assert_int_equal(attr_number(uid, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM),
                     KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    request.object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    FAILS(ERR_INVALID, run(&request));
    request.object.algorithm = 0;
    request.object.length = 384;
    FAILS(ERR_INVALID, run(&request));
    request.object.length = 0;
    request.object.material = span_buf(&public_der);
    FAILS(ERR_INVALID, run(&request));
}

static enum err get_as(struct span uid, uint32_t format)
{
    struct request request = {.verb = VERB_GET, .uid = uid, .key_format = format};
    return run(&request);
}

static void a_key_is_given_in_the_format_that_is_asked_for(void **state)
{
    (void)state;
    struct ttlv item;
    struct span uid = make_key(NULL);
    OK(get_as(uid, KMIP_KEY_FORMAT_TYPE_RAW));
    struct span raw = rig.reply.object.material;
    OK(get_as(uid, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY));
    assert_true(rig.reply.object.structured);
    assert_true(ttlv_find(rig.reply.object.material, KMIP_TAG_KEY, &item));
    assert_true(span_eq(item.value, raw));
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_PKCS_8));
    assert_int_equal(rig.reply.object.material.len, 0);
    struct request pair = pair_request(KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256);
    OK(run(&pair));
    uid = rig.reply.uid;
    OK(get_as(uid, KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY));
    assert_int_equal(rig.reply.object.key_format, KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY);
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_PKCS_1));
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_RAW));
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_X_509));
}

static void asking_for_a_wrapped_key_gives_no_clear_one(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct request request = {.verb = VERB_GET, .uid = uid, .has_wrapping = true};
    FAILS(ERR_FEATURE, run(&request));
    assert_int_equal(rig.reply.object.material.len, 0);
    request = (struct request){.verb = VERB_GET,
                               .uid = uid,
                               .key_compression =
                                   KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID};
    FAILS(ERR_KEY_COMPRESSION, run(&request));
    assert_int_equal(rig.reply.object.material.len, 0);
}

static void what_came_wrapped_is_given_as_it_came(void **state)
{
    (void)state;
    struct request request = register_aes(40, 256);
    request.object.wrapping = span_str("how it is wrapped");
    OK(run(&request));
    struct span uid = rig.reply.uid;
    OK(simple(VERB_GET, uid));
    assert_int_equal(rig.reply.object.material.len, 40);
    assert_true(span_eq_str(rig.reply.object.wrapping, "how it is wrapped"));
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY));
}

static unsigned declined_by(struct request *request)
{
    rig.declined = 0;
    OK(run(request));
    return rig.declined;
}

static void the_first_get_ends_freshness_and_is_the_writers(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct request get = {.verb = VERB_GET, .uid = uid};
    assert_int_equal(attr_number(uid, KMIP_TAG_FRESH), 1);
    int64_t changed = attr_number(uid, KMIP_TAG_LAST_CHANGE_DATE);
    assert_int_equal(declined_by(&get), 1);
    assert_int_equal(rig.reply.object.material.len, 32);
    assert_int_equal(attr_number(uid, KMIP_TAG_FRESH), 0);
    assert_int_equal(attr_number(uid, KMIP_TAG_LAST_CHANGE_DATE), changed);
    // From then on reading writes nothing.
    for (int i = 0; i < 3; i++)
        assert_int_equal(declined_by(&get), 0);
    assert_int_equal(rig.reply.object.material.len, 32);
    // What is not given out stays fresh.
    uid = make_key(NULL);
    FAILS(ERR_KEY_FORMAT, get_as(uid, KMIP_KEY_FORMAT_TYPE_PKCS_1));
    assert_int_equal(attr_number(uid, KMIP_TAG_FRESH), 1);
    FAILS(ERR_NOT_FOUND, run_other(&(struct request){.verb = VERB_GET, .uid = uid}));
    assert_int_equal(attr_number(uid, KMIP_TAG_FRESH), 1);
}

static void without_a_writer_a_reader_serves_all_the_same(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct request get = {.verb = VERB_GET, .uid = uid};
    struct batch batch = {.who = endpoint(rig.client), .items = &get, .count = 1, .final = true};
    rig.declined = 0;
    struct replies replies = run_batch(OPS_READER, &batch);
    OK(replies.items[0].status);
    assert_int_equal(rig.declined, 0);
    assert_int_equal(attr_number(uid, KMIP_TAG_FRESH), 1);
}

static void what_is_made_and_fetched_in_one_batch_is_not_fresh(void **state)
{
    (void)state;
    struct request items[] = {create_request(NULL), {.verb = VERB_GET}};
    struct batch batch = {.who = endpoint(rig.client), .items = items, .count = 2};
    struct replies replies = run_batch(OPS_WRITER, &batch);
    OK(replies.items[1].status);
    assert_int_equal(attr_number(replies.items[0].uid, KMIP_TAG_FRESH), 0);
}

// The store's rows with two things swapped, or a flag lifted, do not open.
static void what_is_sealed_is_bound_to_its_row(void **state)
{
    (void)state;
    struct uuid ids[2];
    struct store_object rows[2];
    struct store *store = rig.stores[OPS_WRITER];
    for (int i = 0; i < 2; i++) {
        struct span uid = make_key(NULL);
        OK(uuid_parse(uid, &ids[i]));
        OK(store_object_get(store, &ids[i], rig.arena, &rows[i]));
    }
    for (int change = 0; change < 4; change++) {
        struct store_object row = rows[0];
        char text[UUID_TEXT_LEN + 1];
        uuid_text(&ids[0], text);
        if (change == 0)
            row.material = rows[1].material;
        if (change == 1)
            row.flags ^= 4;
        if (change == 2)
            row.type = KMIP_OBJECT_TYPE_SECRET_DATA;
        if (change == 3)
            row.attributes = rows[1].attributes;
        OK(store_begin(store, STORE_WRITE));
        OK(store_object_get(store, &ids[0], rig.arena, &rows[0]));
        row.version = rows[0].version;
        OK(store_object_update(store, &row, NULL, 0));
        OK(store_commit(store));
        FAILS(ERR_DAMAGED,
              simple(change == 3 ? VERB_GET_ATTRIBUTES : VERB_GET, span_of(text, UUID_TEXT_LEN)));
        rows[0] = row;
        OK(store_object_get(store, &ids[1], rig.arena, &rows[1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_length_that_was_asked_for),
        cmocka_unit_test(des_keys_have_odd_parity),
        cmocka_unit_test(lengths_that_do_not_exist_are_refused),
        cmocka_unit_test(pairs_belong_together_and_are_linked),
        cmocka_unit_test(pairs_that_are_not_offered_are_refused),
        cmocka_unit_test(what_is_registered_comes_back),
        cmocka_unit_test(a_key_that_is_not_what_it_says_is_refused),
        cmocka_unit_test(a_registered_pair_is_looked_into),
        cmocka_unit_test(a_key_is_given_in_the_format_that_is_asked_for),
        cmocka_unit_test(asking_for_a_wrapped_key_gives_no_clear_one),
        cmocka_unit_test(what_came_wrapped_is_given_as_it_came),
        cmocka_unit_test(the_first_get_ends_freshness_and_is_the_writers),
        cmocka_unit_test(without_a_writer_a_reader_serves_all_the_same),
        cmocka_unit_test(what_is_made_and_fetched_in_one_batch_is_not_fresh),
        cmocka_unit_test(what_is_sealed_is_bound_to_its_row),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
