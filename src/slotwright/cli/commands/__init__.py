"""One module a verb, each with a ``command``."""
