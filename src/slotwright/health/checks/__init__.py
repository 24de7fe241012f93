"""One file a family of checks: each takes the check context and yields findings."""
