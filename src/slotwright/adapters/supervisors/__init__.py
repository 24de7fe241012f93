"""What starts servers and finds them again."""
