"""The HTTP server that people and Prometheus talk to; it reads the supervisor's statuses and decides nothing."""
