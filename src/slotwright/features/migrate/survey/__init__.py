"""What a source and a target are like, before anything is copied."""
