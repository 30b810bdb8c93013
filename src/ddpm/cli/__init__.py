"""The command line: the only place that prints or exits."""

import sys

try:
    from ddpm.cli.main import main
except KeyboardInterrupt:
    # Importing takes most of a short command's time: Ctrl-C ends it as quietly here as it does later.
    sys.exit(130)

__all__ = ["main"]
