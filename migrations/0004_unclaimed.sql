-- Schema 4: audits that failed and of which nobody could say the cluster, as before the first one that saw any. A reader
-- that does not know them reads all the rest as ever.
CREATE TABLE unclaimed_audit (
  id INTEGER PRIMARY KEY,
  uids TEXT NOT NULL,                      -- JSON: names of the Kubernetes cluster, none where it did not answer either
  judged INTEGER NOT NULL,                 -- --now, else as started
  started INTEGER NOT NULL,                -- by the clock of the machine
  tool TEXT NOT NULL,                      -- version of ipaudit
  why TEXT NOT NULL                        -- what could not be done, where, and the cause
) STRICT;
CREATE INDEX unclaimed_audit_judged ON unclaimed_audit (judged);
