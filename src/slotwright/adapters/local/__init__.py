"""This machine as a host: folders, processes and files."""
