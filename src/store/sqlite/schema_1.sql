-- SPDX-License-Identifier: Apache-2.0
-- Schema 1 in SQLite's dialect. Ids are UUIDs in 16 bytes; `version` rises by one with each change of a row. Tables named
-- node_* belong to this node alone, the others would be shared by a cluster.

CREATE TABLE schema_version (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO schema_version (one, version) VALUES (1, 1);

-- A rowid table: rows are too long to stand in the inner pages of the tree by id. `found_by` repeats what object_index holds of the
-- object, so that a change touches only the values that differ and object_index needs no second order.
CREATE TABLE object (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    type INTEGER NOT NULL,
    state INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    owner BLOB NOT NULL,
    key_id BLOB NOT NULL,
    initial_date INTEGER NOT NULL,
    activation_date INTEGER NOT NULL,
    process_start_date INTEGER NOT NULL,
    protect_stop_date INTEGER NOT NULL,
    deactivation_date INTEGER NOT NULL,
    destroy_date INTEGER NOT NULL,
    compromise_date INTEGER NOT NULL,
    compromise_occurrence_date INTEGER NOT NULL,
    last_change_date INTEGER NOT NULL,
    archive_date INTEGER NOT NULL,
    attributes BLOB NOT NULL,
    found_by BLOB NOT NULL,
    material BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX object_owner ON object (owner, id);

-- only_one: no other object of this owner may have this kind and hash. The writer looks before it inserts, inside the write
-- transaction that only one process can hold; an index of its own would cost each Create one more page.
CREATE TABLE object_index (
    kind INTEGER NOT NULL,
    hash BLOB NOT NULL,
    owner BLOB NOT NULL,
    object_id BLOB NOT NULL,
    only_one INTEGER NOT NULL,
    PRIMARY KEY (kind, hash, owner, object_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE data_key (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;

-- An endpoint that is not enrolled has no fingerprint (NULL), which the unique index leaves out.
CREATE TABLE endpoint (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    fingerprint BLOB UNIQUE,
    previous BLOB UNIQUE,
    previous_until INTEGER NOT NULL,
    token_hash BLOB NOT NULL,
    token_expires INTEGER NOT NULL,
    created INTEGER NOT NULL,
    enrolled INTEGER NOT NULL,
    default_wallet BLOB NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- Wallets and groups; `kind` is enum named_kind.
CREATE TABLE named (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name_hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (kind, name_hash)
) STRICT;
CREATE UNIQUE INDEX named_kind ON named (kind, id);

-- Objects in wallets, endpoints in groups.
CREATE TABLE member (
    set_id BLOB NOT NULL,
    member BLOB NOT NULL,
    PRIMARY KEY (set_id, member)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX member_of ON member (member, set_id);

-- `kind` is enum grantee_kind, `access` bits of enum grant_access.
CREATE TABLE wallet_grant (
    grantee BLOB NOT NULL,
    wallet BLOB NOT NULL,
    kind INTEGER NOT NULL,
    access INTEGER NOT NULL,
    PRIMARY KEY (grantee, wallet)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX wallet_grant_wallet ON wallet_grant (wallet, grantee);

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    id BLOB NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_time ON outcome (time);

CREATE TABLE node_setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE node_seen (
    endpoint BLOB NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last row alone has a mark: it stands in the row, and not in a table of its own, since that would cost each Create a page more.
CREATE TABLE node_audit (
    sequence INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    hash BLOB NOT NULL,
    record BLOB NOT NULL,
    mark BLOB
) STRICT;
CREATE TRIGGER node_audit_stays BEFORE UPDATE OF sequence, time_ms, hash, record ON node_audit BEGIN SELECT raise(ABORT, 'the audit trail is never changed'); END;
-- The last row that was purged, with its hash: the trail is verified from there on.
CREATE TABLE node_audit_floor (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO node_audit_floor (one, sequence, time_ms, hash) VALUES (1, 0, 0, zeroblob(32));
CREATE TRIGGER node_audit_remains BEFORE DELETE ON node_audit WHEN OLD.sequence > (SELECT sequence FROM node_audit_floor)
    BEGIN SELECT raise(ABORT, 'the audit trail is never cut'); END;
CREATE TRIGGER node_audit_floor_rises BEFORE UPDATE ON node_audit_floor WHEN NEW.sequence < OLD.sequence
    BEGIN SELECT raise(ABORT, 'what was purged does not come back'); END;
