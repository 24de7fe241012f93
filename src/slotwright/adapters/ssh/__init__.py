"""Remote hosts over SSH, by asyncssh: logging in, scripts, and ways to the servers. Nothing outside knows asyncssh."""
