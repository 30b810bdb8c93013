"""The entry point that `make run` starts: `ddpm run` with whatever arguments follow."""

import sys

from ddpm.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
