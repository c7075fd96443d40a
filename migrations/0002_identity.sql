-- The history, schema 2. Never edited: what changes is a new file, and its place in the list is PRAGMA user_version.

-- Signs of a restore. The term of the answer that fixed the revision; NULL: recorded before it was kept, or unknown.
ALTER TABLE audit ADD COLUMN raft_term INTEGER;
