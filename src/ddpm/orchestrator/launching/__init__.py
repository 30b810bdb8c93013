"""How an engine of a pipeline is started, and what is found out about its configuration before."""
