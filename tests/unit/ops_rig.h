// SPDX-License-Identifier: Apache-2.0
//
// A whole server's operations in one process: an admin engine, a writer and a reader on one store
// in memory, and in the keeper's place the functions below. Nothing but keyring/keyring.h stands
// between an engine and its keeper, so that this wall is what these tests cross.
#ifndef KW_TESTS_OPS_RIG_H
#define KW_TESTS_OPS_RIG_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"

#include "base/file.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/pki.h"
#include "keyring/keyring.h"
#include "kmip/kmip_tables.h"
#include "ops/ops.h"
#include "wire/ttlv.h"

#define RIG __attribute__((unused)) static

// ---- the keeper ----
enum { FAKE_WRAPPED = 68 };

static struct {
    struct keyring_status status;
    struct keyring_health health;
    enum err health_fails;
    uint32_t watch_s;
    enum err fails; // what the next operation ends with
    bool unsure;    // and whether it is known what came of it
    void (*during)(void);
    enum err status_fails;
    unsigned calls; // of keyring_status
    unsigned operations;
} fake_keeper;

enum err keyring_status(struct ipc *keeper, struct keyring_status *ret)
{
    (void)keeper;
    fake_keeper.calls++;
    if (fake_keeper.status_fails != ERR_OK)
        FAIL(fake_keeper.status_fails, "the fake keeper was told to fail");
    *ret = fake_keeper.status;
    return ERR_OK;
}

enum err keyring_steps(struct ipc *keeper, struct buf *ret_doc)
{
    (void)keeper, (void)ret_doc;
    return ERR_OK;
}

enum err keyring_health(struct ipc *keeper, uint32_t watch_s, struct keyring_health *ret)
{
    (void)keeper;
    if (watch_s != 0) // 0 leaves it as it is
        fake_keeper.watch_s = watch_s;
    if (fake_keeper.health_fails != ERR_OK)
        FAIL(fake_keeper.health_fails, "the fake keeper was told to fail");
    *ret = fake_keeper.health;
    ret->master = fake_keeper.status.master;
    return ERR_OK;
}

// Hash of the context, master generation, the key with every bit turned.
static enum err fake_wrap(struct span context, struct span key, struct buf *out)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    crypto_sha256(context, hash);
    TRY(buf_put(out, span_of(hash, sizeof hash)));
    TRY(buf_put_u32(out, fake_keeper.status.master));
    for (size_t i = 0; i < key.len; i++)
        TRY(buf_put_u8(out, (uint8_t)~key.data[i]));
    return ERR_OK;
}

enum err keyring_new_key(struct ipc *keeper, struct span context, struct secret **ret_key,
                         struct buf *ret_wrapped)
{
    (void)keeper;
    TRY(secret_random(CRYPTO_KEY_LEN, ret_key));
    return fake_wrap(context, secret_span(*ret_key), ret_wrapped);
}

enum err keyring_unwrap(struct ipc *keeper, struct span context, struct span wrapped,
                        struct secret **ret_key)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    (void)keeper;
    crypto_sha256(context, hash);
    if (wrapped.len != FAKE_WRAPPED || memcmp(wrapped.data, hash, sizeof hash) != 0)
        FAIL(ERR_DAMAGED, "a data key is not what it was");
    TRY(secret_new(CRYPTO_KEY_LEN, ret_key));
    for (size_t i = 0; i < CRYPTO_KEY_LEN; i++)
        (*ret_key)->data[i] = (uint8_t)~wrapped.data[36 + i];
    return ERR_OK;
}

enum err keyring_rewrap(struct ipc *keeper, struct span context, struct span wrapped,
                        struct buf *ret_wrapped, bool *ret_changed)
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(keyring_unwrap(keeper, context, wrapped, &key));
    *ret_changed = wrapped.data[35] != (uint8_t)fake_keeper.status.master;
    return fake_wrap(context, secret_span(key), ret_wrapped);
}

enum err keyring_operate(struct ipc *keeper, enum keyring_operation operation, struct span doc,
                         const struct keyring_secret *secrets, size_t secret_count,
                         struct buf *ret_doc, bool *ret_unsure)
{
    (void)keeper;
    (void)doc;
    *ret_unsure = fake_keeper.unsure;
    if (fake_keeper.during != NULL)
        fake_keeper.during();
    fake_keeper.operations++;
    TRY(buf_put_str(ret_doc, "{\"steps\":[]}"));
    if (fake_keeper.fails != ERR_OK)
        FAIL(fake_keeper.fails, "the fake keeper was told to fail");
    if (operation == KEYRING_SETUP && (secret_count == 0 || secrets[0].value.len < 15))
        FAIL(ERR_PASSPHRASE, "the recovery passphrase is too short");
    if (operation == KEYRING_SETUP)
        fake_keeper.status.state = KEYRING_OPEN;
    fake_keeper.status.master++;
    return ERR_OK;
}

// ---- the engines ----
struct rig {
    char path[64];
    int root;
    struct store *stores[OPS_PEOPLE + 1]; // by enum ops_role
    struct ops *engines[OPS_PEOPLE + 1];
    struct arena *arena;
    uint16_t version;
    uint8_t client[32]; // fingerprint of the endpoint "client"
    uint8_t other[32];  // of "other"
    struct reply reply; // of the last request
    unsigned declined;  // batches that the reader left to the writer
};

static struct rig rig;

// Runs a batch on the engine of this role and returns the replies. What the reader declines goes to
// the writer, as a front would have it.
RIG struct replies run_batch(enum ops_role role, struct batch *batch)
{
    struct replies replies = {0};
    OK(ops_begin(rig.engines[role]));
    enum err err = ops_run_batch(rig.engines[role], batch, rig.arena, &replies);
    if (err == ERR_TO_WRITER && role == OPS_READER) {
        rig.declined++;
        OK(ops_end(rig.engines[role]));
        return run_batch(OPS_WRITER, batch);
    }
    OK(err);
    OK(ops_end(rig.engines[role]));
    assert_int_equal(replies.count, batch->count);
    return replies;
}

RIG struct principal endpoint(const uint8_t fingerprint[32])
{
    struct principal who = {.kind = PRINCIPAL_ENDPOINT, .address = span_str("127.0.0.1:40000")};
    memcpy(who.fingerprint, fingerprint, sizeof who.fingerprint);
    return who;
}

// Runs one request as this principal, on the engine that serves its verb.
// The engine that web would ask, or a front.
RIG enum ops_role engine_of(enum verb verb)
{
#define ROW(method, path, id, engine, ...) {VERB_##id, OPS_##engine},
    static const struct {
        enum verb verb;
        enum ops_role role;
    } rows[] = {API_ROUTES(ROW)};
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].verb == verb)
            return rows[i].role;
    }
    return verb_writes(verb) ? OPS_WRITER : OPS_READER;
}

RIG enum err run_as(struct principal who, struct request *request)
{
    struct batch batch = {.who = who,
                          .version = rig.version,
                          .on_error = ON_ERROR_STOP,
                          .items = request,
                          .count = 1};
    if (request->maximum_items == 0)
        request->maximum_items = -1;
    rig.reply = run_batch(engine_of(request->verb), &batch).items[0];
    return rig.reply.status;
}

RIG enum err run(struct request *request)
{
    return run_as(endpoint(rig.client), request);
}

RIG enum err run_other(struct request *request)
{
    return run_as(endpoint(rig.other), request);
}

RIG enum err admin(enum verb verb, const char *doc, const char *secret_name, const char *secret)
{
    struct principal who = {.kind = PRINCIPAL_LOCAL, .uid = 0};
    struct request request = {.verb = verb, .doc = span_str(doc)};
    if (secret_name != NULL) {
        request.secrets[0] = (struct named_secret){span_str(secret_name), span_str(secret)};
        request.secret_count = 1;
    }
    return run_as(who, &request);
}

// The text of a member of the last answer's document, in a static buffer.
RIG const char *answer_text(const char *name)
{
    static char text[8192];
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = memmem(rig.reply.doc.data, rig.reply.doc.len, key, strlen(key));
    assert_non_null(at);
    at += strlen(key);
    size_t len = 0;
    while (at[len] != '"') {
        text[len] = at[len];
        len++;
    }
    text[len] = '\0';
    return text;
}

RIG void make_endpoint(const char *name, uint8_t ret_fingerprint[32])
{
    char doc[4096];
    char token[128];
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&csr, 8192, false);
    (void)snprintf(doc, sizeof doc, "{\"name\":\"%s\"}", name);
    OK(admin(VERB_ENDPOINT_ADD, doc, NULL, NULL));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    OK(pki_make_key(&key));
    OK(pki_make_csr(span_buf(&key), name, &csr));
    size_t used = (size_t)snprintf(doc, sizeof doc, "{\"name\":\"%s\",\"csr\":\"", name);
    for (size_t i = 0; i < csr.len; i++)
        used += (size_t)snprintf(doc + used, sizeof doc - used, csr.data[i] == '\n' ? "\\n" : "%c",
                                 csr.data[i]);
    (void)snprintf(doc + used, sizeof doc - used, "\"}");
    OK(admin(VERB_ENDPOINT_ENROLL, doc, "token", token));
    char *pem = strdup(answer_text("certificate"));
    assert_non_null(pem);
    char *out = pem;
    for (const char *in = pem; *in != '\0'; in++) {
        bool is_newline = in[0] == '\\' && in[1] == 'n';
        *out++ = is_newline ? '\n' : *in;
        in += is_newline;
    }
    *out = '\0';
    OK(pki_fingerprint(span_str(pem), ret_fingerprint));
    free(pem);
}

RIG int rig_up(void **state)
{
    (void)state;
    static const char name[] = "ram:ops";
    (void)snprintf(rig.path, sizeof rig.path, "/tmp/keyward-ops-XXXXXX");
    assert_non_null(mkdtemp(rig.path));
    memset(&fake_keeper, 0, sizeof fake_keeper);
    rig.version = 1 << 8 | 4;
    OK(secret_setup());
    OK(file_open_dir(rig.path, &rig.root));
    OK(file_mkdirs(rig.root, "var/lib/keyward/audit"));
    OK(arena_new(256 * 1024 * 1024, &rig.arena));
    for (int role = OPS_PEOPLE; role >= OPS_READER; role--) {
        enum store_mode mode = role == OPS_READER ? STORE_READ : STORE_WRITE;
        OK(store_open(rig.root, name, mode, &rig.stores[role]));
        struct ops_settings settings = {.role = (enum ops_role)role,
                                        .root = rig.root,
                                        .store = rig.stores[role],
                                        .service_uid = 700};
        OK(ops_new(&settings, &rig.engines[role]));
        ops_set_keeper(rig.engines[role], (struct ipc *)&fake_keeper);
    }
    return 0;
}

// Set up, with two enrolled endpoints.
RIG int rig_serving(void **state)
{
    (void)rig_up(state);
    OK(admin(VERB_SETUP, "{}", "recovery_passphrase", "a passphrase of the tests"));
    for (int role = OPS_READER; role <= OPS_PEOPLE; role++)
        ops_set_keeper(rig.engines[role], (struct ipc *)&fake_keeper);
    make_endpoint("client", rig.client);
    make_endpoint("other", rig.other);
    return 0;
}

RIG int rig_down(void **state)
{
    (void)state;
    for (int role = OPS_READER; role <= OPS_PEOPLE; role++) {
        ops_freep(&rig.engines[role]);
        store_closep(&rig.stores[role]);
    }
    arena_freep(&rig.arena);
    file_closep(&rig.root);
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    enum err err = file_remove_tree(dir, rig.path + strlen("/tmp/"));
    (void)close(dir);
    return err == ERR_OK ? 0 : -1;
}

// ---- requests ----
RIG void put_attr(struct attrs *attrs, uint32_t tag, uint8_t type, int64_t number)
{
    struct attr attr = {.tag = tag, .index = ATTR_NO_INDEX, .type = type, .number = number};
    OK(attrs_add(attrs, rig.arena, &attr));
}

RIG struct attr text_attr(const char *name, const char *value)
{
    return (struct attr){.tag = ATTR_CUSTOM,
                         .name = span_str(name),
                         .index = ATTR_NO_INDEX,
                         .type = ATTR_TEXT,
                         .bytes = span_str(value)};
}

RIG struct attr name_attr(struct span value)
{
    struct attr attr = {.tag = KMIP_TAG_NAME, .index = ATTR_NO_INDEX, .type = ATTR_STRUCTURE};
    struct buf members CLEANUP(buf_done);
    buf_init(&members, 1 << 20, false);
    OK(ttlv_put_text(&members, KMIP_TAG_NAME_VALUE, value));
    OK(ttlv_put_enumeration(&members, KMIP_TAG_NAME_TYPE, 1));
    OK(arena_copy(rig.arena, span_buf(&members), &attr.bytes));
    return attr;
}

RIG struct request create_request(const char *name)
{
    struct request request = {.verb = VERB_CREATE, .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, ATTR_ENUMERATION,
             KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, 256);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 12);
    if (name != NULL) {
        struct attr attr = name_attr(span_str(name));
        OK(attrs_add(&request.attrs, rig.arena, &attr));
    }
    return request;
}

// Makes an AES key of the endpoint "client".
RIG struct span make_key(const char *name)
{
    struct request request = create_request(name);
    OK(run(&request));
    return rig.reply.uid;
}

RIG enum err simple(enum verb verb, struct span uid)
{
    struct request request = {.verb = verb, .uid = uid};
    return run(&request);
}

RIG enum err revoke_key(struct span uid, uint32_t reason)
{
    struct request request = {.verb = VERB_REVOKE, .uid = uid, .reason = reason};
    return run(&request);
}

// A number among the object's attributes, -1 when it has none of this tag.
RIG int64_t attr_number(struct span uid, uint32_t tag)
{
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    const struct attr *attr = attrs_find(&rig.reply.attrs, tag);
    return attr == NULL ? -1 : attr->number;
}

RIG int64_t state_of(struct span uid)
{
    return attr_number(uid, KMIP_TAG_STATE);
}

#endif
