"""Long work of any kind, on any cluster, from any terminal: one view, and one way to steer it."""
