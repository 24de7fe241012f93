"""What a machine is: facts, the scripts that collect or change them, and whether it is fit for nodes. Without I/O."""
