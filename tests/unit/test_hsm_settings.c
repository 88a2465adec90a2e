// SPDX-License-Identifier: Apache-2.0
//
// okv_security.conf, okv_hsm.conf and okv_hsm_env: what is read, what is refused by name, what a
// rewrite leaves alone.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "hsm/hsm.h"
#include "hsm/hsm_env.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/keyward-settings-XXXXXX";
static int root = -1;

static int up(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    OK(file_open_dir(dir, &root));
    OK(file_mkdirs(root, PATH_SECURITY_DIR));
    OK(file_mkdirs(root, PATH_GENERIC_DIR));
    return 0;
}

static int down(void **state)
{
    (void)state;
    OK(file_remove_tree(root, "usr/local/okv/etc"));
    OK(file_remove_tree(root, "usr/local/okv/hsm"));
    OK(file_remove_tree(root, "usr"));
    file_closep(&root);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

static void put(const char *path, const char *text)
{
    OK(file_write(root, path, span_str(text)));
}

static const char luna_conf[] = "VENDOR_NAME=\"Thales_Luna\"\n"
                                "PKCS11_LIB_LOC=\"/usr/safenet/lunaclient/lib/lib2.so\"\n"
                                "PRESERVED_FILES=\"/usr/safenet:/etc/Chrystoki.conf\"\n";

static void no_files_mean_no_hsm(void **state)
{
    (void)state;
    struct hsm_settings settings;
    OK(hsm_settings_load(root, &settings));
    assert_false(settings.enabled);
    assert_false(settings.use_label);
    assert_false(settings.key_extractable);
    assert_true(settings.reverse_migrate_enabled);
    assert_false(settings.attended);
    assert_int_equal(settings.timeout_s, HSM_TIMEOUT_S);
    assert_string_equal(settings.mechanism, "auto");
}

static void all_keys_are_read(void **state)
{
    (void)state;
    struct hsm_settings settings;
    put(PATH_HSM_CONF, luna_conf);
    put(PATH_SECURITY_CONF, "# by hand\nHSM_ENABLED=\"1\"\nHSM_PROVIDER=\"4\"\n"
                            "HSM_KEY_EXTRACTABLE=\"1\"\nHSM_TOKEN_LABEL=\"the label\"\n"
                            "HSM_REVERSE_MIGRATE_ENABLED=\"0\"\nHSM_MECHANISM=\"AES_GCM\"\n"
                            "HSM_TIMEOUT=\"25\"\nSOMETHING_ELSE=\"x\"\n");
    OK(hsm_settings_load(root, &settings));
    assert_true(settings.enabled);
    assert_int_equal(settings.provider, 4);
    assert_string_equal(settings.vendor, "Thales_Luna");
    assert_string_equal(settings.library, "/usr/safenet/lunaclient/lib/lib2.so");
    assert_true(settings.key_extractable);
    assert_true(settings.use_label);
    assert_string_equal(settings.label, "the label");
    assert_false(settings.reverse_migrate_enabled);
    assert_string_equal(settings.mechanism, "AES_GCM");
    assert_int_equal(settings.timeout_s, 25);
}

static void providers_have_their_documented_libraries(void **state)
{
    static const struct {
        const char *text;
        const char *vendor;
        const char *library;
    } rows[] = {
        {"HSM_PROVIDER=\"1\"", "Thales", "/usr/safenet/lunaclient/lib/libCryptoki2_64.so"},
        {"HSM_PROVIDER=\"2\"", "Entrust", "/opt/nfast/toolkits/pkcs11/libcknfast.so"},
        {"HSM_PROVIDER=\"3\"", "Utimaco", "/opt/utimaco/lib/libcs_pkcs11_R2.so"},
        {"HSM_PROVIDER=\"4\"", "Thales_Luna", "/usr/safenet/lunaclient/lib/lib2.so"},
        // Older files lack the key.
        {"HSM_ENABLED=\"1\"", "Thales_Luna", "/usr/safenet/lunaclient/lib/lib2.so"},
    };
    (void)state;
    struct hsm_settings settings;
    put(PATH_SECURITY_CONF, "HSM_ENABLED=\"1\"\n");
    OK(hsm_settings_load(root, &settings));
    assert_string_equal(settings.vendor, "Thales");
    put(PATH_HSM_CONF, luna_conf);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        put(PATH_SECURITY_CONF, rows[i].text);
        OK(hsm_settings_load(root, &settings));
        assert_string_equal(settings.vendor, rows[i].vendor);
        assert_string_equal(settings.library, rows[i].library);
    }
}

struct refused {
    const char *text;
    const char *says;
};

static void expect_refused(const char *path, const struct refused *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct hsm_settings settings;
        put(path, rows[i].text);
        enum err err = hsm_settings_load(root, &settings);
        if (err != ERR_CONFIG || strstr(err_detail(), rows[i].says) == NULL)
            fail_msg("%s: %s: %s", rows[i].text, err_info(err)->name, err_detail());
    }
}

static void bad_security_files_are_refused_by_key(void **state)
{
    static const struct refused rows[] = {
        {"HSM_ENABLED=yes", "HSM_ENABLED"},
        {"HSM_ENABLED=\"1\" \"0\"", "line 1"},
        {"HSM_ENABLED=\"1\"\nHSM_ENABLED=\"1\"", "twice"},
        {"HSM_ENABLED=\"1", "not closed"},
        {"HSM_ENABLED=\"$(reboot)\"", "HSM_ENABLED"},
        {"include other", "line 1"},
        {"HSM_PROVIDER=\"5\"", "HSM_PROVIDER"},
        {"HSM_PROVIDER=\"0\"", "HSM_PROVIDER"},
        {"HSM_PROVIDER=\"\"", "HSM_PROVIDER"},
        {"HSM_PROVIDER=\"11\"", "HSM_PROVIDER"},
        {"HSM_KEY_EXTRACTABLE=\"true\"", "HSM_KEY_EXTRACTABLE"},
        {"HSM_REVERSE_MIGRATE_ENABLED=\"2\"", "HSM_REVERSE_MIGRATE_ENABLED"},
        {"HSM_TOKEN_LABEL=\" x\"", "begins with a blank"},
        {"HSM_TOKEN_LABEL=\"123456789012345678901234567890123\"", "longer than 32"},
        {"HSM_TOKEN_LABEL=\"\xff\"", "HSM_TOKEN_LABEL"},
        {"HSM_MECHANISM=\"DES\"", "HSM_MECHANISM"},
        {"HSM_MECHANISM=\"\"", "HSM_MECHANISM"},
        {"HSM_TIMEOUT=\"0\"", "HSM_TIMEOUT"},
        {"HSM_TIMEOUT=\"121\"", "HSM_TIMEOUT"},
        {"HSM_TIMEOUT=\"-1\"", "HSM_TIMEOUT"},
        {"HSM_TIMEOUT=\" 1\"", "HSM_TIMEOUT"},
        {"HSM_TIMEOUT=\"1s\"", "HSM_TIMEOUT"},
        {"HSM_TIMEOUT=\"18446744073709551617\"", "HSM_TIMEOUT"},
    };
    (void)state;
    expect_refused(PATH_SECURITY_CONF, rows, COUNT_OF(rows));
}

static void bad_vendor_files_are_refused_by_key(void **state)
{
    static const struct refused rows[] = {
        {"PKCS11_LIB_LOC=\"/x\"", "VENDOR_NAME"},
        {"VENDOR_NAME=\"A\"", "PKCS11_LIB_LOC"},
        {"VENDOR_NAME=\"A\"\nPKCS11_LIB_LOC=\"x.so\"", "full path"},
        {"VENDOR_NAME=\"Thales\"\nPKCS11_LIB_LOC=\"/x.so\"", "built in"},
        {"VENDOR_NAME=\"12345678901234567890123456789012345678901234567890123456789012345\"\n"
         "PKCS11_LIB_LOC=\"/x.so\"",
         "VENDOR_NAME is longer"},
    };
    (void)state;
    put(PATH_SECURITY_CONF, "HSM_ENABLED=\"1\"\nHSM_PROVIDER=\"4\"\n");
    expect_refused(PATH_HSM_CONF, rows, COUNT_OF(rows));
    // While no HSM is in use the server starts all the same.
    struct hsm_settings settings;
    put(PATH_SECURITY_CONF, "HSM_ENABLED=\"0\"\nHSM_PROVIDER=\"4\"\n");
    OK(hsm_settings_load(root, &settings));
    assert_string_equal(settings.library, "");
}

static void a_vendor_and_a_label_are_chosen(void **state)
{
    (void)state;
    struct hsm_settings settings;
    OK(hsm_settings_load(root, &settings));
    OK(hsm_settings_choose(root, "Utimaco", true, "x", &settings));
    assert_int_equal(settings.provider, 3);
    assert_string_equal(settings.library, "/opt/utimaco/lib/libcs_pkcs11_R2.so");
    OK(hsm_settings_choose(root, NULL, true, "12345678901234567890123456789012", &settings));
    assert_int_equal(settings.provider, 3);
    put(PATH_HSM_CONF, luna_conf);
    OK(hsm_settings_choose(root, "Thales_Luna", false, "ignored", &settings));
    assert_int_equal(settings.provider, 4);
    assert_false(settings.use_label);
    assert_string_equal(settings.label, "");
}

static void what_cannot_be_chosen_changes_nothing(void **state)
{
    static const char *const vendors[] = {"../../x", "thales", "Acme", "Thales "};
    static const char *const labels[] = {"", " x", "123456789012345678901234567890123", "a\"b",
                                         "a\nb"};
    (void)state;
    struct hsm_settings settings;
    OK(hsm_settings_load(root, &settings));
    OK(hsm_settings_choose(root, "Entrust", true, "old", &settings));
    for (size_t i = 0; i < COUNT_OF(vendors); i++) {
        FAILS(ERR_CONFIG, hsm_settings_choose(root, vendors[i], true, "new", &settings));
        assert_non_null(strstr(err_detail(), "Utimaco"));
    }
    put(PATH_HSM_CONF, luna_conf);
    FAILS(ERR_CONFIG, hsm_settings_choose(root, "Acme", true, "new", &settings));
    assert_non_null(strstr(err_detail(), "Thales_Luna"));
    for (size_t i = 0; i < COUNT_OF(labels); i++)
        FAILS(ERR_HSM_SLOT, hsm_settings_choose(root, "Thales", true, labels[i], &settings));
    FAILS(ERR_HSM_SLOT, hsm_settings_choose(root, "Thales", true, NULL, &settings));
    assert_string_equal(settings.vendor, "Entrust");
    assert_string_equal(settings.label, "old");
}

static void a_rewrite_keeps_comments_and_unknown_keys(void **state)
{
    (void)state;
    struct hsm_settings settings;
    put(PATH_SECURITY_CONF, "# by hand\nHSM_ENABLED='0' # not yet\nFIPS=\"1\"\n\n"
                            "HSM_KEY_EXTRACTABLE=\"1\" # as agreed\n");
    OK(hsm_settings_load(root, &settings));
    OK(hsm_settings_choose(root, "Entrust", true, "tok", &settings));
    settings.enabled = true;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    OK(hsm_settings_text(root, &settings, &text));
    OK(buf_put_u8(&text, 0));
    assert_string_equal(text.data, "# by hand\nHSM_ENABLED=\"1\"\nFIPS=\"1\"\n\n"
                                   "HSM_KEY_EXTRACTABLE=\"1\" # as agreed\nHSM_PROVIDER=\"2\"\n"
                                   "HSM_TOKEN_LABEL=\"tok\"\nHSM_REVERSE_MIGRATE_ENABLED=\"1\"\n");
    put(PATH_SECURITY_CONF, (const char *)text.data);
    struct hsm_settings back;
    OK(hsm_settings_load(root, &back));
    assert_true(back.enabled && back.use_label && back.key_extractable);
    assert_string_equal(back.vendor, "Entrust");
    assert_string_equal(back.label, "tok");
}

static void the_environment_is_passed_as_written(void **state)
{
    (void)state;
    CLEANUP(hsm_env_freep) char **env = NULL;
    OK(hsm_env_load(root, &env));
    assert_null(env[0]);
    hsm_env_freep(&env);
    put(PATH_HSM_ENV, "# an example\nChrystokiConfigurationPath=\"/etc\"\n"
                      "export LD_LIBRARY_PATH='/opt/a/lib:/opt/b'\nA=$(reboot)\nTZ=UTC\nLDX=1\n");
    OK(hsm_env_load(root, &env));
    static const char *const wanted[] = {"ChrystokiConfigurationPath=/etc",
                                         "LD_LIBRARY_PATH=/opt/a/lib:/opt/b", "A=$(reboot)",
                                         "TZ=UTC", "LDX=1"};
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        assert_string_equal(env[i], wanted[i]);
    assert_null(env[COUNT_OF(wanted)]);
}

static void dangerous_variables_are_refused_by_name(void **state)
{
    static const struct refused rows[] = {
        {"LD_PRELOAD=/x.so", "LD_PRELOAD"},
        {"LD_AUDIT=/x.so", "LD_AUDIT"},
        {"LD_DEBUG_OUTPUT=/x", "LD_DEBUG_OUTPUT"},
        {"PATH=/tmp", "PATH"},
        {"IFS=x", "IFS"},
        {"OPENSSL_CONF=/x", "OPENSSL_CONF"},
        {"OPENSSL_MODULES=/x", "OPENSSL_MODULES"},
        {"SSLKEYLOGFILE=/x", "SSLKEYLOGFILE"},
        {"MALLOC_CHECK_=0", "MALLOC_CHECK_"},
        {"MALLOC_TRACE=/x", "MALLOC_TRACE"},
        {"GLIBC_TUNABLES=x", "GLIBC_TUNABLES"},
        {"GCONV_PATH=/x", "GCONV_PATH"},
        {"LOCPATH=/x", "LOCPATH"},
        {"NLSPATH=/x", "NLSPATH"},
        {"GETCONF_DIR=/x", "GETCONF_DIR"},
        {"HOSTALIASES=/x", "HOSTALIASES"},
        {"LOCALDOMAIN=x", "LOCALDOMAIN"},
        {"RESOLV_HOST_CONF=/x", "RESOLV_HOST_CONF"},
        {"RES_OPTIONS=x", "RES_OPTIONS"},
        {"BASH_ENV=/x", "BASH_ENV"},
        {"ENV=/x", "ENV"},
        {"SHELLOPTS=x", "SHELLOPTS"},
        {"PS4=x", "PS4"},
        {"ASAN_OPTIONS=x", "ASAN_OPTIONS"},
        {"LSAN_OPTIONS=x", "LSAN_OPTIONS"},
        {"UBSAN_OPTIONS=x", "UBSAN_OPTIONS"},
        {"TZ=:/etc/shadow", "TZ"},
        {"TZ=/etc/shadow", "TZ"},
        {"TZ=../../etc/shadow", "TZ"},
        {"LD_LIBRARY_PATH=lib", "LD_LIBRARY_PATH"},
        {"LD_LIBRARY_PATH=", "LD_LIBRARY_PATH"},
        {"LD_LIBRARY_PATH=/a:", "LD_LIBRARY_PATH"},
        {"LD_LIBRARY_PATH=/a::/b", "LD_LIBRARY_PATH"},
        {"GOOD=1\nexport LD_PRELOAD=\"/x.so\"", "LD_PRELOAD"},
        {"no equals sign", "line 1"},
        {"A=1\nA=2", "twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char **env = NULL;
        put(PATH_HSM_ENV, rows[i].text);
        enum err err = hsm_env_load(root, &env);
        if (err != ERR_CONFIG || strstr(err_detail(), rows[i].says) == NULL ||
            strstr(err_detail(), "okv_hsm_env") == NULL)
            fail_msg("%s: %s: %s", rows[i].text, err_info(err)->name, err_detail());
        assert_null(env);
    }
}

static void a_nul_byte_is_refused_with_its_line(void **state)
{
    (void)state;
    struct hsm_settings settings;
    OK(file_write(root, PATH_SECURITY_CONF, span_of("HSM_ENABLED=0\nA=\"\0\"\n", 20)));
    FAILS(ERR_CONFIG, hsm_settings_load(root, &settings));
    assert_non_null(strstr(err_detail(), "line 2 column 4"));
}

static void an_endless_file_is_refused(void **state)
{
    (void)state;
    char **env = NULL;
    struct hsm_settings settings;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 2 * 1024 * 1024, false);
    OK(buf_put_str(&text, "A="));
    while (text.len < 1024 * 1024)
        OK(buf_put_str(&text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    OK(file_write(root, PATH_HSM_ENV, span_buf(&text)));
    OK(file_write(root, PATH_SECURITY_CONF, span_buf(&text)));
    assert_int_not_equal(hsm_env_load(root, &env), ERR_OK);
    assert_int_not_equal(hsm_settings_load(root, &settings), ERR_OK);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(no_files_mean_no_hsm),
        WITH_ROOT(all_keys_are_read),
        WITH_ROOT(providers_have_their_documented_libraries),
        WITH_ROOT(bad_security_files_are_refused_by_key),
        WITH_ROOT(bad_vendor_files_are_refused_by_key),
        WITH_ROOT(a_vendor_and_a_label_are_chosen),
        WITH_ROOT(what_cannot_be_chosen_changes_nothing),
        WITH_ROOT(a_rewrite_keeps_comments_and_unknown_keys),
        WITH_ROOT(the_environment_is_passed_as_written),
        WITH_ROOT(dangerous_variables_are_refused_by_name),
        WITH_ROOT(a_nul_byte_is_refused_with_its_line),
        WITH_ROOT(an_endless_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
