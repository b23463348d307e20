"""The spool: the only state between processes, and every SQL statement of the project."""
