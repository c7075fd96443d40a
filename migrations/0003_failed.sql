-- Schema 3: audits that failed, so that their time is not taken for one in which nobody looked. They saw nothing and
-- change nothing: a reader that does not know them reads all the rest as ever.
CREATE TABLE failed_audit (
  id INTEGER PRIMARY KEY,
  pair INTEGER NOT NULL REFERENCES pair (id),
  judged INTEGER NOT NULL,                 -- --now, else as started
  started INTEGER NOT NULL,                -- by the clock of the machine
  tool TEXT NOT NULL,                      -- version of ipaudit
  why TEXT NOT NULL                        -- what could not be done, where, and the cause
) STRICT;
CREATE INDEX failed_audit_pair ON failed_audit (pair, judged);
