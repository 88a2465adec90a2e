// SPDX-License-Identifier: Apache-2.0
//
// For test_keyring.c and test_recovery.c: an HSM and a supervisor in the test's own process. The
// HSM's keys lie in files of the test's directory, so that they outlive a child that is killed; the
// "fresh process" of a prover is a real one, forked. Included by one file a program; it defines
// hsm.h's functions, so the library's own are not linked.
#ifndef KW_TESTS_FAKE_ROOT_H
#define KW_TESTS_FAKE_ROOT_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "crypto/crypto.h"
#include "hsm/hsm.h"
#include "keyring/prover.h"
#include "proc/proc.h"
#include "tests/unit/check.h"

// Faults, set by tests. A forked prover inherits them.
static struct {
    enum err open;   // what hsm_open answers
    enum err create; // hsm_key_create, after the key was made where `made_all_the_same`
    enum err seal;   // hsm_seal
    bool made_all_the_same;
    bool left_besides;   // hsm_key_create succeeds and leaves another key
    bool garbage;        // hsm_unseal answers ERR_OK and other bytes
    bool prover_garbage; // the same in the prover alone
    int race;            // so many creations meet another server that takes the same number
    int gate;            // not 0: the prover waits until a byte can be read here
    bool no_prover;      // the supervisor cannot start one
    char pin[32];
} fake;

static int fake_dir = -1; // the root prefix; the token lies below it

struct hsm {
    int unused;
};

static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    (void)snprintf(fake.pin, sizeof fake.pin, "1234");
}

struct token_key {
    uint32_t number;
    uint8_t key[32];
};

// stdio's own system calls, so that the crash points of test_recovery.c are the keyring's alone.
static size_t token_load(struct token_key keys[64])
{
    int fd = openat(fake_dir, "token", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    size_t count = file == NULL ? 0 : fread(keys, sizeof *keys, 64, file);
    if (file != NULL)
        (void)fclose(file);
    return count;
}

static void token_store(const struct token_key *keys, size_t count)
{
    int fd = openat(fake_dir, "token", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fdopen(fd, "w");
    assert_int_equal(fwrite(keys, sizeof *keys, count, file), count);
    (void)fclose(file);
}

static inline size_t token_count(void)
{
    struct token_key keys[64];
    return token_load(keys);
}

static inline int token_logins(void)
{
    char bytes[256];
    int fd = openat(fake_dir, "logins", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        (void)close(fd);
    return (int)got;
}

enum err hsm_open(int root, const struct hsm_settings *settings, struct span credential,
                  const char *trace, struct hsm **ret)
{
    (void)root, (void)settings, (void)trace;
    if (fake.open != ERR_OK)
        FAIL(fake.open, "the fake HSM is away");
    int fd = openat(fake_dir, "logins", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    FILE *file = fdopen(fd, "a");
    (void)fputc('x', file);
    (void)fclose(file);
    if (!span_eq_str(credential, fake.pin))
        FAIL(ERR_HSM_PIN, "the fake HSM refused the credential (CKR_PIN_INCORRECT)");
    *ret = calloc(1, sizeof **ret);
    return ERR_OK;
}

void hsm_close(struct hsm *hsm)
{
    free(hsm);
}

void hsm_closep(struct hsm **hsm)
{
    hsm_close(*hsm);
    *hsm = NULL;
}

enum err hsm_token_info(struct hsm *hsm, struct hsm_token *ret)
{
    (void)hsm;
    *ret = (struct hsm_token){"tok", "Fake Inc.", "model", "0001", "2.6"};
    return ERR_OK;
}

static void token_add(uint32_t number)
{
    struct token_key keys[64];
    size_t count = token_load(keys);
    keys[count].number = number;
    rand_bytes(keys[count].key, sizeof keys[count].key);
    token_store(keys, count + 1);
}

enum err hsm_key_create(struct hsm *hsm, const char *release, struct hsm_key *ret)
{
    (void)hsm;
    struct token_key keys[64];
    uint32_t number = 0;
    if (fake.create != ERR_OK && !fake.made_all_the_same)
        FAIL(fake.create, "the fake HSM makes no key");
    for (size_t i = token_load(keys); i > 0; i--)
        number = keys[i - 1].number > number ? keys[i - 1].number : number;
    number++;
    token_add(number);
    if (fake.race > 0) {
        fake.race--;
        token_add(number);
    }
    if (fake.create != ERR_OK)
        FAIL(fake.create, "the fake HSM went away");
    *ret = (struct hsm_key){.number = number, .id_len = 4};
    ret->id[3] = (uint8_t)number;
    (void)snprintf(ret->label, sizeof ret->label, "OKV %s HSM Root Key", release);
    return ERR_OK;
}

bool hsm_key_left(const struct hsm *hsm)
{
    (void)hsm;
    return fake.left_besides || (fake.create != ERR_OK && fake.made_all_the_same);
}

enum err hsm_key_look(struct hsm *hsm, const struct hsm_key *key, struct hsm_key_state *ret)
{
    (void)hsm;
    struct token_key keys[64];
    *ret = (struct hsm_key_state){.count = 0};
    for (size_t i = token_load(keys); i > 0; i--)
        ret->count += keys[i - 1].number == key->number;
    return ERR_OK;
}

void hsm_back_off(void)
{
}

enum err hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key)
{
    (void)hsm;
    struct token_key keys[64];
    size_t count = token_load(keys);
    if (count == 0 || keys[count - 1].number != key->number)
        FAIL(ERR_HSM_KEY, "no such key");
    token_store(keys, count - 1);
    return ERR_OK;
}

enum err hsm_seal(struct hsm *hsm, const struct hsm_key *key, char mechanism[32], struct span dek,
                  struct buf *ret_sealed)
{
    (void)hsm;
    struct token_key keys[64];
    size_t count = token_load(keys);
    if (fake.seal != ERR_OK)
        FAIL(fake.seal, "the fake HSM encrypts nothing");
    assert_int_equal(keys[count - 1].number, key->number);
    (void)snprintf(mechanism, 32, "AES_CBC");
    return crypto_seal(span_of(keys[count - 1].key, 32), span_str(""), dek, ret_sealed);
}

enum err hsm_unseal(struct hsm *hsm, const struct hsm_key *key, uint32_t nth, const char *mechanism,
                    struct span sealed, struct secret **ret_dek)
{
    (void)hsm;
    struct token_key keys[64];
    size_t count = token_load(keys);
    assert_string_equal(mechanism, "AES_CBC");
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, 64, true);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].number != key->number || nth-- != 0)
            continue;
        if (fake.garbage ||
            crypto_open(span_of(keys[i].key, 32), span_str(""), sealed, &plain) != ERR_OK)
            return secret_new(HSM_DEK_LEN, ret_dek); // CKR_OK and garbage
        return secret_copy(span_buf(&plain), ret_dek);
    }
    FAIL(ERR_HSM_KEY, "past the last key");
}

enum err hsm_list(struct hsm *hsm, struct buf *ret_json)
{
    (void)hsm;
    return buf_put_str(ret_json, "[{\"class\":\"secret key\",\"number\":1}]");
}

const char *proc_role_name(enum proc_role role)
{
    return role == ROLE_PROVER ? "prover" : "other";
}

bool proc_has_kept(void)
{
    return false;
}

enum err proc_receive(int timeout_ms, struct proc_message *ret, int *ret_fd)
{
    (void)timeout_ms, (void)ret, (void)ret_fd;
    FAIL(ERR_TIMEOUT, "nobody supervises a test");
}

// A fresh process that has nothing but the descriptor and the files.
enum err proc_spawn(enum proc_role role, int timeout_ms, int *ret_fd)
{
    (void)timeout_ms;
    assert_int_equal(role, ROLE_PROVER);
    if (fake.no_prover)
        FAIL(ERR_UNAVAILABLE, "no process could be started");
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct ipc *keeper = NULL;
        (void)close(pair[0]);
        fake.garbage = fake.garbage || fake.prover_garbage;
        char byte = 0;
        if (fake.gate != 0 && read(fake.gate, &byte, 1) != 1)
            _exit(1);
        enum err err = ipc_new(pair[1], &keeper);
        if (err == ERR_OK)
            err = prover_serve(fake_dir, keeper);
        _exit(err == ERR_OK ? 0 : 1);
    }
    (void)close(pair[1]);
    *ret_fd = pair[0];
    return ERR_OK;
}

// Passphrases are stretched a thousandth in these tests; test_wallet.c has the real figures.
PKCS7 *PKCS12_pack_p7encdata(int pbe_nid, const char *pass, int passlen, unsigned char *salt,
                             int saltlen, int iter, STACK_OF(PKCS12_SAFEBAG) * bags)
{
    PKCS7 *(*real)(int, const char *, int, unsigned char *, int, int, STACK_OF(PKCS12_SAFEBAG) *) =
        NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "PKCS12_pack_p7encdata");
    return real(pbe_nid, pass, passlen, salt, saltlen, iter > 1000 ? iter / 1000 : iter, bags);
}

int PKCS12_set_mac(PKCS12 *p12, const char *pass, int passlen, unsigned char *salt, int saltlen,
                   int iter, const EVP_MD *md_type)
{
    int (*real)(PKCS12 *, const char *, int, unsigned char *, int, int, const EVP_MD *) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "PKCS12_set_mac");
    return real(p12, pass, passlen, salt, saltlen, iter > 1000 ? iter / 1000 : iter, md_type);
}

// A root prefix of its own, with a configuration as the packages put it there.
static char fake_path[64];

static void fake_make_root(void)
{
    static const char conf[] = "# by hand\nHSM_ENABLED=\"0\"\nHSM_PROVIDER=\"4\"\n"
                               "HSM_REVERSE_MIGRATE_ENABLED=\"1\"\nSITE_KEY=\"kept\"\n";
    static const char vendor[] = "VENDOR_NAME=\"Fake\"\nPKCS11_LIB_LOC=\"/opt/fake.so\"\n"
                                 "PRESERVED_FILES=\"\"\n";
    fake_reset();
    (void)snprintf(fake_path, sizeof fake_path, "/dev/shm/kw-keyring-XXXXXX");
    assert_non_null(mkdtemp(fake_path));
    OK(file_open_dir(fake_path, &fake_dir));
    OK(file_mkdirs(fake_dir, PATH_STATE_DIR));
    OK(file_mkdirs(fake_dir, PATH_SECURITY_DIR));
    OK(file_mkdirs(fake_dir, PATH_GENERIC_DIR));
    OK(file_mkdirs(fake_dir, "mnt/okvram"));
    OK(file_write(fake_dir, PATH_SECURITY_CONF, span_str(conf)));
    OK(file_write(fake_dir, PATH_HSM_CONF, span_str(vendor)));
}

static void fake_remove_root(void)
{
    char target[256] = "";
    ssize_t len = readlinkat(fake_dir, PATH_RAM_DIR, target, sizeof target - 1);
    if (len > 0)
        OK(file_remove_tree(AT_FDCWD, target));
    file_closep(&fake_dir);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    OK(file_remove_tree(AT_FDCWD, fake_path));
}

#endif
