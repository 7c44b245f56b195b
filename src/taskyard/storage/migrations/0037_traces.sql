-- The trace that a task belongs to: W3C Trace Context of the span that submitted it.

ALTER TABLE tasks
    ADD COLUMN traceparent text,
    ADD COLUMN tracestate  text;
ALTER TABLE tasks
    ADD CONSTRAINT trace_is_one CHECK (
        traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') NOT VALID,
    ADD CONSTRAINT tracestate_needs_a_trace CHECK (
        tracestate IS NULL OR (traceparent IS NOT NULL AND length(tracestate) <= 512)) NOT VALID;
