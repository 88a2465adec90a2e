// SPDX-License-Identifier: Apache-2.0
//
// keyring's files: the wallet as PKCS#12, data keys, auto-login files, enctdepwd.
#include "keyring/wallet.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/crypto.h"
#include "crypto/pkcs12.h"
#include "keyring/autologin.h"
#include "keyring/datakey.h"
#include "keyring/password.h"
#include "tests/unit/check.h"

static const char passphrase[] = "correct horse battery staple";

static struct wallet *wallet_of(int generations)
{
    struct wallet *wallet = NULL;
    OK(wallet_new(&wallet));
    for (int i = 0; i < generations; i++)
        OK(wallet_rotate(wallet));
    return wallet;
}

static void assert_same(const struct wallet *a, const struct wallet *b)
{
    assert_int_equal(wallet_count(a), wallet_count(b));
    for (uint32_t i = 1; i <= wallet_count(a); i++) {
        const struct wallet_key *one = wallet_find(a, i);
        const struct wallet_key *two = wallet_find(b, i);
        assert_int_equal(one->created, two->created);
        assert_true(secret_equal(secret_span(one->key), secret_span(two->key)));
    }
}

static void a_wallet_opens_with_its_password_alone(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(3);
    CLEANUP(wallet_freep) struct wallet *again = NULL;
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, false);
    OK(wallet_encode(wallet, span_str(passphrase), WALLET_PASSPHRASE_ITERATIONS, &file));
    OK(wallet_decode(span_buf(&file), span_str(passphrase), &again));
    assert_same(wallet, again);
    assert_true(wallet_newest(again)->created > 1700000000);
    struct wallet *none = NULL;
    FAILS(ERR_PASSPHRASE, wallet_decode(span_buf(&file), span_str("another one, wrong"), &none));
    FAILS(ERR_PASSPHRASE, wallet_decode(span_buf(&file), span_str(""), &none));
    FAILS(ERR_INVALID, wallet_decode(span_buf(&file), span_of("a\0b", 3), &none));
    assert_null(none);
}

static void a_guess_costs_what_it_should(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(1);
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, false);
    OK(wallet_encode(wallet, span_str(passphrase), WALLET_PASSPHRASE_ITERATIONS, &file));
    // 600,000 and 1,200,000 as DER integers.
    static const uint8_t pbkdf2[] = {0x02, 0x03, 0x09, 0x27, 0xc0};
    static const uint8_t mac[] = {0x02, 0x03, 0x12, 0x4f, 0x80};
    assert_non_null(memmem(file.data, file.len, pbkdf2, sizeof pbkdf2));
    assert_non_null(memmem(file.data, file.len, mac, sizeof mac));
}

// A few bytes outside of what the MAC covers mean nothing (the version number): then the content is
// the same. The root record's hash finds those.
static void damaged_wallets_never_give_other_keys(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(2);
    struct wallet *none = NULL;
    size_t unharmed = 0;
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, false);
    OK(wallet_encode(wallet, span_str(passphrase), 1, &file));
    for (size_t i = 0; i < file.len; i++) {
        CLEANUP(wallet_freep) struct wallet *got = NULL;
        file.data[i] ^= 0x10;
        enum err err = wallet_decode(span_buf(&file), span_str(passphrase), &got);
        file.data[i] ^= 0x10;
        assert_true(err == ERR_OK || err == ERR_DAMAGED || err == ERR_PASSPHRASE);
        if (err == ERR_OK)
            assert_same(wallet, got);
        unharmed += err == ERR_OK;
        err = wallet_decode(span_of(file.data, i), span_str(passphrase), &none);
        assert_true(err == ERR_DAMAGED || err == ERR_PASSPHRASE);
    }
    assert_true(unharmed < 5);
    OK(buf_put_u8(&file, 0));
    FAILS(ERR_DAMAGED, wallet_decode(span_buf(&file), span_str(passphrase), &none));
}

static void a_wallet_that_asks_for_endless_work_is_refused_at_once(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(1);
    struct wallet *none = NULL;
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, false);
    OK(wallet_encode(wallet, span_str(passphrase), WALLET_PASSPHRASE_ITERATIONS, &file));
    static const uint8_t mac[] = {0x02, 0x03, 0x12, 0x4f, 0x80};
    uint8_t *at = memmem(file.data, file.len, mac, sizeof mac);
    at[2] = 0xff;            // negative
    clock_t start = clock(); // of this process alone
    FAILS(ERR_DAMAGED, wallet_decode(span_buf(&file), span_str(passphrase), &none));
    assert_true(clock() - start < CLOCKS_PER_SEC);
    struct buf big CLEANUP(buf_done);
    buf_init(&big, WALLET_FILE_MAX + 1, false);
    OK(buf_put_zeros(&big, WALLET_FILE_MAX + 1));
    FAILS(ERR_DAMAGED, wallet_decode(span_buf(&big), span_str(passphrase), &none));
    FAILS(ERR_INVALID, wallet_encode(wallet, span_str(passphrase), 0, &big));
    FAILS(ERR_INVALID, wallet_encode(wallet, span_str(passphrase), PKCS12_ITERATIONS_MAX, &big));
}

static void other_entries_make_no_wallet(void **state)
{
    (void)state;
    uint8_t key[32] = {1};
    struct wallet *none = NULL;
    static const struct {
        const char *name;
        size_t len;
    } cases[] = {{"tde-master-key-2", 32}, {"tde-master-key-1", 16}, {"something", 32}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pkcs12_bag bag = {.time = 1, .value = span_of(key, cases[i].len)};
        struct buf file CLEANUP(buf_done);
        buf_init(&file, WALLET_FILE_MAX, false);
        (void)snprintf(bag.name, sizeof bag.name, "%s", cases[i].name);
        OK(pkcs12_encode(&bag, 1, span_str(passphrase), 1, &file));
        FAILS(ERR_DAMAGED, wallet_decode(span_buf(&file), span_str(passphrase), &none));
    }
    struct buf empty CLEANUP(buf_done);
    buf_init(&empty, WALLET_FILE_MAX, false);
    OK(pkcs12_encode(NULL, 0, span_str(passphrase), 1, &empty));
    FAILS(ERR_DAMAGED, wallet_decode(span_buf(&empty), span_str(passphrase), &none));
}

// Exit status of a program without its output.
static int run(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = -1;
    extern char **environ;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(
        posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_openssl_command_opens_a_wallet(void **state)
{
    (void)state;
    char dir[] = "/tmp/kw-wallet-XXXXXX";
    assert_non_null(mkdtemp(dir));
    CLEANUP(file_closep) int fd = -1;
    OK(file_open_dir(dir, &fd));
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(2);
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, false);
    OK(wallet_encode(wallet, span_str(passphrase), WALLET_RANDOM_ITERATIONS, &file));
    OK(file_write(fd, "ewallet.p12", span_buf(&file)));
    OK(file_write(fd, "right", span_str(passphrase)));
    OK(file_write(fd, "wrong", span_str("no such passphrase")));
    char path[64];
    char right[64];
    char wrong[64];
    (void)snprintf(path, sizeof path, "%s/ewallet.p12", dir);
    (void)snprintf(right, sizeof right, "file:%s/right", dir);
    (void)snprintf(wrong, sizeof wrong, "file:%s/wrong", dir);
    const char *const good[] = {"openssl", "pkcs12",  "-in",     path,  "-noout",
                                "-info",   "-nokeys", "-passin", right, NULL};
    const char *const bad[] = {"openssl", "pkcs12", "-in", path, "-noout", "-passin", wrong, NULL};
    assert_int_equal(run(good), 0);
    assert_int_not_equal(run(bad), 0);
    OK(file_remove(fd, "ewallet.p12"));
    OK(file_remove(fd, "right"));
    OK(file_remove(fd, "wrong"));
    assert_int_equal(rmdir(dir), 0);
}

static void a_packed_wallet_unpacks(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(4);
    CLEANUP(wallet_freep) struct wallet *again = NULL;
    CLEANUP(wallet_freep) struct wallet *copy = NULL;
    struct wallet *none = NULL;
    struct buf packed CLEANUP(buf_done);
    buf_init(&packed, 4096, true);
    OK(wallet_pack(wallet, &packed));
    OK(wallet_unpack(span_buf(&packed), &again));
    assert_same(wallet, again);
    OK(wallet_copy(wallet, &copy));
    assert_same(wallet, copy);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_not_equal(wallet_unpack(span_of(packed.data, len), &none), ERR_OK);
    assert_null(none);
}

static void data_keys_unwrap_under_their_generation_and_context(void **state)
{
    (void)state;
    CLEANUP(wallet_freep) struct wallet *wallet = wallet_of(1);
    uint8_t key[DATAKEY_LEN] = {9, 9, 9};
    struct buf wrapped CLEANUP(buf_done);
    buf_init(&wrapped, 256, false);
    OK(datakey_wrap(wallet, span_str("id 1"), span_of(key, sizeof key), &wrapped));
    OK(wallet_rotate(wallet)); // older generations still unwrap
    CLEANUP(secret_freep) struct secret *got = NULL;
    OK(datakey_unwrap(wallet, span_str("id 1"), span_buf(&wrapped), &got));
    assert_memory_equal(got->data, key, sizeof key);
    struct secret *none = NULL;
    FAILS(ERR_DAMAGED, datakey_unwrap(wallet, span_str("id 2"), span_buf(&wrapped), &none));
    FAILS(ERR_DAMAGED,
          datakey_unwrap(wallet, span_str("id 1"), span_of(wrapped.data, wrapped.len - 1), &none));
    wrapped.data[3] = 2; // the other generation
    FAILS(ERR_DAMAGED, datakey_unwrap(wallet, span_str("id 1"), span_buf(&wrapped), &none));
    wrapped.data[3] = 3; // one that is not there
    FAILS(ERR_NOT_FOUND, datakey_unwrap(wallet, span_str("id 1"), span_buf(&wrapped), &none));
    wrapped.data[3] = 0;
    FAILS(ERR_NOT_FOUND, datakey_unwrap(wallet, span_str("id 1"), span_buf(&wrapped), &none));
    assert_null(none);
}

static void auto_login_files_cannot_be_swapped(void **state)
{
    (void)state;
    const struct uuid server = uuid_random();
    const struct uuid other = uuid_random();
    struct buf file CLEANUP(buf_done);
    CLEANUP(secret_freep) struct secret *got = NULL;
    struct secret *none = NULL;
    buf_init(&file, 4096, true);
    OK(autologin_encode(AUTOLOGIN_CREDENTIAL, &server, span_str("1234"), &file));
    OK(autologin_decode(AUTOLOGIN_CREDENTIAL, &server, span_buf(&file), "x", &got));
    assert_true(span_eq_str(secret_span(got), "1234"));
    FAILS(ERR_DAMAGED,
          autologin_decode(AUTOLOGIN_RESTORE, &server, span_buf(&file), "x.sso", &none));
    assert_non_null(strstr(err_detail(), "x.sso"));
    FAILS(ERR_DAMAGED, autologin_decode(AUTOLOGIN_CREDENTIAL, &other, span_buf(&file), "x", &none));
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 1;
        FAILS(ERR_DAMAGED,
              autologin_decode(AUTOLOGIN_CREDENTIAL, &server, span_buf(&file), "x", &none));
        file.data[i] ^= 1;
        FAILS(ERR_DAMAGED,
              autologin_decode(AUTOLOGIN_CREDENTIAL, &server, span_of(file.data, i), "x", &none));
    }
}

static void the_encrypted_password_is_bound_to_its_header(void **state)
{
    (void)state;
    struct password_header header = {.generation = 2, .token_label = "tok", .mechanism = "AES_CBC"};
    uint8_t dek[HSM_DEK_LEN] = {5};
    struct password_header got;
    struct span sealed_dek;
    struct span sealed;
    struct buf file CLEANUP(buf_done);
    CLEANUP(secret_freep) struct secret *password = NULL;
    struct secret *none = NULL;
    buf_init(&file, PASSWORD_FILE_MAX, false);
    header.key = (struct hsm_key){.number = 7, .id = {0, 0, 0, 7}, .id_len = 4};
    (void)snprintf(header.key.label, sizeof header.key.label, "OKV 0.1.0 HSM Root Key");
    OK(password_encode(&header, span_str("sealed by the hsm"), span_of(dek, sizeof dek),
                       span_str("wallet password"), &file));
    OK(password_decode(span_buf(&file), &got, &sealed_dek, &sealed));
    assert_int_equal(got.key.number, 7);
    assert_string_equal(got.key.label, header.key.label);
    assert_string_equal(got.token_label, "tok");
    assert_true(span_eq_str(sealed_dek, "sealed by the hsm"));
    OK(password_open(span_buf(&file), span_of(dek, sizeof dek), &password));
    assert_true(span_eq_str(secret_span(password), "wallet password"));
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 1;
        FAILS(ERR_DAMAGED, password_open(span_buf(&file), span_of(dek, sizeof dek), &none));
        file.data[i] ^= 1;
        FAILS(ERR_DAMAGED, password_open(span_of(file.data, i), span_of(dek, sizeof dek), &none));
    }
    dek[1] = 1;
    FAILS(ERR_DAMAGED, password_open(span_buf(&file), span_of(dek, sizeof dek), &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wallet_opens_with_its_password_alone),
        cmocka_unit_test(a_guess_costs_what_it_should),
        cmocka_unit_test(damaged_wallets_never_give_other_keys),
        cmocka_unit_test(a_wallet_that_asks_for_endless_work_is_refused_at_once),
        cmocka_unit_test(other_entries_make_no_wallet),
        cmocka_unit_test(the_openssl_command_opens_a_wallet),
        cmocka_unit_test(a_packed_wallet_unpacks),
        cmocka_unit_test(data_keys_unwrap_under_their_generation_and_context),
        cmocka_unit_test(auto_login_files_cannot_be_swapped),
        cmocka_unit_test(the_encrypted_password_is_bound_to_its_header),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
