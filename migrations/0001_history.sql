-- The history, schema 1. Never edited: what changes is a new file, and its place in the list is PRAGMA user_version.
--
-- Times are INTEGER nanoseconds since 1970 in UTC. Audits are named by their number, which grows with every audit of
-- any pair, so an order never depends on a clock. Addresses are BLOBs of 4 or 16 bytes in network order. Numbers of 64
-- bits without sign (sequence numbers, hashes, etcd's ids) are kept as the signed number of the same bits. Foreign
-- text stands as it is.
--
-- Only changes are written. An open interval has no last_seen; what was seen in an audit follows from the audits:
-- everything open was seen by every audit that could have missed it. Tables of millions of rows name audits without
-- a foreign key, since SQLite would scan them for every audit that is pruned; `ipaudit history check` looks instead.

-- One row: the oldest version of ipaudit's schema that can still read this file.
CREATE TABLE format (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  min_reader INTEGER NOT NULL
) STRICT;
INSERT INTO format (id, min_reader) VALUES (1, 1);

-- Texts that stand in many rows: names of nodes, namespaces and pools, words.
CREATE TABLE name (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

-- What audits read and ran, as JSON: state of every input, checks that ran, checks that were skipped. Most audits share
-- one. The number is a hash of the text: an index over such long texts would be written with every new one.
CREATE TABLE about (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;

-- One datastore (Calico's GUID) together with one Kubernetes cluster.
CREATE TABLE pair (
  id INTEGER PRIMARY KEY,
  guid TEXT NOT NULL,
  apart INTEGER NOT NULL DEFAULT 0,        -- 1: nobody could say which Kubernetes cluster; closes nothing
  known INTEGER NOT NULL DEFAULT 0,        -- 1: a complete audit saw that the two belong together
  exclusive INTEGER NOT NULL DEFAULT 0,    -- 1: the operator said --scope exclusive
  epoch INTEGER NOT NULL DEFAULT 1,        -- grows with every IPA903
  epoch_audit INTEGER NOT NULL DEFAULT 0,  -- the audit that began it; 0 for the first
  saw_pod_allocation INTEGER NOT NULL DEFAULT 0,
  strict_affinity_since INTEGER,
  pruned_until INTEGER NOT NULL DEFAULT 0  -- real time up to which audits have been pruned
) STRICT;
CREATE UNIQUE INDEX pair_apart ON pair (guid) WHERE apart = 1;

-- UIDs of a Kubernetes cluster: namespace kube-system's, service default/kubernetes's.
CREATE TABLE alias (
  guid TEXT NOT NULL,
  uid TEXT NOT NULL,
  pair INTEGER NOT NULL REFERENCES pair (id),
  PRIMARY KEY (guid, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  epoch INTEGER NOT NULL,
  judged INTEGER NOT NULL,                 -- the moment by which ages were judged (--now)
  started INTEGER NOT NULL,                -- by the clock of the machine
  duration INTEGER NOT NULL,               -- nanoseconds
  api_date INTEGER,                        -- the API server's Date
  etcd_revision INTEGER NOT NULL,
  compact_revision INTEGER,
  cluster_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  scope TEXT NOT NULL,                     -- exclusive, shared, unknown
  complete INTEGER NOT NULL,               -- 1: every input read, every value decoded
  keys INTEGER NOT NULL,                   -- 1: all that is kept by key was read; `key` is as of the last such audit
  clock_back INTEGER NOT NULL,             -- 1: judged or started lies before the pair's last audit
  tool INTEGER NOT NULL REFERENCES name (id),     -- version of ipaudit
  about INTEGER NOT NULL REFERENCES about (id),
  counts TEXT NOT NULL,                    -- JSON: blocks, handles, endpoints, pods, …; null: not read
  found TEXT NOT NULL,                     -- JSON: findings by severity
  new INTEGER NOT NULL,
  ongoing INTEGER NOT NULL,
  came_back INTEGER NOT NULL,
  resolved INTEGER NOT NULL
) STRICT;

-- Capacity of a pool, when it is another one than at the audit before. Numbers of addresses end at 2^63 - 1.
CREATE TABLE capacity (
  pair INTEGER NOT NULL REFERENCES pair (id),
  pool INTEGER NOT NULL REFERENCES name (id),
  audit INTEGER NOT NULL,
  cidr INTEGER NOT NULL REFERENCES name (id),
  addresses INTEGER NOT NULL,
  allocated INTEGER NOT NULL,
  in_use INTEGER NOT NULL,
  leaked INTEGER NOT NULL,
  cooling INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  free INTEGER NOT NULL,
  blocks INTEGER NOT NULL,
  free_blocks INTEGER NOT NULL,
  gone INTEGER NOT NULL DEFAULT 0,         -- 1: the pool is no more
  PRIMARY KEY (pair, pool, audit)
) STRICT, WITHOUT ROWID;

-- The last state of every key of a block, handle, affinity, endpoint or Calico Node. A busy block changes all the time,
-- so there is no log of it: intervals of allocations are the log. The number is a hash of the key and the pair.
CREATE TABLE key (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  create_revision INTEGER NOT NULL,
  mod_revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  value_hash INTEGER NOT NULL,             -- 0: the value did not decode
  key BLOB NOT NULL
) STRICT;

CREATE TABLE block (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  cidr TEXT NOT NULL,
  create_revision INTEGER NOT NULL,        -- of the last audit that saw it
  version INTEGER NOT NULL,                -- writes since its creation, at that audit
  sequence_create_revision INTEGER,        -- of the block that had the number
  highest_sequence INTEGER,                -- since the last IPA903
  UNIQUE (pair, cidr)
) STRICT;

-- Who had which address. Open: last_seen is NULL. Both ends are uncertain: it began after not_seen_before (0: no audit
-- before) and at first_seen the latest; it ended after last_seen and at not_seen_after the latest.
CREATE TABLE allocation (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  address BLOB NOT NULL,
  tuple INTEGER NOT NULL,                  -- hash of address, handle, sequence number, block's create revision
  owner INTEGER NOT NULL,                  -- hash of block, use and owners
  block INTEGER NOT NULL REFERENCES block (id),
  block_create_revision INTEGER NOT NULL,
  sequence INTEGER,
  handle TEXT,
  use INTEGER NOT NULL REFERENCES name (id),      -- pod, tunnel, load-balancer, vm, windows, cooling, …
  node INTEGER REFERENCES name (id),       -- Calico's name
  namespace INTEGER REFERENCES name (id),
  pod TEXT,                                -- or the service
  allocated INTEGER,                       -- the CNI host's clock
  more TEXT,                               -- JSON: what else the owner attributes say, the alternate owner
  not_seen_before INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  tuple_since INTEGER NOT NULL,            -- the audit that first saw this tuple, whatever its owners said then
  tuple_since_at INTEGER NOT NULL,         -- judged time of it
  last_seen INTEGER,
  not_seen_after INTEGER,
  changes INTEGER                          -- at the end: writes of the block between the two audits; NULL: unknown
) STRICT;
CREATE INDEX allocation_address ON allocation (address);
CREATE INDEX allocation_open ON allocation (pair, tuple, owner, tuple_since, tuple_since_at) WHERE last_seen IS NULL;

-- Which pod had which address, by the pod's own status. Ends as above.
CREATE TABLE pod_address (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  address BLOB NOT NULL,
  identity INTEGER NOT NULL,               -- hash of UID, address, node, grade
  uid ANY NOT NULL,                        -- a UUID as 16 bytes, anything else as text
  namespace INTEGER NOT NULL REFERENCES name (id),
  pod TEXT NOT NULL,
  node INTEGER NOT NULL REFERENCES name (id),     -- Kubernetes' name
  grade INTEGER NOT NULL REFERENCES name (id),    -- certain, possible
  not_seen_before INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER,
  not_seen_after INTEGER
) STRICT;
CREATE INDEX pod_address_address ON pod_address (address);
CREATE INDEX pod_address_open ON pod_address (pair, identity) WHERE last_seen IS NULL;

-- States of a node, one row until something of it changes. Ends as above.
CREATE TABLE node_state (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  identity INTEGER NOT NULL,               -- hash of everything below
  calico INTEGER REFERENCES name (id),     -- NULL: no Calico Node
  kubernetes INTEGER REFERENCES name (id), -- by orchRef, or without a Calico Node; NULL: a plain host
  ours INTEGER NOT NULL,
  present INTEGER NOT NULL,                -- Kubernetes knows it
  boot_id INTEGER REFERENCES name (id),
  ready INTEGER,
  addresses INTEGER NOT NULL REFERENCES name (id),
  not_seen_before INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER,
  not_seen_after INTEGER
) STRICT;
CREATE INDEX node_state_open ON node_state (pair, identity) WHERE last_seen IS NULL;

-- Calico's names of nodes: which were ours once, and since when one is gone.
CREATE TABLE node (
  pair INTEGER NOT NULL REFERENCES pair (id),
  name INTEGER NOT NULL REFERENCES name (id),
  ours INTEGER NOT NULL,
  gone_since INTEGER,                      -- judged time of the audit that first saw neither Calico's nor Kubernetes'
  PRIMARY KEY (pair, name)
) STRICT, WITHOUT ROWID;

-- One row an episode of a finding. Open: ended is NULL. Seen by every audit since `opened` in which its check ran,
-- apart from those in `gap`.
CREATE TABLE finding (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  identity INTEGER NOT NULL,               -- hash of code, kind and subject
  code INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  episode INTEGER NOT NULL,                -- 1, then 2 when it came back, …
  opened INTEGER NOT NULL,                 -- audit
  opened_at INTEGER NOT NULL,              -- judged time of it
  seen_before INTEGER NOT NULL DEFAULT 0,  -- audits that saw it and were pruned since
  stamp INTEGER NOT NULL,                  -- equal while everything that the claim rests on is unchanged
  stamp_since INTEGER NOT NULL,            -- judged time
  stamp_audit INTEGER NOT NULL,
  confirmed_audit INTEGER,                 -- since when it was confirmed in every audit; NULL: it is not
  face INTEGER NOT NULL,                   -- hash of what is told of it
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
  UNIQUE (pair, identity, episode),
  CHECK ((ended IS NULL) = (ending IS NULL))
) STRICT;
CREATE INDEX finding_open ON finding (pair) WHERE ended IS NULL;

-- The facts of a finding as JSON: of the first audit, and of the last one that saw another claim (NULL: as the first).
CREATE TABLE evidence (
  finding INTEGER PRIMARY KEY REFERENCES finding (id) ON DELETE CASCADE,
  first TEXT NOT NULL,
  last TEXT
) STRICT;

-- Audits in which an open finding's check ran and the finding was not seen, though something hides it that does not
-- decode or was not read: from the first to the last of them; last is NULL while that is still so.
CREATE TABLE gap (
  finding INTEGER NOT NULL REFERENCES finding (id) ON DELETE CASCADE,
  first INTEGER NOT NULL,
  last INTEGER,
  PRIMARY KEY (finding, first)
) STRICT, WITHOUT ROWID;

-- Releases and undos. Never pruned.
CREATE TABLE release (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  undoes INTEGER REFERENCES release (id),
  asked TEXT NOT NULL,                     -- JSON: who asked, with which flags
  started INTEGER NOT NULL,
  finished INTEGER,
  outcome TEXT,                            -- done, refused, partly, failed, unknown
  plan TEXT NOT NULL                       -- JSON
) STRICT;

-- One etcd transaction of a release: the intent before, the outcome after.
CREATE TABLE release_step (
  id INTEGER PRIMARY KEY,
  release INTEGER NOT NULL REFERENCES release (id),
  intended INTEGER NOT NULL,
  settled INTEGER,
  outcome TEXT CHECK (outcome IN ('applied', 'not applied', 'changed hands', 'refused')),
  revision INTEGER,                        -- etcd's, of the transaction
  detail TEXT
) STRICT;
CREATE INDEX release_step_release ON release_step (release);

-- What a step is about: kind address or handle.
CREATE TABLE release_subject (
  step INTEGER NOT NULL REFERENCES release_step (id),
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  PRIMARY KEY (step, kind, subject)
) STRICT, WITHOUT ROWID;

-- What a step writes, byte for byte; NULL: absent before, or deleted.
CREATE TABLE release_key (
  step INTEGER NOT NULL REFERENCES release_step (id),
  key BLOB NOT NULL,
  mod_revision INTEGER NOT NULL,           -- that the transaction compares with; 0: absent
  old BLOB,
  new BLOB,
  PRIMARY KEY (step, key)
) STRICT, WITHOUT ROWID;
