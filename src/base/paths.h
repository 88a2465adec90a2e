// SPDX-License-Identifier: Apache-2.0
//
// Every path of a server, relative to its root prefix. The first group is documented (docs/KEYS.md)
// and is what an administrator, or an HSM vendor's guide, sees, copies and edits; the second is
// Keyward's own.
#ifndef KW_BASE_PATHS_H
#define KW_BASE_PATHS_H

// Documented files (contract A3).
#define PATH_TDE_DIR           "usr/local/okv/tde"
#define PATH_TDE_WALLET        PATH_TDE_DIR "/ewallet.p12"
#define PATH_TDE_AUTOLOGIN     PATH_TDE_DIR "/cwallet.sso" // only without an HSM
#define PATH_HSM_DIR           "usr/local/okv/hsm"
#define PATH_HSM_WALLET_DIR    PATH_HSM_DIR "/wallet"
#define PATH_HSM_CREDENTIAL    PATH_HSM_WALLET_DIR "/cwallet.sso"
#define PATH_HSM_PASSWORD      PATH_HSM_WALLET_DIR "/enctdepwd"
#define PATH_HSM_RESTORE_DIR   PATH_HSM_DIR "/restore"
#define PATH_RESTORE_WALLET    PATH_HSM_RESTORE_DIR "/ewallet.p12"
#define PATH_RESTORE_AUTOLOGIN PATH_HSM_RESTORE_DIR "/cwallet.sso"
#define PATH_RAM_DIR           "mnt/okvram"
#define PATH_RAM_AUTOLOGIN     PATH_RAM_DIR "/cwallet.sso"
#define PATH_RAM_WALLET        PATH_RAM_DIR "/ewallet.p12"
#define PATH_RAM_RESTORE_DIR   PATH_RAM_DIR "/restore"
#define PATH_GENERIC_DIR       PATH_HSM_DIR "/generic"
#define PATH_HSM_CONF          PATH_GENERIC_DIR "/okv_hsm.conf"
#define PATH_HSM_ENV           PATH_GENERIC_DIR "/okv_hsm_env"
#define PATH_HSM_BIN_DIR       PATH_HSM_DIR "/bin"
#define PATH_SECURITY_DIR      "usr/local/okv/etc"
#define PATH_SECURITY_CONF     PATH_SECURITY_DIR "/okv_security.conf"
#define PATH_HSM_LOG_DIR       "var/okv/log/hsm"
#define PATH_DB_LOG_DIR        "var/okv/log/db"

// Keyward's own.
#define PATH_CONF_DIR     "etc/keyward"
#define PATH_CONF         PATH_CONF_DIR "/keywardd.conf"
#define PATH_STATE_DIR    "var/lib/keyward"
#define PATH_STORE        PATH_STATE_DIR "/store.db"
#define PATH_ROOT_RECORD  PATH_STATE_DIR "/root.record"
#define PATH_ROOT_JOURNAL PATH_STATE_DIR "/root.journal"
#define PATH_STAGING_DIR  PATH_STATE_DIR "/staging"
#define PATH_ROOT_ORPHANS PATH_STATE_DIR "/root.orphans" // root keys left behind
#define PATH_PIN_LATCH    PATH_STATE_DIR "/pin.latch"
#define PATH_AUDIT_DIR    PATH_STATE_DIR "/audit"
#define PATH_AUDIT_HEAD   PATH_AUDIT_DIR "/head"    // how far the trail has come
#define PATH_SEEN_DIR     PATH_STATE_DIR "/seen"    // when readers heard of endpoints
#define PATH_REFUSED      PATH_STATE_DIR "/refused" // who could not connect, sealed
#define PATH_METRICS_DIR  PATH_STATE_DIR "/metrics" // what each engine has counted
#define PATH_TLS_DIR      PATH_STATE_DIR "/tls"
#define PATH_TLS_KEY      PATH_TLS_DIR "/server.key"
#define PATH_TLS_KEY_NEXT PATH_TLS_KEY ".next" // beside the one in force, while both change
#define PATH_TLS_CERT     PATH_TLS_DIR "/server.crt"
#define PATH_TLS_CA       PATH_TLS_DIR "/ca.crt"
#define PATH_WEB_KEY      PATH_TLS_DIR "/console.key" // in place of the server's, when both are there
#define PATH_WEB_KEY_NEXT PATH_WEB_KEY ".next"
#define PATH_WEB_CERT     PATH_TLS_DIR "/console.crt"
#define PATH_RUN_DIR      "run/keyward"
#define PATH_PID          PATH_RUN_DIR "/keywardd.pid"
#define PATH_RUN_RAM      PATH_RUN_DIR "/okvram" // where PATH_RAM_DIR leads, when it is in RAM
#define PATH_API_SOCKET   PATH_RUN_DIR "/api.sock"
#define PATH_API_HEADER   PATH_RUN_DIR "/api.header" // what every request over that socket shows
#define HEADER_LOCAL      "X-Keyward-Local"
#define PATH_KMIP_STATE   PATH_RUN_DIR "/kmip" // "open ADDRESS", or why it is closed
#define PATH_WEB_STATE    PATH_RUN_DIR "/web"  // the same of the HTTPS port
#define PATH_LOG          "var/okv/log/keywardd.log"

#endif
