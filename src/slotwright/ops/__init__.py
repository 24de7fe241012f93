"""Acting on a cluster: the step runner, starting, stopping, saving, rehearsing and proving."""
