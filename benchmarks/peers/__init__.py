"""Who carries the same records into Postgres: a file each."""
