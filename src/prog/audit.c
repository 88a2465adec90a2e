// SPDX-License-Identifier: Apache-2.0
//
// keyward-audit --root DIR | --file FILE [--public-key HEX]: verifies the audit trail of a server
// that is down, or an exported file, without any key but the public one. The verdict is a JSON
// document on standard output; exit status 0 sound, 1 not sound or not readable, 2 usage.
// `keyward audit verify` runs it; an auditor may have it alone.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_export.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/paths.h"

struct asked {
    const char *root, *file;
    bool has_key;
    uint8_t key[AUDIT_PUBLIC_LEN];
};

static int usage(const char *why)
{
    (void)fprintf(stderr,
                  "keyward-audit: %s\n"
                  "usage: keyward-audit --root DIR | --file FILE [--public-key HEX]\n",
                  why);
    return 2;
}

static bool take_key(const char *text, uint8_t out[AUDIT_PUBLIC_LEN])
{
    size_t len = 0;
    return hex_bytes_any_case(span_str(text), out, AUDIT_PUBLIC_LEN, &len) &&
           len == AUDIT_PUBLIC_LEN;
}

static json_t *key_json(bool has_key, const uint8_t key[AUDIT_PUBLIC_LEN])
{
    char text[2 * AUDIT_PUBLIC_LEN + 1];
    if (!has_key)
        return json_null();
    hex_text(span_of(key, AUDIT_PUBLIC_LEN), text);
    return json_string(text);
}

static int tell(json_t *verdict)
{
    bool sound = json_is_true(json_object_get(verdict, "sound"));
    int failed = verdict == NULL || json_dumpf(verdict, stdout, JSON_INDENT(1)) != 0 ||
                 puts("") < 0 || fflush(stdout) != 0;
    json_decref(verdict);
    if (failed)
        (void)fprintf(stderr, "keyward-audit: the verdict could not be written\n");
    return failed != 0 || !sound;
}

static enum err verify_root(const struct asked *asked, int *ret_status)
{
    CLEANUP(file_closep) int root = -1;
    CLEANUP(store_closep) struct store *store = NULL;
    struct audit_verdict verdict;
    TRY(file_open_dir(asked->root, &root));
    TRY(store_open(root, PATH_STORE, STORE_READ, &store));
    TRY(audit_verify(root, store, asked->has_key ? asked->key : NULL, &verdict));
    *ret_status = tell(json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:s, s:o, s:I}", "sound", verdict.sound, "first",
        (json_int_t)verdict.first, "records", (json_int_t)verdict.records, "read_records",
        (json_int_t)verdict.read_records, "bad_sequence", (json_int_t)verdict.bad_sequence, "what",
        verdict.what, "public_key", key_json(verdict.has_key, verdict.public_key), "signed_through",
        (json_int_t)verdict.signed_sequence));
    return ERR_OK;
}

static enum err verify_file(const struct asked *asked, int *ret_status)
{
    struct audit_file_verdict verdict;
    FILE *in = fopen(asked->file, "re");
    if (in == NULL)
        return file_raise("open", asked->file);
    enum err err = audit_file_verify(in, asked->has_key ? asked->key : NULL, &verdict);
    (void)fclose(in);
    TRY(err);
    *ret_status = tell(
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:I, s:I, s:I}", "sound", verdict.sound,
                  "lines", (json_int_t)verdict.lines, "records", (json_int_t)verdict.records,
                  "read_records", (json_int_t)verdict.read_records, "bad_line",
                  (json_int_t)verdict.bad_line, "bad_sequence", (json_int_t)verdict.bad_sequence,
                  "what", verdict.what, "public_key", key_json(verdict.has_key, verdict.public_key),
                  "first", (json_int_t)verdict.first.chain, "last", (json_int_t)verdict.last.chain,
                  "signed_through", (json_int_t)verdict.signed_sequence));
    return ERR_OK;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"file", required_argument, NULL, 'f'},
        {"public-key", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    struct asked asked = {0};
    int status = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'r')
            asked.root = optarg;
        else if (c == 'f')
            asked.file = optarg;
        else if (c == 'k' && take_key(optarg, asked.key))
            asked.has_key = true;
        else
            return usage(c == 'k' ? "--public-key has 64 hexadecimal digits" : "unknown option");
    }
    if ((asked.root == NULL) == (asked.file == NULL) || optind != argc)
        return usage("give --root or --file");
    enum err err = asked.file != NULL ? verify_file(&asked, &status) : verify_root(&asked, &status);
    if (err != ERR_OK)
        (void)fprintf(stderr, "keyward-audit: %s\n", err_message(err));
    return status;
}
