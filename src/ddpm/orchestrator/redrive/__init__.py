"""Records are fed to an engine of their pipeline again: dead letters, and what is reprocessed."""
