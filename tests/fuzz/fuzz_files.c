// SPDX-License-Identifier: Apache-2.0
//
// The server's own files, as they come from a disk that somebody has written to: wallet, auto-login
// file, enctdepwd, root record, a file of KEY="value" lines. The first byte chooses which. A record
// or a file of lines that is read can be written, and read again it is the same.
#include "base/kv.h"
#include "keyring/autologin.h"
#include "keyring/password.h"
#include "keyring/rootrec.h"
#include "keyring/wallet.h"
#include "tests/fuzz/fuzz.h"

static void check_wallet(struct span in)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    if (wallet_decode(in, span_str("correct horse battery staple"), &wallet) == ERR_OK)
        PROMISE(wallet_count(wallet) > 0);
}

static void check_autologin(struct span in)
{
    struct uuid server = {{0}};
    for (int kind = AUTOLOGIN_TDE; kind <= AUTOLOGIN_RESTORE; kind++) {
        CLEANUP(secret_freep) struct secret *payload = NULL;
        CLEANUP(wallet_freep) struct wallet *wallet = NULL;
        if (autologin_decode((enum autologin_kind)kind, &server, in, "file", &payload) == ERR_OK &&
            wallet_unpack(secret_span(payload), &wallet) == ERR_OK)
            PROMISE(wallet_count(wallet) > 0);
    }
    CLEANUP(wallet_freep) struct wallet *plain = NULL;
    if (wallet_unpack(in, &plain) == ERR_OK)
        PROMISE(wallet_count(plain) > 0);
}

static void check_password(struct span in)
{
    struct password_header header;
    struct span dek;
    struct span sealed;
    CLEANUP(secret_freep) struct secret *password = NULL;
    static const uint8_t key[HSM_DEK_LEN];
    if (password_decode(in, &header, &dek, &sealed) == ERR_OK)
        PROMISE(dek.len <= in.len && sealed.len <= in.len);
    PROMISE(password_open(in, span_of(key, sizeof key), &password) != ERR_OK || password != NULL);
}

static void check_record(struct span in)
{
    struct root_record record;
    struct buf out CLEANUP(buf_done);
    struct buf twice CLEANUP(buf_done);
    buf_init(&out, 1 << 16, false);
    buf_init(&twice, 1 << 16, false);
    if (rootrec_parse(in, &record) != ERR_OK)
        return;
    PROMISE(rootrec_text(&record, &out) == ERR_OK);
    PROMISE(rootrec_parse(span_buf(&out), &record) == ERR_OK);
    PROMISE(rootrec_text(&record, &twice) == ERR_OK);
    PROMISE(span_eq(span_buf(&out), span_buf(&twice)));
}

static void check_lines(struct span in)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    CLEANUP(kv_freep) struct kv *again = NULL;
    struct buf out CLEANUP(buf_done);
    struct buf twice CLEANUP(buf_done);
    buf_init(&out, in.len * 2 + 4096, false);
    buf_init(&twice, in.len * 2 + 4096, false);
    if (kv_parse(in, "file", &kv) != ERR_OK)
        return;
    PROMISE(kv_text(kv, &out) == ERR_OK);
    PROMISE(kv_parse(span_buf(&out), "file", &again) == ERR_OK);
    PROMISE(kv_text(again, &twice) == ERR_OK);
    PROMISE(span_eq(span_buf(&out), span_buf(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const checks[])(struct span) = {check_wallet, check_autologin, check_password,
                                                  check_record, check_lines};
    static bool ready;
    if (!ready)
        PROMISE(secret_setup() == ERR_OK);
    ready = true;
    if (len > 0)
        checks[data[0] % 5](span_of(data + 1, len - 1));
    return 0;
}
