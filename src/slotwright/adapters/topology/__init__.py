"""The topology file: YAML to values with the line of every problem, and back."""
