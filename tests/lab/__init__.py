"""Real hosts on this machine, with systemd, sshd and a running firewall: see ``machines.py``."""
