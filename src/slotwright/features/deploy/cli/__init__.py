"""The verbs demo, init, plan and up."""
