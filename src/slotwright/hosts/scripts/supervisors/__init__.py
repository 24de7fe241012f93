"""What the supervisors of remote hosts run there: POSIX sh, put together from parts that need no more than that.

A script that signals a process looks at its start in the same run. Root writes nothing below a service user's folder,
where that user could have put a link.
"""

from __future__ import annotations

from slotwright.hosts.scripts.files import read_script

RUNNING = read_script("supervisors/running.sh")
SYSTEMD_START = read_script("supervisors/systemd_start.sh")
SYSTEMD_FIND = read_script("supervisors/systemd_find.sh")
SYSTEMD_WORDS = read_script("supervisors/systemd_words.sh")
SYSTEMD_INSTALL = read_script("supervisors/systemd_install.sh")
SYSTEMD_REMOVE = read_script("supervisors/systemd_remove.sh")
KILL = read_script("supervisors/kill.sh")
HOLD = read_script("supervisors/hold.sh")
GIVE_UP = read_script("supervisors/give_up.sh")
DETACHED_START = read_script("supervisors/detached_start.sh")
DETACHED_FIND = read_script("supervisors/detached_find.sh")
BECOME_SERVER = read_script("supervisors/become_server.sh")
INSTALL_LOGROTATE = read_script("supervisors/install_logrotate.sh")
