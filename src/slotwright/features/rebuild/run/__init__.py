"""The old nodes of a rebuild: looked at, ended and set aside, and their data served again for a while."""
