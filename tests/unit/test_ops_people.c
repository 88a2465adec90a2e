// SPDX-License-Identifier: Apache-2.0
//
// People: how the first administrators come to be, sign-in and its counter, sessions, tokens,
// second factor, what ends them, and who may do what to whom.
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tests/unit/people_rig.h"

// ---- changing the store behind the engines ----

static void change_credential(const struct person *person, int64_t created, int64_t expires)
{
    struct store *store = rig.stores[OPS_WRITER];
    struct store_credential row;
    OK(store_begin(store, STORE_WRITE));
    OK(store_credential_by_hash(store, person->who.fingerprint, rig.arena, &row));
    if (created != 0)
        row.created = created;
    if (expires != 0)
        row.expires = expires;
    OK(store_credential_update(store, &row));
    OK(store_commit(store));
}

static struct store_user row_of(const struct person *person)
{
    struct store_credential credential;
    struct store_user row;
    OK(store_credential_by_hash(rig.stores[OPS_READER], person->who.fingerprint, rig.arena,
                                &credential));
    OK(store_user_get(rig.stores[OPS_READER], &credential.user, rig.arena, &row));
    return row;
}

static struct store_tries tries_of(const struct store_user *row)
{
    struct store_tries tries;
    OK(store_tries_get(rig.stores[OPS_READER], row->name_hash, &tries));
    return tries;
}

// As if so many seconds had gone by for the counter.
static void age_tries(const struct store_user *row, int64_t seconds)
{
    struct store *store = rig.stores[OPS_WRITER];
    struct store_tries tries = tries_of(row);
    OK(store_begin(store, STORE_WRITE));
    tries.since -= seconds;
    tries.until -= seconds;
    OK(store_tries_put(store, &tries));
    OK(store_commit(store));
}

// ---- names ----

static void a_name_has_one_normal_form(void **state)
{
    static const char *const spellings[] = {" bob",
                                            "BOB",
                                            "bob\xe2\x80\x8b",
                                            "\xef\xbd\x82\xef\xbd\x8f\xef\xbd\x82",
                                            "b\xc2\xad"
                                            "ob",
                                            "\tBo b\xe3\x80\x80"};
    uint8_t once[ACCOUNT_TYPED_MAX];
    uint8_t twice[ACCOUNT_TYPED_MAX];
    uint32_t seed = 7;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(spellings); i++)
        assert_true(span_eq_str(account_normal(span_str(spellings[i]), once), "bob"));
    for (int round = 0; round < 10000; round++) {
        uint8_t typed[40];
        size_t len = 0;
        while (len < 30) {
            // Characters of one to three bytes, from everywhere.
            seed = seed * 1664525 + 1013904223;
            uint32_t code = seed >> 16 & (seed & 1 ? 0x7fU : 0xffffU);
            if (code < 0x80) {
                typed[len++] = (uint8_t)code;
            } else if (code < 0x800) {
                typed[len++] = (uint8_t)(0xc0 | code >> 6);
                typed[len++] = (uint8_t)(0x80 | (code & 63));
            } else {
                typed[len++] = (uint8_t)(0xe0 | code >> 12);
                typed[len++] = (uint8_t)(0x80 | (code >> 6 & 63));
                typed[len++] = (uint8_t)(0x80 | (code & 63));
            }
        }
        struct span first = account_normal(span_of(typed, len), once);
        struct span second = account_normal(first, twice);
        assert_true(span_eq(first, second));
    }
}

static void a_name_is_plain_and_nobody_elses(void **state)
{
    (void)state;
    OK(ask(local, VERB_USER_CREATE, "{'name':'Alice.B-1'}", NULL));
    assert_true(answers("'name':'alice.b-1'"));
    FAILS(ERR_CONFLICT, ask(local, VERB_USER_CREATE, "{'name':'ALICE.b-1'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':' bob'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'-bob'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'b/b'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'\xc3\xa4'}", NULL));
    FAILS(ERR_MISSING_DATA, ask(local, VERB_USER_CREATE, "{}", NULL));
    FAILS(ERR_CONFLICT, ask(local, VERB_USER_CREATE, "{'name':'client'}", NULL));
    assert_true(says("an endpoint is called"));
    FAILS(ERR_CONFLICT, ask(local, VERB_ENDPOINT_ADD, "{'name':'alice.b-1'}", NULL));
    FAILS(ERR_CONFLICT, ask(local, VERB_ENDPOINT_ADD, "{'name':'Alice.B-1'}", NULL));
    FAILS(ERR_CONFLICT,
          ask(local, VERB_ENDPOINT_UPDATE, "{'name':'client','new_name':'alice.b-1'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'mail','email':'a b@c'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'mail','email':'@c'}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'mail','email':'a@b,c@d'}", NULL));
    OK(ask(local, VERB_USER_CREATE, "{'name':'mail','email':'a@b.c','dry_run':true}", NULL));
    FAILS(ERR_NOT_FOUND, ask(local, VERB_USER_SHOW, "{'name':'mail'}", NULL));
}

static void a_password_must_be_one_that_nobody_guesses(void **state)
{
    static const char *const bad[] = {
        "short",         "aaaaaaaaaaaaaaaa", "passwordpassword", "!!password1234",
        "Password12345", "qwerty123456",     "guessed-guessed-", "abababababababab"};
    static char longest[258];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID,
              ask(local, VERB_USER_CREATE, "{'name':'guessed-'}", "password", bad[i], NULL));
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'administrator-x'}", "password",
                           "ADMINISTRATOR-X", NULL));
    for (size_t i = 0; i < 257; i++)
        longest[i] = (char)('a' + i % 26);
    FAILS(ERR_INVALID, ask(local, VERB_USER_CREATE, "{'name':'long'}", "password", longest, NULL));
    longest[256] = '\0';
    OK(ask(local, VERB_USER_CREATE, "{'name':'long'}", "password", longest, NULL));
    OK(sign_in_as("long", longest));
    longest[255] ^= 1; // the whole of it counts
    FAILS(ERR_AUTHENTICATION, sign_in_as("long", longest));
}

// ---- set-up links ----

static void a_link_makes_one_account_once(void **state)
{
    char token[128];
    (void)state;
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SETUP_LINK_CREATE, "{}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_SETUP_LINK_CREATE, "{'roles':['monitor']}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_SETUP_LINK_CREATE, "{'roles':[]}", NULL));
    OK(ask(local, VERB_SETUP_LINK_CREATE, "{'roles':['system','audit']}", NULL));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SETUP_LINK_USE, "{'name':'first'}", "token",
                                  "kwl_00", "password", PASSWORD, NULL));
    FAILS(ERR_INVALID, ask(nobody, VERB_SETUP_LINK_USE, "{'name':'first'}", "token", token,
                           "password", "password", NULL));
    OK(ask(nobody, VERB_SETUP_LINK_USE, "{'name':'first'}", "token", token, "password", PASSWORD,
           NULL));
    assert_true(answers("{'role':'system','forward':true}"));
    assert_false(answers("'role':'key'"));
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SETUP_LINK_USE, "{'name':'second'}", "token", token,
                                  "password", PASSWORD, NULL));
    struct person first = sign_in("first");
    OK(ask(first.who, VERB_USER_LIST, "{}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(first.who, VERB_SETUP_LINK_CREATE, "{}", NULL));
    // A link is no session.
    first.who.credential = (enum credential_kind)STORED_LINK;
    FAILS(ERR_AUTHENTICATION, ask(first.who, VERB_ME_SHOW, "{}", NULL));
}

static void a_link_ends_by_itself(void **state)
{
    (void)state;
    OK(ask(local, VERB_SETUP_LINK_CREATE, "{}", NULL));
    struct person link = bearer(CREDENTIAL_SESSION, "token");
    change_credential(&link, 0, clock_wall_s() - 1);
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SETUP_LINK_USE, "{'name':'late'}", "token",
                                  link.secret, "password", PASSWORD, NULL));
}

// ---- sign-in ----

static void a_failed_sign_in_has_one_text(void **state)
{
    char text[256];
    (void)state;
    struct person alice = make_user("alice");
    FAILS(ERR_AUTHENTICATION, sign_in_as("alice", "wrong"));
    (void)snprintf(text, sizeof text, "%.*s", (int)rig.reply.message.len,
                   (const char *)rig.reply.message.data);
    unsigned before = hashed;
    FAILS(ERR_AUTHENTICATION, sign_in_as("mallory", "wrong"));
    assert_int_equal(hashed, before + 1); // the same work
    assert_true(span_eq_str(rig.reply.message, text));
    FAILS(ERR_AUTHENTICATION, sign_in_as("alice", ""));
    assert_true(span_eq_str(rig.reply.message, text));
    FAILS(ERR_MISSING_DATA, ask(nobody, VERB_SESSION_CREATE, "{}", "password", PASSWORD, NULL));
    OK(ask(local, VERB_USER_LOCK, "{'name':'alice'}", NULL));
    FAILS(ERR_AUTHENTICATION, sign_in_as("alice", PASSWORD));
    assert_true(span_eq_str(rig.reply.message, text));
    FAILS(ERR_AUTHENTICATION, ask(alice.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_WRONG_STATE, ask(local, VERB_USER_LOCK, "{'name':'alice'}", NULL));
    OK(ask(local, VERB_USER_UNLOCK, "{'name':'alice'}", NULL));
    FAILS(ERR_WRONG_STATE, ask(local, VERB_USER_UNLOCK, "{'name':'alice'}", NULL));
    (void)sign_in("ALICE");
}

static void all_spellings_and_all_doors_have_one_counter(void **state)
{
    (void)state;
    struct person bob = make_user("bob");
    struct store_user row = row_of(&bob);
    FAILS(ERR_AUTHENTICATION, sign_in_as("bob", "wrong"));
    FAILS(ERR_AUTHENTICATION, sign_in_as(" BOB", "wrong"));
    FAILS(ERR_AUTHENTICATION, sign_in_as("bob\xe2\x80\x8b", "wrong"));
    FAILS(ERR_NOT_PERMITTED, ask(bob.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", "wrong",
                                 "new_password", CHANGED, NULL));
    assert_int_equal(tries_of(&row).wrong, 4);
    FAILS(ERR_NOT_PERMITTED,
          ask(bob.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", "wrong", NULL));
    FAILS(ERR_TOO_MANY, sign_in_as("bob", PASSWORD));
    FAILS(ERR_TOO_MANY, sign_in_as("\xef\xbd\x82ob", PASSWORD));
    FAILS(ERR_TOO_MANY, ask(bob.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD,
                            "new_password", CHANGED, NULL));
    assert_int_equal(tries_of(&row).wrong, 8); // counted, though nothing was compared
    OK(ask(local, VERB_USER_SHOW, "{'name':'bob'}", NULL));
    assert_true(answers("'wrong_tries':8"));
    age_tries(&row, 901);
    (void)sign_in("bob");
    assert_int_equal(tries_of(&row).wrong, 0);
}

static void a_name_that_nobody_has_is_locked_in_the_same_way(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        FAILS(ERR_AUTHENTICATION, sign_in_as("ghost", "wrong"));
    FAILS(ERR_TOO_MANY, sign_in_as("GHOST", "wrong"));
    // Who gets the name later does not get the lock.
    OK(ask(local, VERB_USER_CREATE, "{'name':'ghost'}", "password", PASSWORD, NULL));
    OK(ask(local, VERB_USER_UNLOCK, "{'name':'ghost'}", NULL));
    OK(sign_in_as("ghost", PASSWORD));
}

static void the_last_administrator_waits_and_is_never_locked_out(void **state)
{
    (void)state;
    struct person root = make_holder("root", "system", true);
    struct store_user row = row_of(&root);
    for (int i = 0; i < 5; i++)
        FAILS(ERR_AUTHENTICATION, sign_in_as("root", "wrong"));
    assert_in_range(tries_of(&row).until - clock_wall_s(), 1, 15);
    FAILS(ERR_TOO_MANY, sign_in_as("root", PASSWORD));
    age_tries(&row, 15);
    FAILS(ERR_AUTHENTICATION, sign_in_as("root", "wrong"));
    FAILS(ERR_TOO_MANY, sign_in_as("root", PASSWORD));
    assert_in_range(tries_of(&row).until - clock_wall_s(), 16, 60);
    age_tries(&row, 60);
    (void)sign_in("root");
    FAILS(ERR_WRONG_STATE, ask(root.who, VERB_USER_LOCK, "{'name':'root'}", NULL));
    FAILS(ERR_WRONG_STATE, ask(root.who, VERB_USER_DELETE, "{'name':'root'}", NULL));
    FAILS(ERR_WRONG_STATE,
          ask(root.who, VERB_ROLE_REVOKE, "{'role':'system','user':'root'}", NULL));
    // With a second one it is a user as any other.
    (void)make_holder("second", "system", false);
    for (int i = 0; i < 5; i++)
        FAILS(ERR_AUTHENTICATION, sign_in_as("root", "wrong"));
    assert_in_range(tries_of(&row).until - clock_wall_s(), 600, 900);
    OK(ask(local, VERB_ROLE_REVOKE, "{'role':'system','user':'root'}", NULL));
}

// ---- sessions ----

static void a_session_ends_when_it_is_idle_or_old_or_ended(void **state)
{
    (void)state;
    struct person carol = make_user("carol");
    int64_t now = clock_wall_s();
    struct person idle = sign_in("carol");
    change_credential(&idle, now - 901, 0);
    FAILS(ERR_AUTHENTICATION, ask(idle.who, VERB_ME_SHOW, "{}", NULL));
    struct person lively = sign_in("carol");
    OK(ask(lively.who, VERB_ME_SHOW, "{}", NULL));
    struct person old = sign_in("carol");
    change_credential(&old, 0, now);
    FAILS(ERR_AUTHENTICATION, ask(old.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(lively.who, VERB_SESSION_LIST, "{}", NULL));
    assert_true(answers("'from':'::1'"));
    OK(ask(lively.who, VERB_SESSION_DELETE, "{'id':'current'}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(lively.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(carol.who, VERB_ME_SHOW, "{}", NULL));
    // A kind that it is not, a hash that nobody has.
    carol.who.credential = CREDENTIAL_TOKEN;
    FAILS(ERR_AUTHENTICATION, ask(carol.who, VERB_ME_SHOW, "{}", NULL));
    carol.who.credential = CREDENTIAL_SESSION;
    carol.who.fingerprint[0] ^= 1;
    FAILS(ERR_AUTHENTICATION, ask(carol.who, VERB_ME_SHOW, "{}", NULL));
}

static void nobody_ends_the_session_of_another(void **state)
{
    char id[64];
    char doc[128];
    (void)state;
    struct person carol = make_user("carol");
    struct person dave = make_user("dave");
    OK(ask(carol.who, VERB_SESSION_LIST, "{}", NULL));
    (void)snprintf(id, sizeof id, "%s", answer_text("id"));
    (void)snprintf(doc, sizeof doc, "{'id':'%s'}", id);
    FAILS(ERR_NOT_FOUND, ask(dave.who, VERB_SESSION_DELETE, doc, NULL));
    FAILS(ERR_NOT_FOUND, ask(dave.who, VERB_TOKEN_DELETE, doc, NULL));
    FAILS(ERR_NOT_FOUND, ask(dave.who, VERB_SESSION_DELETE, "{'id':'nonsense'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(local, VERB_SESSION_LIST, "{}", NULL));
    OK(ask(carol.who, VERB_SESSION_DELETE, doc, NULL));
}

static void a_password_that_somebody_else_set_must_be_changed_first(void **state)
{
    (void)state;
    OK(ask(local, VERB_USER_CREATE, "{'name':'erin'}", "password", PASSWORD, NULL));
    OK(sign_in_as("erin", PASSWORD));
    assert_true(answers("'must_change_password':true"));
    struct person erin = bearer(CREDENTIAL_SESSION, "session");
    FAILS(ERR_NOT_PERMITTED, ask(erin.who, VERB_WALLET_LIST, "{}", NULL));
    OK(ask(erin.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_INVALID, ask(erin.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD,
                           "new_password", PASSWORD, NULL));
    OK(ask(erin.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD, "new_password", CHANGED,
           NULL));
    OK(ask(erin.who, VERB_WALLET_LIST, "{}", NULL));
    FAILS(ERR_AUTHENTICATION, sign_in_as("erin", PASSWORD));
}

static void a_changed_password_ends_what_else_there_is(void **state)
{
    char made[64];
    (void)state;
    struct person frank = make_user("frank");
    struct person other = sign_in("frank");
    OK(ask(frank.who, VERB_TOKEN_CREATE, "{'label':'job'}", NULL));
    struct person token = bearer(CREDENTIAL_TOKEN, "token");
    OK(ask(token.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(frank.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD, "new_password", CHANGED,
           NULL));
    assert_true(answers("'ended':2"));
    OK(ask(frank.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(other.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(token.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(local, VERB_USER_RESET_PASSWORD, "{'name':'frank'}", NULL));
    (void)snprintf(made, sizeof made, "%s", answer_text("password"));
    FAILS(ERR_AUTHENTICATION, ask(frank.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_AUTHENTICATION, sign_in_as("frank", CHANGED));
    OK(sign_in_as("frank", made));
    assert_true(answers("'must_change_password':true"));
}

static void kept_passwords_do_not_come_again_and_old_ones_must_go(void **state)
{
    (void)state;
    struct person gina = make_user("gina");
    FAILS(ERR_INVALID, ask(local, VERB_PASSWORD_POLICY_SET, "{'password_min':8}", NULL));
    FAILS(ERR_INVALID, ask(local, VERB_PASSWORD_POLICY_SET, "{'password_kept':25}", NULL));
    OK(ask(local, VERB_PASSWORD_POLICY_SET, "{'password_kept':1,'password_days':30}", NULL));
    OK(ask(gina.who, VERB_PASSWORD_POLICY_SHOW, "{}", NULL));
    assert_true(answers("'password_kept':1"));
    FAILS(ERR_NOT_PERMITTED, ask(gina.who, VERB_PASSWORD_POLICY_SET, "{'tries':20}", NULL));
    OK(ask(gina.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD, "new_password", CHANGED,
           NULL));
    FAILS(ERR_INVALID, ask(gina.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", CHANGED,
                           "new_password", PASSWORD, NULL));
    OK(ask(gina.who, VERB_WALLET_LIST, "{}", NULL));
    struct store_user row = row_of(&gina);
    row.password_changed -= 31 * 86400;
    OK(store_begin(rig.stores[OPS_WRITER], STORE_WRITE));
    OK(store_user_remove(rig.stores[OPS_WRITER], &row.id, row.version));
    OK(store_user_put(rig.stores[OPS_WRITER], &row));
    OK(store_commit(rig.stores[OPS_WRITER]));
    OK(sign_in_as("gina", CHANGED));
    gina = bearer(CREDENTIAL_SESSION, "session");
    FAILS(ERR_NOT_PERMITTED, ask(gina.who, VERB_WALLET_LIST, "{}", NULL));
    assert_true(says("must be changed"));
}

// ---- tokens ----

static void a_token_does_what_its_scope_and_its_owner_allow(void **state)
{
    (void)state;
    struct person heidi = make_holder("heidi", "system", true);
    FAILS(ERR_NOT_PERMITTED,
          ask(heidi.who, VERB_TOKEN_CREATE, "{'label':'x','scope':['key']}", NULL));
    FAILS(ERR_INVALID, ask(heidi.who, VERB_TOKEN_CREATE, "{'label':'x','scope':['all']}", NULL));
    FAILS(ERR_INVALID, ask(heidi.who, VERB_TOKEN_CREATE, "{'label':'x','days':366}", NULL));
    OK(ask(heidi.who, VERB_TOKEN_CREATE, "{'label':'plain'}", NULL));
    struct person plain = bearer(CREDENTIAL_TOKEN, "token");
    OK(ask(heidi.who, VERB_TOKEN_CREATE, "{'label':'admin','scope':['system'],'days':1}", NULL));
    struct person full = bearer(CREDENTIAL_TOKEN, "token");
    FAILS(ERR_NOT_PERMITTED, ask(plain.who, VERB_USER_LIST, "{}", NULL));
    OK(ask(full.who, VERB_USER_LIST, "{}", NULL));
    // A token is no person: it makes no token and changes no password.
    FAILS(ERR_NOT_PERMITTED, ask(full.who, VERB_TOKEN_CREATE, "{'label':'more'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(full.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", PASSWORD,
                                 "new_password", CHANGED, NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(full.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", PASSWORD, NULL));
    OK(ask(heidi.who, VERB_TOKEN_LIST, "{}", NULL));
    assert_true(answers("'label':'admin','scope':['system']"));
    // What the owner loses, the token loses.
    (void)make_holder("ivan", "system", true);
    OK(ask(local, VERB_ROLE_REVOKE, "{'role':'system','user':'heidi'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(full.who, VERB_USER_LIST, "{}", NULL));
    change_credential(&full, 0, clock_wall_s());
    FAILS(ERR_AUTHENTICATION, ask(full.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(local, VERB_USER_END_SESSIONS, "{'name':'heidi'}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(plain.who, VERB_ME_SHOW, "{}", NULL));
}

static void a_revoked_token_counts_no_more(void **state)
{
    char doc[128];
    (void)state;
    struct person judy = make_user("judy");
    OK(ask(judy.who, VERB_TOKEN_CREATE, "{'label':'job'}", NULL));
    struct person token = bearer(CREDENTIAL_TOKEN, "token");
    (void)snprintf(doc, sizeof doc, "{'id':'%s'}", answer_text("id"));
    OK(ask(token.who, VERB_ME_SHOW, "{}", NULL));
    OK(ask(judy.who, VERB_TOKEN_DELETE, doc, NULL));
    FAILS(ERR_AUTHENTICATION, ask(token.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_NOT_FOUND, ask(judy.who, VERB_TOKEN_DELETE, doc, NULL));
}

// A certificate that signs itself, and its key.
struct pair {
    struct buf key, cert;
};

static void pair_done(struct pair *pair)
{
    buf_done(&pair->key);
    buf_done(&pair->cert);
}

static void make_pair(struct pair *pair, int days)
{
    buf_init(&pair->key, 8192, true);
    buf_init(&pair->cert, 8192, false);
    OK(pki_make_key(&pair->key));
    OK(pki_make_ca(span_buf(&pair->key), "somebody else's", days, &pair->cert));
}

// Signs it anew with other dates, in seconds from now.
static void date_pair(struct pair *pair, long from_s, long to_s)
{
    char *text = NULL;
    BIO *in = BIO_new_mem_buf(pair->cert.data, (int)pair->cert.len);
    BIO *key_in = BIO_new_mem_buf(pair->key.data, (int)pair->key.len);
    BIO *out = BIO_new(BIO_s_mem());
    X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), to_s));
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0 && PEM_write_bio_X509(out, cert) == 1);
    size_t len = (size_t)BIO_get_mem_data(out, &text);
    buf_clear(&pair->cert);
    OK(buf_put(&pair->cert, span_of(text, len)));
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(in);
    BIO_free(key_in);
    BIO_free(out);
}

static void put_pem(struct buf *doc, const char *field, struct span pem)
{
    OK(buf_printf(doc, ",'%s':'", field));
    for (size_t i = 0; i < pem.len; i++)
        OK(buf_printf(doc, pem.data[i] == '\n' ? "\\n" : "%c", pem.data[i]));
    OK(buf_put_str(doc, "'"));
}

static void put_proof(struct buf *doc, const struct pair *pair, const char *organization,
                      const char *name)
{
    struct buf csr CLEANUP(buf_done);
    const struct pki_wish wish = {.organization = organization, .common_name = name};
    buf_init(&csr, 8192, false);
    OK(pki_make_request(span_buf(&pair->key), &wish, &csr));
    put_pem(doc, "request", span_buf(&csr));
}

// Adds a certificate with the proof that `prover`'s key gives for `name`.
static enum err add_certificate(const struct person *who, const struct pair *pair,
                                const struct pair *prover, const char *organization,
                                const char *name)
{
    struct buf doc CLEANUP(buf_done);
    buf_init(&doc, 16384, false);
    OK(buf_put_str(&doc, "{'label':'laptop'"));
    put_pem(&doc, "certificate", span_buf(&pair->cert));
    put_proof(&doc, prover, organization, name);
    OK(buf_put(&doc, span_of("}", 2)));
    return ask(who->who, VERB_TOKEN_ADD_CERTIFICATE, (const char *)doc.data, NULL);
}

static void a_certificate_stands_for_its_user_as_a_token_does(void **state)
{
    char id[64];
    struct pair own CLEANUP(pair_done);
    struct person client = {.who = {.kind = PRINCIPAL_USER, .credential = CREDENTIAL_CERTIFICATE}};
    (void)state;
    struct person judy = make_holder("judy", "system", true);
    make_pair(&own, 365);
    OK(pki_fingerprint(span_buf(&own.cert), client.who.fingerprint));
    FAILS(ERR_AUTHENTICATION, ask(client.who, VERB_ME_SHOW, "{}", NULL));
    OK(add_certificate(&judy, &own, &own, "Keyward user", "judy"));
    (void)snprintf(id, sizeof id, "{'id':'%s'}", answer_text("id"));
    FAILS(ERR_CONFLICT, add_certificate(&judy, &own, &own, "Keyward user", "judy"));
    OK(ask(client.who, VERB_ME_SHOW, "{}", NULL));
    assert_true(answers("'name':'judy'"));
    assert_true(answers("'credential':'certificate'"));
    FAILS(ERR_NOT_PERMITTED, ask(client.who, VERB_USER_LIST, "{}", NULL)); // no scope
    FAILS(ERR_NOT_PERMITTED, add_certificate(&client, &own, &own, "Keyward user", "judy"));
    OK(ask(judy.who, VERB_TOKEN_LIST, "{}", NULL));
    assert_true(answers("'kind':'certificate','label':'laptop'"));
    OK(ask(judy.who, VERB_TOKEN_DELETE, id, NULL));
    FAILS(ERR_AUTHENTICATION, ask(client.who, VERB_ME_SHOW, "{}", NULL));
}

static void a_certificate_is_added_by_whom_has_its_key(void **state)
{
    struct pair theirs CLEANUP(pair_done);
    struct pair mine CLEANUP(pair_done);
    (void)state;
    struct person mallory = make_user("mallory");
    make_pair(&theirs, 365);
    make_pair(&mine, 365);
    FAILS(ERR_INVALID, add_certificate(&mallory, &theirs, &mine, "Keyward user", "mallory"));
    assert_true(says("signed with another key than the certificate's"));
    // What its owner made for another purpose, or as another user, proves nothing.
    FAILS(ERR_INVALID, add_certificate(&mallory, &theirs, &theirs, NULL, "mallory"));
    assert_true(says("not for the subject \"/O=Keyward user/CN=mallory\""));
    FAILS(ERR_INVALID, add_certificate(&mallory, &theirs, &theirs, "Keyward user", "judy"));
    assert_true(says("Make it with openssl req -new -key KEY -subj"));
    FAILS(ERR_INVALID, ask(mallory.who, VERB_TOKEN_ADD_CERTIFICATE,
                           "{'label':'x','certificate':'nonsense','request':'nonsense'}", NULL));
    assert_true(says("\"certificate\" is no certificate in PEM"));
    FAILS(ERR_MISSING_DATA, ask(mallory.who, VERB_TOKEN_ADD_CERTIFICATE,
                                "{'label':'x','certificate':'nonsense'}", NULL));
    OK(add_certificate(&mallory, &mine, &mine, "Keyward user", "mallory"));
}

static void a_certificate_counts_as_long_as_it_is_valid(void **state)
{
    char end[CLOCK_TEXT_LEN + 1];
    char want[64];
    struct pki_info info;
    struct pair short_lived CLEANUP(pair_done);
    struct person client = {.who = {.kind = PRINCIPAL_USER, .credential = CREDENTIAL_CERTIFICATE}};
    (void)state;
    struct person judy = make_user("judy");
    make_pair(&short_lived, 2);
    OK(add_certificate(&judy, &short_lived, &short_lived, "Keyward user", "judy"));
    OK(pki_describe(span_buf(&short_lived.cert), &info));
    clock_text(info.not_after * 1000, end);
    (void)snprintf(want, sizeof want, "'expires':'%s'", end);
    assert_true(answers(want)); // not in 90 days
    memcpy(client.who.fingerprint, info.fingerprint, sizeof client.who.fingerprint);
    OK(ask(client.who, VERB_ME_SHOW, "{}", NULL));
    change_credential(&client, 0, clock_wall_s());
    FAILS(ERR_AUTHENTICATION, ask(client.who, VERB_ME_SHOW, "{}", NULL));
    date_pair(&short_lived, -7200, -3600);
    FAILS(ERR_INVALID, add_certificate(&judy, &short_lived, &short_lived, "Keyward user", "judy"));
    assert_true(says("\"certificate\" has expired on "));
    date_pair(&short_lived, 3600, 7200);
    FAILS(ERR_INVALID, add_certificate(&judy, &short_lived, &short_lived, "Keyward user", "judy"));
    assert_true(says("\"certificate\" is valid from "));
}

static void a_credential_that_was_tampered_with_counts_for_nobody(void **state)
{
    (void)state;
    struct person judy = make_user("judy");
    struct person mark = make_holder("mark", "system", true);
    struct store *store = rig.stores[OPS_WRITER];
    struct store_credential row;
    struct store_user user = row_of(&judy);
    // More rights in the row than were sealed.
    user.rights = RIGHT_ALL;
    OK(store_begin(store, STORE_WRITE));
    OK(store_user_update(store, &user));
    OK(store_commit(store));
    FAILS(ERR_DAMAGED, ask(judy.who, VERB_USER_LIST, "{}", NULL));
    // Another user's session, longer than it was made.
    OK(store_begin(store, STORE_WRITE));
    OK(store_credential_by_hash(store, mark.who.fingerprint, rig.arena, &row));
    row.expires += 1000;
    OK(store_credential_update(store, &row));
    OK(store_commit(store));
    FAILS(ERR_DAMAGED, ask(mark.who, VERB_USER_LIST, "{}", NULL));
}

// ---- data keys ----

static void people_are_sealed_again_when_the_data_keys_rotate(void **state)
{
    (void)state;
    struct person judy = make_holder("judy", "audit", true);
    struct store_credential credential;
    struct uuid user_key = row_of(&judy).key_id;
    OK(store_credential_by_hash(rig.stores[OPS_READER], judy.who.fingerprint, rig.arena,
                                &credential));
    OK(admin(VERB_ROTATE_DATA_KEYS, "{}", NULL, NULL));
    for (int i = 0; i < 100; i++) {
        int wait_ms = 0;
        rig.engines[OPS_WRITER]->next_reseal = 0;
        OK(ops_idle(rig.engines[OPS_WRITER], &wait_ms));
    }
    OK(admin(VERB_ROTATE_STATUS, "", NULL, NULL));
    assert_true(answers("'state':'done'"));
    struct uuid now = row_of(&judy).key_id;
    assert_memory_not_equal(&now, &user_key, sizeof now);
    struct uuid before = credential.key_id;
    OK(store_credential_by_hash(rig.stores[OPS_READER], judy.who.fingerprint, rig.arena,
                                &credential));
    assert_memory_not_equal(&credential.key_id, &before, sizeof before);
    for (int role = OPS_READER; role <= OPS_PEOPLE; role++)
        rig.engines[role]->next_refresh = 0;
    OK(ask(judy.who, VERB_AUDIT_LIST, "{}", NULL));
    (void)sign_in("judy");
}

// ---- second factor ----

static const char *code_at(const char *secret, int64_t step)
{
    static char code[CRYPTO_TOTP_DIGITS + 1];
    uint8_t key[20];
    uint64_t bits = 0;
    unsigned have = 0;
    size_t used = 0;
    for (const char *p = secret; *p != '\0'; p++) {
        unsigned value = (unsigned)(*p >= 'A' ? *p - 'A' : *p - '2' + 26);
        bits = bits << 5 | value;
        have += 5;
        if (have >= 8) {
            have -= 8;
            key[used++] = (uint8_t)(bits >> have);
        }
    }
    OK(crypto_totp(span_of(key, used), (uint64_t)step, code));
    return code;
}

static int64_t step_now(void)
{
    return clock_wall_s() / CRYPTO_TOTP_STEP_S;
}

static void a_code_counts_once(void **state)
{
    char secret[64];
    char code[16];
    (void)state;
    struct person kim = make_user("kim");
    FAILS(ERR_WRONG_STATE,
          ask(kim.who, VERB_ME_CONFIRM_SECOND_FACTOR, "{}", "code", "000000", NULL));
    OK(ask(kim.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", PASSWORD, NULL));
    (void)snprintf(secret, sizeof secret, "%s", answer_text("secret"));
    // Not confirmed: no code is asked for.
    (void)sign_in("kim");
    FAILS(ERR_NOT_PERMITTED,
          ask(kim.who, VERB_ME_CONFIRM_SECOND_FACTOR, "{}", "code", "abcdef", NULL));
    // The step before may be one too old by the time it is looked at.
    int64_t step = 0;
    do {
        assert_true(step != step_now());
        step = step_now();
        (void)snprintf(code, sizeof code, "%s", code_at(secret, step - 1));
    } while (ask(kim.who, VERB_ME_CONFIRM_SECOND_FACTOR, "{}", "code", code, NULL) != ERR_OK);
    FAILS(ERR_WRONG_STATE,
          ask(kim.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", PASSWORD, NULL));
    FAILS(ERR_AUTHENTICATION, sign_in_as("kim", PASSWORD));
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SESSION_CREATE, "{'user':'kim'}", "password",
                                  PASSWORD, "code", code, NULL)); // used
    (void)snprintf(code, sizeof code, "%.3s %s", code_at(secret, step_now()),
                   code_at(secret, step_now()) + 3);
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SESSION_CREATE, "{'user':'kim'}", "password",
                                  "wrong", "code", code, NULL));
    OK(ask(nobody, VERB_SESSION_CREATE, "{'user':'kim'}", "password", PASSWORD, "code", code,
           NULL));
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_SESSION_CREATE, "{'user':'kim'}", "password",
                                  PASSWORD, "code", code, NULL));
    OK(ask(kim.who, VERB_ME_SHOW, "{}", NULL));
    assert_true(answers("'second_factor':true"));
    FAILS(ERR_NOT_PERMITTED, ask(kim.who, VERB_ME_DISABLE_SECOND_FACTOR, "{}", "password", PASSWORD,
                                 "code", code, NULL));
    (void)snprintf(code, sizeof code, "%s", code_at(secret, step_now() + 1));
    OK(ask(kim.who, VERB_ME_DISABLE_SECOND_FACTOR, "{}", "password", PASSWORD, "code", code, NULL));
    FAILS(ERR_WRONG_STATE, ask(kim.who, VERB_ME_DISABLE_SECOND_FACTOR, "{}", "password", PASSWORD,
                               "code", code, NULL));
    (void)sign_in("kim");
}

static void a_lost_factor_is_taken_away_by_an_administrator(void **state)
{
    char secret[64];
    (void)state;
    struct person admin_user = make_holder("root", "system", true);
    struct person kim = make_user("kim");
    FAILS(ERR_WRONG_STATE,
          ask(admin_user.who, VERB_USER_RESET_SECOND_FACTOR, "{'name':'kim'}", NULL));
    OK(ask(kim.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", PASSWORD, NULL));
    (void)snprintf(secret, sizeof secret, "%s", answer_text("secret"));
    OK(ask(kim.who, VERB_ME_CONFIRM_SECOND_FACTOR, "{}", "code", code_at(secret, step_now()),
           NULL));
    FAILS(ERR_NOT_PERMITTED, ask(kim.who, VERB_USER_RESET_SECOND_FACTOR, "{'name':'kim'}", NULL));
    OK(ask(admin_user.who, VERB_USER_RESET_SECOND_FACTOR, "{'name':'kim'}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(kim.who, VERB_ME_SHOW, "{}", NULL));
    (void)sign_in("kim");
}

static void a_reset_second_factor_holds_what_reaches_keys_and_no_role(void **state)
{
    char secret[64];
    (void)state;
    struct person system = make_holder("root", "system", true);
    struct person kim = make_holder("kim", "system", false);
    OK(ask(kim.who, VERB_WALLET_CREATE, "{'name':'w'}", NULL));
    OK(ask(kim.who, VERB_ME_ENROLL_SECOND_FACTOR, "{}", "password", PASSWORD, NULL));
    (void)snprintf(secret, sizeof secret, "%s", answer_text("secret"));
    OK(ask(kim.who, VERB_ME_CONFIRM_SECOND_FACTOR, "{}", "code", code_at(secret, step_now()),
           NULL));
    OK(ask(system.who, VERB_USER_RESET_SECOND_FACTOR, "{'name':'kim'}", NULL));
    assert_true(answers("'access_held':true"));
    struct person again = sign_in("kim");
    FAILS(ERR_NOT_PERMITTED, ask(again.who, VERB_WALLET_SHOW, "{'name':'w'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(again.who, VERB_USER_RESTORE_ACCESS, "{'name':'kim'}", NULL));
    OK(ask(again.who, VERB_USER_LIST, "{}", NULL));
    OK(ask(local, VERB_USER_RESTORE_ACCESS, "{'name':'kim'}", NULL));
    OK(ask(again.who, VERB_WALLET_SHOW, "{'name':'w'}", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_one_normal_form),
#define TEST(test) cmocka_unit_test_setup_teardown(test, rig_serving, rig_down)
        TEST(a_name_is_plain_and_nobody_elses),
        TEST(a_password_must_be_one_that_nobody_guesses),
        TEST(a_link_makes_one_account_once),
        TEST(a_link_ends_by_itself),
        TEST(a_failed_sign_in_has_one_text),
        TEST(all_spellings_and_all_doors_have_one_counter),
        TEST(a_name_that_nobody_has_is_locked_in_the_same_way),
        TEST(the_last_administrator_waits_and_is_never_locked_out),
        TEST(a_session_ends_when_it_is_idle_or_old_or_ended),
        TEST(nobody_ends_the_session_of_another),
        TEST(a_password_that_somebody_else_set_must_be_changed_first),
        TEST(a_changed_password_ends_what_else_there_is),
        TEST(kept_passwords_do_not_come_again_and_old_ones_must_go),
        TEST(a_token_does_what_its_scope_and_its_owner_allow),
        TEST(a_revoked_token_counts_no_more),
        TEST(a_certificate_stands_for_its_user_as_a_token_does),
        TEST(a_certificate_is_added_by_whom_has_its_key),
        TEST(a_certificate_counts_as_long_as_it_is_valid),
        TEST(a_credential_that_was_tampered_with_counts_for_nobody),
        TEST(people_are_sealed_again_when_the_data_keys_rotate),
        TEST(a_code_counts_once),
        TEST(a_lost_factor_is_taken_away_by_an_administrator),
        TEST(a_reset_second_factor_holds_what_reaches_keys_and_no_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
