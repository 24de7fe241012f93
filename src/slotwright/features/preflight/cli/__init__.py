"""The verbs preflight and exec."""
