"""READS: ``pidward.toml`` into the specifications of ``core.spec``, with every mistake and its place."""
