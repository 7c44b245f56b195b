-- What steps of a task returned the first time, for its later attempts (current.once).

CREATE TABLE task_memos (
    task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    step    text NOT NULL,
    value   jsonb NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, step)
);
