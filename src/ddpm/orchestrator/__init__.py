"""What ddpm is asked to do, a room for each: run pipelines, try records, read a window again, feed letters, trace."""
