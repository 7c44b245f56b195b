-- The ledger becomes one of intent: what is to be made is written before it is made, and a pool's
-- queue that was replaced is known until it is empty and removed.

ALTER TABLE topology_ledger
    ADD COLUMN pool       text,                          -- whose queue it is
    ADD COLUMN state      text NOT NULL DEFAULT 'applied'
        CHECK (state IN ('intended', 'applied', 'draining')),
    ADD COLUMN unbound_at timestamptz,                   -- since when nothing reaches a drained queue
    DROP COLUMN arguments;                               -- the broker is asked, so nobody read it

UPDATE topology_ledger SET pool = substring(name FROM '\.pool\.([a-z0-9-]+)$') WHERE kind = 'queue';
