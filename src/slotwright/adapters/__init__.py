"""The only I/O: topology files, state, SSH, hosts, engines, servers. They implement the ports and decide nothing."""
