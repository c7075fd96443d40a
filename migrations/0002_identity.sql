-- Schema 2: a thing is named by what it is. Schema 1 named findings, keys, allocations, pods' addresses and states of
-- nodes by a hash of 64 bits that two of them could share, and did. What a hash is still good for is to see that
-- something changed. What schema 1 mixed up, and what follows from columns that are there, `history/schema1.rs` sees to.

-- identity ------------------------------------------------------------------------------------------------------------

-- A finding is code, kind and subject. What its stamp of schema 1 was made from is not kept: it begins anew.
CREATE TABLE finding_2 (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  code INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  episode INTEGER NOT NULL,                -- 1, then 2 when it came back, …
  opened INTEGER NOT NULL,                 -- audit
  opened_at INTEGER NOT NULL,              -- judged time of it
  seen_before INTEGER NOT NULL DEFAULT 0,  -- audits that saw it and were pruned since
  stamp BLOB,                              -- 128 bits, equal while everything that the claim rests on is unchanged;
                                           -- NULL: not known
  stamp_since INTEGER NOT NULL,            -- judged time
  stamp_audit INTEGER NOT NULL,
  confirmed_audit INTEGER,                 -- since when it was confirmed in every audit; NULL: it is not
  face INTEGER NOT NULL,                   -- hash of what is told of it; 0: not known
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  summary TEXT NOT NULL,
  root TEXT,                               -- code and subject of the finding that explains it
  node INTEGER REFERENCES name (id),
  namespace INTEGER REFERENCES name (id),
  pool INTEGER REFERENCES name (id),
  ended INTEGER,                           -- the first audit that did not see it
  ended_at INTEGER,                        -- judged time of it
  last_seen INTEGER,                       -- the last audit that saw it, once it has ended
  audits_seen INTEGER,                     -- once it has ended
  ending TEXT CHECK (ending IN ('resolved', 'released', 'rule changed')),
  release INTEGER REFERENCES release (id),
  mixed_until INTEGER,                     -- up to this audit it may be another subject's: schema 1 gave both one number
  mixed_with TEXT,                         -- that subject
  UNIQUE (pair, code, kind, subject, episode),
  CHECK ((ended IS NULL) = (ending IS NULL))
) STRICT;
INSERT INTO finding_2
  SELECT id, pair, code, kind, subject, episode, opened, opened_at, seen_before, NULL, stamp_since, stamp_audit,
    confirmed_audit, 0, severity, state, summary, root, node, namespace, pool, ended, ended_at, last_seen, audits_seen,
    ending, release, NULL, NULL FROM finding;
DROP TABLE finding;
ALTER TABLE finding_2 RENAME TO finding;
CREATE INDEX finding_open ON finding (pair) WHERE ended IS NULL;

-- The last episode of findings whose rows were pruned: one that comes back is not new.
CREATE TABLE forgotten (
  pair INTEGER NOT NULL REFERENCES pair (id),
  code INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  episode INTEGER NOT NULL,
  PRIMARY KEY (pair, code, kind, subject)
) STRICT, WITHOUT ROWID;

-- The last state of a key is found by the key. In schema 1 two keys could share a row; container ids, of random digits,
-- could not. So handles of containers alone are taken over (audit.keys = 2: nothing is known of any other key), without
-- the hashes of their values, which cannot be made anew.
CREATE TABLE key_2 (
  pair INTEGER NOT NULL REFERENCES pair (id),
  key BLOB NOT NULL,
  create_revision INTEGER NOT NULL,
  mod_revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  value_hash INTEGER NOT NULL,             -- 0: not known, or the value did not decode
  PRIMARY KEY (pair, key)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO key_2
  SELECT pair, key, create_revision, mod_revision, version, 0 FROM key
  WHERE substr(key, 1, 23) = CAST('/calico/ipam/v2/handle/' AS BLOB) AND substr(key, -65, 1) = CAST('.' AS BLOB)
    AND CAST(substr(key, -64) AS TEXT) NOT GLOB '*[^0-9a-f]*'
  ORDER BY pair, key;
DROP TABLE key;
ALTER TABLE key_2 RENAME TO key;
UPDATE audit SET keys = 2 WHERE keys = 1;

-- An allocation is address, handle, sequence number and the block's create revision; what is compared with the next
-- audit is answered from the index alone.
DROP INDEX allocation_open;
ALTER TABLE allocation DROP COLUMN tuple;
CREATE INDEX allocation_open
  ON allocation (pair, address, handle, sequence, block_create_revision, owner, tuple_since, tuple_since_at)
  WHERE last_seen IS NULL;

-- A pod's address is all of its columns.
DROP INDEX pod_address_open;
ALTER TABLE pod_address DROP COLUMN identity;
CREATE INDEX pod_address_open ON pod_address (pair, address, uid, namespace, pod, node, grade) WHERE last_seen IS NULL;

-- And so is the state of a node.
DROP INDEX node_state_open;
ALTER TABLE node_state DROP COLUMN identity;
CREATE INDEX node_state_open ON node_state (pair) WHERE last_seen IS NULL;

-- Signs of a restore. The term of the answer that fixed the revision; NULL: recorded before it was kept, or unknown.
ALTER TABLE audit ADD COLUMN raft_term INTEGER;

-- No reader of schema 1 understands this.
UPDATE format SET min_reader = 2;
