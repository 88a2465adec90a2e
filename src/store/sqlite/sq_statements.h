// SPDX-License-Identifier: Apache-2.0
//
// Every fixed statement, once. Included with STATEMENT defined.
// clang-format off
#define OBJECT_COLUMNS \
    "id, version, type, state, flags, owner, key_id, initial_date, activation_date, process_start_date," \
    " protect_stop_date, deactivation_date, destroy_date, compromise_date, compromise_occurrence_date," \
    " last_change_date, archive_date, attributes"
#define ENDPOINT_COLUMNS \
    "id, version, state, name_hash, fingerprint, previous, previous_until, token_hash, token_expires, created, enrolled," \
    " default_wallet, key_id, sealed"
#define ACCOUNT_COLUMNS \
    "id, version, state, name_hash, rights, forward, flags, created, password_changed, totp_step, key_id, sealed"
#define CREDENTIAL_COLUMNS "id, version, kind, hash, account, created, expires, rights, key_id, sealed"
#define ISSUED_COLUMNS "fingerprint, serial, authority, holder, issued, expires, ended, reason"
#define NAMED_COLUMNS "id, version, kind, name_hash, created, key_id, sealed"
// Somebody and the groups that he is in.
#define WITH_GROUPS "(SELECT ?1 UNION ALL SELECT set_id FROM member WHERE member = ?1)"

STATEMENT(SNAPSHOT, "SELECT version FROM schema_version")
STATEMENT(DATA_VERSION, "PRAGMA data_version")
STATEMENT(BEGIN, "BEGIN IMMEDIATE")
STATEMENT(COMMIT, "COMMIT")
STATEMENT(ROLLBACK, "ROLLBACK")
STATEMENT(SAVE_0, "SAVEPOINT save_0")
STATEMENT(SAVE_1, "SAVEPOINT save_1")
STATEMENT(KEEP_0, "RELEASE save_0")
STATEMENT(KEEP_1, "RELEASE save_1")
STATEMENT(UNDO_0, "ROLLBACK TO save_0")
STATEMENT(UNDO_1, "ROLLBACK TO save_1")

STATEMENT(OUTCOME_PUT, "INSERT INTO outcome (id, time, answer) VALUES (?, ?, ?)")
STATEMENT(OUTCOME_FIND, "SELECT answer FROM outcome WHERE id = ?")
STATEMENT(OUTCOME_FORGET, "DELETE FROM outcome WHERE time < ?")

STATEMENT(DATA_KEY_PUT, "INSERT INTO data_key (id, version, purpose, wrapped) VALUES (?, ?, ?, ?)")
STATEMENT(DATA_KEY_UPDATE,
    "UPDATE data_key SET version = version + 1, purpose = ?, wrapped = ? WHERE id = ? AND version = ?")
STATEMENT(DATA_KEY_DELETE, "DELETE FROM data_key WHERE id = ?")
STATEMENT(DATA_KEY_HAS, "SELECT 1 FROM data_key WHERE id = ?")
STATEMENT(DATA_KEY_COUNT, "SELECT count(*) FROM data_key")
STATEMENT(DATA_KEY_LIST, "SELECT id, version, purpose, wrapped FROM data_key ORDER BY id")

STATEMENT(OBJECT_PUT,
    "INSERT INTO object (" OBJECT_COLUMNS ", found_by, material)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
STATEMENT(OBJECT_FOUND_BY, "SELECT version, owner, found_by FROM object WHERE id = ?")
STATEMENT(OBJECT_UPDATE,
    "UPDATE object SET version = version + 1, type = ?, state = ?, flags = ?, owner = ?, key_id = ?,"
    " initial_date = ?, activation_date = ?, process_start_date = ?, protect_stop_date = ?,"
    " deactivation_date = ?, destroy_date = ?, compromise_date = ?, compromise_occurrence_date = ?,"
    " last_change_date = ?, archive_date = ?, attributes = ?, found_by = ?, material = ?"
    " WHERE id = ? AND version = ?")
STATEMENT(OBJECT_GET, "SELECT " OBJECT_COLUMNS ", material FROM object WHERE id = ?")
STATEMENT(OBJECT_OWNED, "SELECT id, found_by FROM object WHERE owner = ? AND id > ? ORDER BY id LIMIT 1")
STATEMENT(OBJECT_GIVE, "UPDATE object SET owner = ? WHERE id = ?")
STATEMENT(INDEX_PUT, "INSERT INTO object_index (kind, hash, owner, object_id, only_one) VALUES (?, ?, ?, ?, ?)")
STATEMENT(INDEX_UNIQUE,
    "SELECT 1 FROM object_index WHERE kind = ? AND hash = ? AND owner = ? AND only_one = 1 AND object_id <> ?")
STATEMENT(INDEX_DROP, "DELETE FROM object_index WHERE kind = ? AND hash = ? AND owner = ? AND object_id = ?")
STATEMENT(INDEX_WEIGH,
    "SELECT count(*) FROM (SELECT 1 FROM object_index WHERE kind = ? AND hash = ? AND owner = ? LIMIT ?)")
STATEMENT(INDEX_WEIGH_ANY,
    "SELECT count(*) FROM (SELECT 1 FROM object_index WHERE kind = ? AND hash = ? LIMIT ?)")

STATEMENT(ENDPOINT_PUT,
    "INSERT INTO endpoint (" ENDPOINT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
STATEMENT(ENDPOINT_UPDATE,
    "UPDATE endpoint SET version = version + 1, state = ?, name_hash = ?, fingerprint = ?, previous = ?,"
    " previous_until = ?, token_hash = ?, token_expires = ?, created = ?, enrolled = ?, default_wallet = ?, key_id = ?,"
    " sealed = ? WHERE id = ? AND version = ?")
STATEMENT(ENDPOINT_REMOVE, "DELETE FROM endpoint WHERE id = ? AND version = ?")
STATEMENT(ENDPOINT_NO_DEFAULT,
    "UPDATE endpoint SET version = version + 1, default_wallet = zeroblob(16) WHERE default_wallet = ?")
STATEMENT(ENDPOINT_GET, "SELECT " ENDPOINT_COLUMNS " FROM endpoint WHERE id = ?")
STATEMENT(ENDPOINT_BY_FINGERPRINT, "SELECT " ENDPOINT_COLUMNS " FROM endpoint WHERE fingerprint = ?1 OR previous = ?1")
STATEMENT(ENDPOINT_BY_NAME, "SELECT " ENDPOINT_COLUMNS " FROM endpoint WHERE name_hash = ?")
STATEMENT(ENDPOINT_LIST, "SELECT " ENDPOINT_COLUMNS " FROM endpoint WHERE id > ? ORDER BY id LIMIT ?")

STATEMENT(SEEN_PUT,
    "INSERT INTO node_seen (endpoint, time) VALUES (?, ?) ON CONFLICT (endpoint) DO UPDATE SET time = excluded.time"
    " WHERE excluded.time > time")
STATEMENT(SEEN_GET, "SELECT time FROM node_seen WHERE endpoint = ?")
STATEMENT(SEEN_REMOVE, "DELETE FROM node_seen WHERE endpoint = ?")

STATEMENT(NAMED_PUT, "INSERT INTO named (" NAMED_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)")
STATEMENT(NAMED_UPDATE,
    "UPDATE named SET version = version + 1, kind = ?, name_hash = ?, created = ?, key_id = ?, sealed = ?"
    " WHERE id = ? AND version = ?")
STATEMENT(NAMED_GET, "SELECT " NAMED_COLUMNS " FROM named WHERE id = ?")
STATEMENT(NAMED_BY_NAME, "SELECT " NAMED_COLUMNS " FROM named WHERE kind = ? AND name_hash = ?")
STATEMENT(NAMED_LIST, "SELECT " NAMED_COLUMNS " FROM named WHERE kind = ? AND id > ? ORDER BY id LIMIT ?")
STATEMENT(NAMED_REMOVE, "DELETE FROM named WHERE id = ? AND version = ?")
STATEMENT(MEMBER_PUT, "INSERT INTO member (set_id, member) VALUES (?, ?)")
STATEMENT(MEMBER_REMOVE, "DELETE FROM member WHERE set_id = ? AND member = ?")
STATEMENT(MEMBER_REMOVE_SET, "DELETE FROM member WHERE set_id = ?")
STATEMENT(MEMBER_REMOVE_EVERYWHERE, "DELETE FROM member WHERE member = ?")
STATEMENT(MEMBER_LIST, "SELECT member FROM member WHERE set_id = ? AND member > ? ORDER BY member LIMIT ?")
STATEMENT(MEMBER_COUNT, "SELECT count(*) FROM member WHERE set_id = ?")
STATEMENT(MEMBER_OF, "SELECT set_id FROM member WHERE member = ? AND set_id > ? ORDER BY set_id LIMIT ?")
STATEMENT(GRANT_PUT,
    "INSERT INTO wallet_grant (wallet, grantee, kind, access) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (grantee, wallet) DO UPDATE SET kind = excluded.kind, access = excluded.access")
STATEMENT(GRANT_REMOVE, "DELETE FROM wallet_grant WHERE wallet = ? AND grantee = ?")
STATEMENT(GRANT_REMOVE_WALLET, "DELETE FROM wallet_grant WHERE wallet = ?")
STATEMENT(GRANT_REMOVE_GRANTEE, "DELETE FROM wallet_grant WHERE grantee = ?")
STATEMENT(GRANT_LIST,
    "SELECT wallet, grantee, kind, access FROM wallet_grant WHERE wallet = ? AND grantee > ? ORDER BY grantee LIMIT ?")
STATEMENT(GRANT_REACH,
    "SELECT wallet, grantee, kind, access FROM wallet_grant WHERE grantee IN " WITH_GROUPS " ORDER BY wallet, grantee")
STATEMENT(ACCESS_GET,
    "SELECT coalesce(max(g.access & 1) | max(g.access & 2) | max(g.access & 4), 0) FROM member m"
    " CROSS JOIN wallet_grant g WHERE m.member = ?2 AND g.wallet = m.set_id AND g.grantee IN " WITH_GROUPS)

STATEMENT(USER_PUT, "INSERT INTO account (" ACCOUNT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
STATEMENT(USER_UPDATE,
    "UPDATE account SET version = version + 1, state = ?, name_hash = ?, rights = ?, forward = ?, flags = ?, created = ?,"
    " password_changed = ?, totp_step = ?, key_id = ?, sealed = ? WHERE id = ? AND version = ?")
STATEMENT(USER_REMOVE, "DELETE FROM account WHERE id = ? AND version = ?")
STATEMENT(USER_GET, "SELECT " ACCOUNT_COLUMNS " FROM account WHERE id = ?")
STATEMENT(USER_BY_NAME, "SELECT " ACCOUNT_COLUMNS " FROM account WHERE name_hash = ?")
STATEMENT(USER_LIST,
    "SELECT " ACCOUNT_COLUMNS " FROM account WHERE id > ?2 AND (?1 = 0 OR rights & ?1 <> 0) ORDER BY id LIMIT ?3")
STATEMENT(PRIVILEGE_PUT, "INSERT INTO privilege (account, thing) VALUES (?, ?)")
STATEMENT(PRIVILEGE_REMOVE, "DELETE FROM privilege WHERE account = ? AND thing = ?")
STATEMENT(PRIVILEGE_REMOVE_USER, "DELETE FROM privilege WHERE account = ?")
STATEMENT(PRIVILEGE_REMOVE_THING, "DELETE FROM privilege WHERE thing = ?")
STATEMENT(PRIVILEGE_HAS, "SELECT 1 FROM privilege WHERE account = ? AND thing = ?")
STATEMENT(PRIVILEGE_LIST, "SELECT thing FROM privilege WHERE account = ? AND thing > ? ORDER BY thing LIMIT ?")
STATEMENT(CREDENTIAL_PUT, "INSERT INTO credential (" CREDENTIAL_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
STATEMENT(CREDENTIAL_UPDATE,
    "UPDATE credential SET version = version + 1, kind = ?, hash = ?, account = ?, created = ?, expires = ?, rights = ?,"
    " key_id = ?, sealed = ? WHERE id = ? AND version = ?")
STATEMENT(CREDENTIAL_GET, "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE id = ?")
STATEMENT(CREDENTIAL_BY_HASH, "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE hash = ?")
STATEMENT(CREDENTIAL_LIST, "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE id > ? ORDER BY id LIMIT ?")
STATEMENT(CREDENTIAL_LIST_USER,
    "SELECT " CREDENTIAL_COLUMNS " FROM credential WHERE account = ? AND id > ? ORDER BY id LIMIT ?")
STATEMENT(CREDENTIAL_REMOVE, "DELETE FROM credential WHERE id = ?")
STATEMENT(CREDENTIAL_REMOVE_USER, "DELETE FROM credential WHERE account = ?")
STATEMENT(CREDENTIAL_FORGET_SEEN,
    "DELETE FROM node_seen WHERE endpoint IN (SELECT id FROM credential WHERE expires < ?)")
STATEMENT(CREDENTIAL_FORGET_SEEN_USER,
    "DELETE FROM node_seen WHERE endpoint IN (SELECT id FROM credential WHERE account = ?)")
STATEMENT(CREDENTIAL_FORGET, "DELETE FROM credential WHERE expires < ?")
STATEMENT(TRIES_GET, "SELECT name_hash, wrong, since, until FROM tries WHERE name_hash = ?")
STATEMENT(TRIES_LIST, "SELECT name_hash, wrong, since, until FROM tries WHERE name_hash > ? ORDER BY name_hash LIMIT ?")
STATEMENT(TRIES_PUT,
    "INSERT INTO tries (name_hash, wrong, since, until) VALUES (?, ?, ?, ?) ON CONFLICT (name_hash) DO UPDATE SET"
    " wrong = excluded.wrong, since = excluded.since, until = excluded.until")
STATEMENT(TRIES_REMOVE, "DELETE FROM tries WHERE name_hash = ?")
STATEMENT(TRIES_FORGET, "DELETE FROM tries WHERE since < ?1 AND until < ?1")

STATEMENT(ISSUED_PUT, "INSERT INTO issued (" ISSUED_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
STATEMENT(ISSUED_GET, "SELECT " ISSUED_COLUMNS " FROM issued WHERE fingerprint = ?")
STATEMENT(ISSUED_END,
    "UPDATE issued SET ended = ?1, reason = ?2 WHERE holder = ?3 AND (ended = 0 OR ended > ?1)"
    " AND (?4 IS NULL OR fingerprint = ?4)")
// Of enum issued_filter.
#define ISSUED_MATCHES \
    " WHERE (?1 IS NULL OR authority = ?1) AND (?2 IS NULL OR holder = ?2) AND (?5 = 0 OR expires < ?5) AND CASE ?3" \
    " WHEN 1 THEN expires > ?4 AND ended = 0 WHEN 2 THEN expires > ?4 AND (ended = 0 OR ended > ?4)" \
    " WHEN 3 THEN ended > 0 AND ended <= ?4 ELSE 1 END"
STATEMENT(ISSUED_LIST,
    "SELECT " ISSUED_COLUMNS " FROM issued" ISSUED_MATCHES " AND fingerprint > ?6 ORDER BY fingerprint LIMIT ?7")
STATEMENT(ISSUED_COUNT, "SELECT count(*) FROM issued" ISSUED_MATCHES)
STATEMENT(ISSUED_FORGET, "DELETE FROM issued WHERE expires < ? AND ended > 0")

STATEMENT(SETTING_PUT,
    "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
STATEMENT(SETTING_GET, "SELECT value FROM setting WHERE name = ?")
STATEMENT(NODE_SETTING_PUT,
    "INSERT INTO node_setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
STATEMENT(NODE_SETTING_GET, "SELECT value FROM node_setting WHERE name = ?")

STATEMENT(AUDIT_APPEND,
    "INSERT INTO node_audit (sequence, time_ms, hash, record, mark) VALUES (?, ?, ?, ?, ?)")
STATEMENT(AUDIT_UNMARK, "UPDATE node_audit SET mark = NULL WHERE sequence = ?")
STATEMENT(AUDIT_HEAD, "SELECT sequence, time_ms, hash, mark FROM node_audit ORDER BY sequence DESC LIMIT 1")
STATEMENT(AUDIT_LIST,
    "SELECT sequence, time_ms, hash, mark, record FROM node_audit"
    " WHERE sequence >= max(?, 1 + (SELECT sequence FROM node_audit_floor)) ORDER BY sequence LIMIT ?")
STATEMENT(AUDIT_FLOOR, "SELECT sequence, time_ms, hash, NULL FROM node_audit_floor")
STATEMENT(AUDIT_RAISE,
    "UPDATE node_audit_floor SET (sequence, time_ms, hash) ="
    " (SELECT sequence, time_ms, hash FROM node_audit WHERE sequence = ?1)"
    " WHERE sequence < ?1 AND EXISTS (SELECT 1 FROM node_audit WHERE sequence = ?1)")
STATEMENT(AUDIT_DROP,
    "DELETE FROM node_audit WHERE sequence IN (SELECT sequence FROM node_audit"
    " WHERE sequence <= (SELECT sequence FROM node_audit_floor) ORDER BY sequence LIMIT ?)")
// clang-format on
