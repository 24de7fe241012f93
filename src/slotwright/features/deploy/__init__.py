"""From the topology file to a proved cluster: demo, init, plan, up."""
