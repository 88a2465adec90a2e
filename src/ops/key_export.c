// SPDX-License-Identifier: Apache-2.0
//
// A key's value in the hands of an administrator. It leaves by object_release alone, which refuses
// what is sensitive, not extractable or destroyed; the reason stands in the audit record, which is
// durable before the answer leaves, since this runs in the writer. The answer's text is put
// together in memory that is wiped: no JSON library holds the value here.
#include "base/base64.h"
#include "crypto/keypair.h"
#include "crypto/pkcs12.h"
#include "crypto/pki.h"
#include "ops/key.h"
#include "ops/keyformat.h"
#include "ops/rules.h"
#include "ops/verbs.h"

enum { WORD_MAX = 16, REASON_MAX = 512, ANSWER_MAX = 2 * 1024 * 1024, ITERATIONS = 100000 };

struct export
{
    struct op *op;
    struct object object;
    struct object_data data;
    struct span passphrase;
    struct buf out; // the value in its format
    bool text;      // `out` is a text, not to be encoded
};

static enum err put_raw(struct export *export)
{
    return buf_put(&export->out, export->data.material);
}

static enum err put_block(struct buf *out, const char *label, struct span der)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ANSWER_MAX, true);
    TRY(base64_put(&text, der));
    TRY(buf_printf(out, "-----BEGIN %s-----\n", label));
    for (size_t at = 0; at < text.len; at += 64) {
        size_t len = text.len - at < 64 ? text.len - at : 64;
        TRY(buf_put(out, span_of(text.data + at, len)));
        TRY(buf_put_u8(out, '\n'));
    }
    return buf_printf(out, "-----END %s-----\n", label);
}

static enum err put_pem(struct export *export)
{
    struct object_data *data = &export->data;
    export->text = true;
    if (data->type == KMIP_OBJECT_TYPE_CERTIFICATE)
        return put_block(&export->out, "CERTIFICATE", data->material);
    if (data->type == KMIP_OBJECT_TYPE_PRIVATE_KEY) {
        TRY(keyformat_convert(export->op, KMIP_KEY_FORMAT_TYPE_PKCS_8, data));
        return put_block(&export->out, "PRIVATE KEY", data->material);
    }
    if (data->type == KMIP_OBJECT_TYPE_PUBLIC_KEY) {
        TRY(keyformat_convert(export->op, KMIP_KEY_FORMAT_TYPE_X_509, data));
        return put_block(&export->out, "PUBLIC KEY", data->material);
    }
    FAIL(ERR_KEY_FORMAT, "PEM is for private and public keys and certificates; ask for raw");
}

// A private key or a certificate as such, a symmetric key as a secret bag.
static enum err put_pkcs12(struct export *export)
{
    struct object_data *data = &export->data;
    if (export->passphrase.len == 0)
        FAIL(ERR_MISSING_DATA, "\"passphrase\" is missing: a PKCS#12 file is protected by one");
    if (data->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ||
        data->type == KMIP_OBJECT_TYPE_SECRET_DATA) {
        struct pkcs12_bag bag = {.name = "key", .value = data->material};
        return pkcs12_encode(&bag, 1, export->passphrase, ITERATIONS, &export->out);
    }
    if (data->type != KMIP_OBJECT_TYPE_PRIVATE_KEY && data->type != KMIP_OBJECT_TYPE_CERTIFICATE)
        FAIL(ERR_KEY_FORMAT, "PKCS#12 is for keys that are secret and for certificates");
    bool is_key = data->type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    if (is_key)
        TRY(keyformat_convert(export->op, KMIP_KEY_FORMAT_TYPE_PKCS_8, data));
    struct span none = {NULL, 0};
    return pki_pack_pkcs12(is_key ? data->material : none, is_key ? none : data->material,
                           export->passphrase, &export->out);
}

static const struct {
    const char *name;
    enum err (*put)(struct export *export);
} formats[] = {{"raw", put_raw}, {"pem", put_pem}, {"pkcs12", put_pkcs12}};

// The JSON string of a text that has no character but line ends to be escaped.
static enum err put_text(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n')
            TRY(buf_put_str(out, "\\n"));
        else
            TRY(buf_put_u8(out, text.data[i]));
    }
    return ERR_OK;
}

static enum err answer(struct export *export, const char *format, struct span *ret)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, ANSWER_MAX, true);
    TRY(buf_printf(&out, "{\"id\":\"%.*s\",\"format\":\"%s\",\"encoding\":\"%s\",\"material\":\"",
                   (int)export->object.uid.len, (const char *)export->object.uid.data, format,
                   export->text ? "text" : "base64"));
    if (export->text)
        TRY(put_text(&out, span_buf(&export->out)));
    else
        TRY(base64_put(&out, span_buf(&export->out)));
    TRY(buf_put_str(&out, "\"}"));
    return arena_copy(export->op->arena, span_buf(&out), ret);
}

static enum err release(struct export *export, size_t format, struct span *ret)
{
    TRY(object_release(export->op, &export->object, &export->data));
    TRY(formats[format].put(export));
    return answer(export, formats[format].name, ret);
}

static enum err take_reason(struct op *op, const json_t *doc, struct span *ret)
{
    struct span reason;
    size_t blank = 0;
    TRY(doc_text(doc, "reason", REASON_MAX, true, &reason));
    while (blank < reason.len && reason.data[blank] == ' ')
        blank++;
    if (blank == reason.len)
        FAIL(ERR_MISSING_DATA, "\"reason\" is empty: say why the key is handed out");
    return arena_copy(op->arena, reason, ret);
}

// {"id", "format", "reason"} and the secret "passphrase" → {"id", "format", "encoding", "material"}
enum err key_export_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct export export = {.op = op};
    struct span word;
    struct span reason;
    size_t format = 0;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "format", WORD_MAX, false, &word));
    TRY(take_reason(op, doc, &reason));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (span_eq_str(word, formats[i].name))
            format = i;
    }
    export.passphrase = doc_secret(op, "passphrase");
    op->detail = reason;
    TRY(key_take(op, doc, &export.object));
    buf_init(&export.out, ANSWER_MAX, true);
    struct span told;
    enum err err = release(&export, format, &told);
    buf_done(&export.out);
    TRY(err);
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    TRY(object_note_served(op, &export.object));
    op->reply->doc = told; // a failed request's document would leave with its problem
    return ERR_OK;
}
