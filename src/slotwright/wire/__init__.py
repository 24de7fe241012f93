"""Text <-> model, pure: what servers print, and what they are given to read."""
