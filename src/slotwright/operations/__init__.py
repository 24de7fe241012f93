"""The use cases: what a verb does to the world, through the ports."""
