"""The story of one run, readable from top to bottom in `run`: load, provision, render, lint, launch, watch, drain."""
