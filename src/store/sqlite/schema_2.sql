-- SPDX-License-Identifier: Apache-2.0
-- Schema 2: people. Bits of rights and flags as in store/people.h.

CREATE TABLE account (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    rights INTEGER NOT NULL,
    forward INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    created INTEGER NOT NULL,
    password_changed INTEGER NOT NULL,
    totp_step INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- Who manages an endpoint or a group.
CREATE TABLE privilege (
    account BLOB NOT NULL,
    thing BLOB NOT NULL,
    PRIMARY KEY (account, thing)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX privilege_thing ON privilege (thing, account);

-- Sessions, tokens, certificates, set-up links by the hash of their secret; `kind` is enum stored_kind.
CREATE TABLE credential (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    account BLOB NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    rights INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX credential_account ON credential (account, id);
CREATE INDEX credential_expires ON credential (expires);

-- Wrong tries by name, whether somebody has it or not.
CREATE TABLE tries (
    name_hash BLOB NOT NULL PRIMARY KEY,
    wrong INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

UPDATE schema_version SET version = 2;
