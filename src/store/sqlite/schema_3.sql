-- SPDX-License-Identifier: Apache-2.0
-- Schema 3: certificates that the server's authorities have issued (store/issued.h).

CREATE TABLE issued (
    fingerprint BLOB NOT NULL PRIMARY KEY,
    serial BLOB NOT NULL,
    authority BLOB NOT NULL,
    holder BLOB NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    reason INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX issued_holder ON issued (holder);

UPDATE schema_version SET version = 3;
