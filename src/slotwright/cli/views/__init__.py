"""What is printed: for people, for programs, and while it works."""
