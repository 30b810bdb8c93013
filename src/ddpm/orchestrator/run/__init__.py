"""One run of ddpm: its pipelines are prepared, launched, watched and ended."""
