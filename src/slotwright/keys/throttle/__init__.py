"""The rate limiter: work is slowed by how long the clients of a server wait."""
