"""What Redis and Valkey say and take: text and bytes to values and back, without I/O. *master* and *slave* are
said only here."""
