"""Values about hosts: what was seen there. Collected, not judged."""
