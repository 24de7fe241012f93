"""The verbs status, check, slot, logs and list."""
