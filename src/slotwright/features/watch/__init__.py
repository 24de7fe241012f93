"""A cluster live on a terminal, or what happens line by line."""
