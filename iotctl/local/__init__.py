"""AWS IoT on this machine: one process, one event loop, one SQLite file."""
