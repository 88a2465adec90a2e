// SPDX-License-Identifier: Apache-2.0
//
// Objects that exist already: the file is read first (crypto/container.h), in whole, and then
// stored by KMIP's Register, certificates before the keys that link to them. A file is stored as a
// whole or not at all. A certificate is linked to the one that signed it when that stands behind
// it, a private key to the certificate of its public half.
#include <stdio.h>

#include "base/base64.h"
#include "base/hex.h"
#include "crypto/container.h"
#include "crypto/keypair.h"
#include "crypto/pki.h"
#include "ops/attributes.h"
#include "ops/key_make.h"
#include "ops/render.h"
#include "ops/rules.h"
#include "ops/value.h"
#include "ops/verbs.h"

enum { WORD_MAX = 64, TITLE_MAX = 1024, RAW_MAX = 64 * 1024 };

// Signatures that are looked at for one file: a chain wants one for each certificate, and a file
// may be made so that each costs milliseconds.
enum { SIGNATURES_MAX = 2 * CONTAINER_ITEMS_MAX };

struct part {
    enum container_kind kind;
    bool is_raw; // `object` is what was given as raw bytes
    struct object_data object;
    struct span name; // in the file
    struct span spki; // public half, empty when it is not known
    size_t issuer;    // of a certificate: the place of who signed it, 0 for none
    struct span uid;  // once stored
    struct uuid id;
};

struct import {
    struct op *op;
    const json_t *doc;
    struct part parts[CONTAINER_ITEMS_MAX];
    size_t count;
    struct span name; // that was given
    uint32_t usage;   // 0: the usual
    struct attrs common;
    struct key_place place;
};

// ---- reading ----

static enum err public_half(struct op *op, struct part *part, struct span der)
{
    struct buf spki CLEANUP(buf_done);
    buf_init(&spki, KEYPAIR_DER_MAX, false);
    if (part->kind == CONTAINER_PUBLIC)
        TRY(buf_put(&spki, der));
    else if (part->kind == CONTAINER_PRIVATE)
        TRY(keypair_public_of(der, KEYPAIR_PKCS8, &spki));
    else
        TRY(pki_public_key(der, &spki));
    return arena_copy(op->arena, span_buf(&spki), &part->spki);
}

static enum err take_item(void *arg, const struct container_item *item)
{
    static const struct object_data kinds[] = {
        [CONTAINER_PRIVATE] = {.type = KMIP_OBJECT_TYPE_PRIVATE_KEY,
                               .key_format = KMIP_KEY_FORMAT_TYPE_PKCS_8},
        [CONTAINER_PUBLIC] = {.type = KMIP_OBJECT_TYPE_PUBLIC_KEY,
                              .key_format = KMIP_KEY_FORMAT_TYPE_X_509},
        [CONTAINER_CERTIFICATE] = {.type = KMIP_OBJECT_TYPE_CERTIFICATE,
                                   .subtype = KMIP_CERTIFICATE_TYPE_X_509},
    };
    struct import *import = arg;
    struct part *part = &import->parts[import->count];
    *part = (struct part){.kind = item->kind, .object = kinds[item->kind]};
    TRY(arena_copy(import->op->arena, item->der, &part->object.material));
    TRY(arena_copy(import->op->arena, item->name, &part->name));
    TRY(public_half(import->op, part, part->object.material));
    import->count++;
    return ERR_OK;
}

static enum err take_hex(struct span text, struct buf *out)
{
    if (text.len % 2 != 0)
        FAIL(ERR_INVALID, "\"material\" is cut off: hexadecimal has two digits for each byte");
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.data[i]);
        int low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            FAIL(ERR_INVALID, "\"material\" is not hexadecimal");
        TRY(buf_put_u8(out, (uint8_t)(high << 4 | low)));
    }
    return ERR_OK;
}

// The bytes of the file.
static enum err take_material(const struct import *import, bool pem, struct buf *out)
{
    struct span encoding;
    struct span text = doc_secret(import->op, "material");
    TRY(doc_text(import->doc, "encoding", WORD_MAX, false, &encoding));
    if (text.len == 0)
        FAIL(ERR_MISSING_DATA, "\"material\" is missing");
    if (span_eq_str(encoding, "hex"))
        return take_hex(text, out);
    if (span_eq_str(encoding, "text") || (encoding.len == 0 && pem))
        return buf_put(out, text);
    return base64_take(text, out);
}

// Raw bytes: a symmetric key, a secret or something opaque.
static enum err take_raw(struct import *import, struct span bytes)
{
    struct span type;
    struct span algorithm;
    struct part *part = &import->parts[0];
    *part = (struct part){.is_raw = true};
    struct object_data *object = &part->object;
    TRY(doc_text(import->doc, "type", WORD_MAX, false, &type));
    TRY(doc_text(import->doc, "algorithm", WORD_MAX, false, &algorithm));
    if (bytes.len > RAW_MAX)
        FAIL(ERR_TOO_LARGE, "the material is longer than %d bytes", RAW_MAX);
    TRY(arena_copy(import->op->arena, bytes, &object->material));
    import->count = 1;
    bool symmetric = type.len == 0 || span_eq_str(type, "symmetric");
    if (!symmetric && algorithm.len > 0)
        FAIL(ERR_INVALID, "\"algorithm\" goes with symmetric keys only");
    if (span_eq_str(type, "opaque")) {
        object->type = KMIP_OBJECT_TYPE_OPAQUE_OBJECT;
        object->subtype = KMIP_ENUM_EXTENSION;
        return ERR_OK;
    }
    object->key_format = symmetric ? KMIP_KEY_FORMAT_TYPE_RAW : KMIP_KEY_FORMAT_TYPE_OPAQUE;
    object->type = symmetric ? KMIP_OBJECT_TYPE_SYMMETRIC_KEY : KMIP_OBJECT_TYPE_SECRET_DATA;
    if (!symmetric) {
        object->subtype = KMIP_SECRET_DATA_TYPE_PASSWORD;
        return ERR_OK;
    }
    object->length = (uint32_t)bytes.len * 8;
    return render_find_enum(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM,
                            algorithm.len > 0 ? algorithm : span_str("AES"), &object->algorithm);
}

static enum err read_file(struct import *import)
{
    struct span format;
    struct span passphrase = doc_secret(import->op, "passphrase");
    struct buf file CLEANUP(buf_done);
    buf_init(&file, CONTAINER_FILE_MAX, true);
    TRY(doc_text(import->doc, "format", WORD_MAX, true, &format));
    bool raw = span_eq_str(format, "raw");
    bool pem = span_eq_str(format, "pem");
    if (!raw && (json_object_get(import->doc, "type") != NULL ||
                 json_object_get(import->doc, "algorithm") != NULL))
        FAIL(ERR_INVALID, "\"type\" and \"algorithm\" go with the format raw; a file says them "
                          "itself");
    TRY(take_material(import, pem, &file));
    if (raw)
        return take_raw(import, span_buf(&file));
    if (pem)
        return container_pem(span_buf(&file), passphrase, take_item, import);
    return (span_eq_str(format, "jks") ? container_jks : container_pkcs12)(
        span_buf(&file), passphrase, take_item, import);
}

// Who signed each certificate, among those behind it. Takes long, and so is done before the
// transaction is opened.
static void find_issuers(struct import *import)
{
    unsigned checks = SIGNATURES_MAX;
    for (size_t i = 0; i < import->count; i++) {
        struct part *part = &import->parts[i];
        for (size_t j = i + 1; j < import->count && part->issuer == 0; j++) {
            const struct part *other = &import->parts[j];
            if (!part->is_raw && part->kind == CONTAINER_CERTIFICATE &&
                other->kind == CONTAINER_CERTIFICATE &&
                pki_is_issuer(other->object.material, part->object.material, &checks))
                part->issuer = j;
        }
    }
}

// ---- storing ----

static bool same_key(const struct part *a, const struct part *b)
{
    return a->spki.len > 0 && span_eq(a->spki, b->spki);
}

// Whether two parts are called the same but for what is put behind their names.
static bool alike(const struct import *import, const struct part *a, const struct part *b)
{
    return import->name.len > 0 || span_eq(a->name, b->name);
}

// How many of the part's kind and name stand before it.
static unsigned twins_before(const struct import *import, size_t at)
{
    unsigned count = 0;
    const struct part *part = &import->parts[at];
    for (size_t i = 0; i < at; i++)
        count += alike(import, &import->parts[i], part) && import->parts[i].kind == part->kind;
    return count;
}

// What tells a part from the private key of its name.
static const char *suffix_of(const struct import *import, const struct part *part)
{
    if (part->is_raw || part->kind == CONTAINER_PRIVATE)
        return "";
    for (size_t i = 0; i < import->count; i++) {
        if (import->parts[i].kind == CONTAINER_PRIVATE && alike(import, &import->parts[i], part))
            return part->kind == CONTAINER_CERTIFICATE ? "-certificate" : "-public";
    }
    return "";
}

// What the part is called: the given name, or the file's, and behind it what tells it from the
// others: "web", "web-certificate", "web-certificate-2".
static enum err put_name(const struct import *import, size_t at, struct attrs *attrs)
{
    char text[TITLE_MAX + 64];
    char number[16] = "";
    const struct part *part = &import->parts[at];
    struct span name = import->name.len > 0 ? import->name : part->name;
    unsigned before = twins_before(import, at);
    if (name.len == 0)
        return ERR_OK;
    if (before > 0)
        (void)snprintf(number, sizeof number, "-%u", before + 1);
    int len = snprintf(text, sizeof text, "%.*s%s%s", (int)name.len, (const char *)name.data,
                       suffix_of(import, part), number);
    if (len < 0 || (size_t)len >= sizeof text)
        FAIL(ERR_INVALID, "\"name\" is too long");
    return attributes_put_name(import->op, attrs, span_of(text, (size_t)len));
}

static uint32_t usage_of(const struct import *import, const struct part *part)
{
    uint32_t algorithm = part->object.algorithm;
    if (import->usage != 0 || part->object.type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT)
        return import->usage;
    if (part->object.type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return key_usual_usage(algorithm, false);
    if (part->is_raw)
        return 0;
    return part->kind == CONTAINER_PRIVATE ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN
                                           : KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY;
}

// Links to what is stored already: from a certificate to its issuer's, from a private key to its
// certificate and public key.
static enum err put_links(const struct import *import, size_t at, struct attrs *attrs)
{
    const struct part *part = &import->parts[at];
    for (size_t i = 0; i < import->count && !part->is_raw; i++) {
        const struct part *other = &import->parts[i];
        if (i == at || other->uid.len == 0)
            continue;
        bool issuer = part->issuer != 0 && part->issuer == i;
        bool own = part->kind == CONTAINER_PRIVATE && other->kind != CONTAINER_PRIVATE &&
                   same_key(part, other);
        if (issuer || own)
            TRY(attributes_put_link(import->op, attrs,
                                    other->kind == CONTAINER_PUBLIC
                                        ? KMIP_LINK_TYPE_PUBLIC_KEY_LINK
                                        : KMIP_LINK_TYPE_CERTIFICATE_LINK,
                                    other->uid));
    }
    return ERR_OK;
}

static enum err store_part(struct import *import, size_t at)
{
    struct part *part = &import->parts[at];
    struct reply reply;
    struct request request = {.object_type = part->object.type, .object = part->object};
    uint32_t usage = usage_of(import, part);
    for (size_t i = 0; i < import->common.count; i++)
        TRY(attrs_add(&request.attrs, import->op->arena, &import->common.items[i]));
    TRY(put_name(import, at, &request.attrs));
    if (usage != 0)
        TRY(attributes_put_number(import->op, &request.attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
                                  ATTR_INTEGER, usage));
    TRY(put_links(import, at, &request.attrs));
    TRY(key_make(import->op, &import->place, &request, register_run, &reply));
    part->uid = reply.uid;
    part->id = import->op->object;
    return ERR_OK;
}

// The last certificates of a chain first, then public keys, then private ones: each after what it
// links to.
static enum err store_all(struct import *import)
{
    static const enum container_kind order[] = {CONTAINER_CERTIFICATE, CONTAINER_PUBLIC,
                                                CONTAINER_PRIVATE};
    for (size_t kind = 0; kind < sizeof order / sizeof *order; kind++) {
        for (size_t i = import->count; i-- > 0;) {
            if (import->parts[i].kind == order[kind])
                TRY(store_part(import, i));
        }
    }
    return ERR_OK;
}

static enum err answer(struct import *import, bool dry_run)
{
    struct op *op = import->op;
    CLEANUP(doc_freep) json_t *doc = json_object();
    json_t *list = json_array();
    TRY(doc_set(doc, "keys", list));
    for (size_t i = 0; i < import->count; i++) {
        struct object object = {0};
        json_t *item = NULL;
        TRY(store_object_get(op->ops->set.store, &import->parts[i].id, op->arena, &object.row));
        TRY(key_summary(op, &object, &item));
        if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    if (dry_run)
        TRY(doc_set(doc, "dry_run", json_true()));
    return doc_answer(op, json_incref(doc));
}

static enum err take_wanted(struct import *import)
{
    const json_t *usage = json_object_get(import->doc, "usage");
    TRY(doc_text(import->doc, "name", TITLE_MAX, false, &import->name));
    TRY(arena_copy(import->op->arena, import->name, &import->op->detail));
    if (json_is_array(usage))
        TRY(value_mask(KMIP_ENUM_CRYPTOGRAPHIC_USAGE_MASK, usage, &import->usage));
    TRY(key_take_common(import->op, import->doc, &import->common));
    return key_take_place(import->op, import->doc, &import->place);
}

static enum err store_and_answer(struct import *import, bool dry_run)
{
    TRY(store_all(import));
    return answer(import, dry_run);
}

// {"format", "encoding", "name", …} and the secrets "material" and "passphrase" → {"keys": […]}
enum err key_import_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct import *import = NULL;
    bool dry_run = false;
    TRY(arena_alloc(op->arena, 1, sizeof *import, &import));
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    *import = (struct import){.op = op, .doc = doc};
    TRY(take_wanted(import));
    TRY(read_file(import));
    find_issuers(import);
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    if (!dry_run)
        return store_and_answer(import, false);
    TRY(store_save(op->ops->set.store));
    enum err err = store_and_answer(import, true);
    store_undo(op->ops->set.store);
    op->object = (struct uuid){{0}};
    return err;
}
