"""`python -m ddpm` is the same as `ddpm`."""

from ddpm.cli import main

main()
