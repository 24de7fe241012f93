"""What verbs share to print and to ask: for people, for programs, and while they work."""
