"""Names that vulture finds no use of, and that stay: a group each, with the reason.

What is used by tests alone is no exception: it goes, or the tests look at what users see.
"""

# Python itself looks these up: lazy attributes of modules (PEP 562), objects that are called, and the hook for errors
# that nobody can catch.
_.__call__
_.__getattr__
_.__dir__
_.unraisablehook

# Libraries call or read them: click, asyncssh, pydantic, ruamel.yaml, and whoever writes to a text stream.
_.format_commands
_.list_jobs
_.list_kinds
_.validate_host_public_key
_.model_config
_.preserve_quotes
_.writelines

# Values that are made from what a host prints: Enum("word").
_.STOPPED
_.UFW
_.NFTABLES
_.IPTABLES
_.IS_ROOT
_.DISABLED

# What the table of capabilities says beside what it decides: docs/capabilities.md is written from it.
_.meaning
_.basis

# Read by its place in a tuple (replicator), and by who wants the whole count of what was copied.
_.is_deadline_late
_.strays_equal

# The shape of what errors are written as; they are put together without it, see its module.
_.ErrorAnswerOutput

# Fields of the output types that nothing inside is called: programs outside read them, as JSON.
_.across_slots
_.also
_.announced
_.answered_by
_.big_keys
_.clock_ahead_s
_.commands_otherwise
_.copied_bytes
_.copied_keys
_.did
_.ended_early
_.estimate_s
_.estimated_from
_.expected_by_type
_.failovers
_.forced
_.forgotten
_.found_by_type
_.frozen
_.hash_tags
_.held_by
_.held_s
_.key_base64
_.longest_batch_ms
_.lost_keys
_.ok
_.pairs_tried
_.proved_again
_.run_in_tests
_.slots_covered
_.source_load
_.source_wait_ms
_.source_was_fenced
_.taken_back
_.unproved
_.worst_ms
_.written_since
