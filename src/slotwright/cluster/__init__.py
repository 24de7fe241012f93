"""What a cluster is: values that every room shares. Frozen dataclasses that know nothing of the world."""
