"""Do the steps of a repair, and read back that they were done."""
