"""The Postgres side of ddpm: tables, rights, the numbers of sources; the only place that imports psycopg."""
