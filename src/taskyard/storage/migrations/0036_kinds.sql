-- The numbers of the dashboard: what hardly any task is like is found as soon as what many are.

-- The tasks of each kind, newest last. Also for tenants without the type: the kinds of a tenant are
-- read from it one by one, however many tasks each has.
CREATE INDEX tasks_of_kind ON tasks (tenant, pool, type, id);

-- What runs longest comes first in each pool.
DROP INDEX tasks_running;
CREATE INDEX tasks_running ON tasks (pool, started_at) WHERE state = 'running';
