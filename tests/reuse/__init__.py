"""PID reuse, forced: deterministic, in pid namespaces of their own."""
