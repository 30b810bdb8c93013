"""Runs the Python consumer in several processes: `python -m benchmarks.programs.several 3 …`; ends them when ended."""

import signal
import subprocess
import sys


def main() -> None:
    """Wait until told to end, or until one of them ends by itself, which none should."""
    count, *arguments = sys.argv[1:]
    command = [sys.executable, "-m", "benchmarks.programs.consumer", *arguments]
    children = [subprocess.Popen(command) for _ in range(int(count))]

    def end(*_: object) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    codes = [child.wait() for child in children]
    sys.exit(0 if all(code == -signal.SIGTERM for code in codes) else 1)


if __name__ == "__main__":
    main()
