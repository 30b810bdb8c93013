"""A sink as a package of somebody else's brings it, installed into a folder."""

import shutil
from pathlib import Path

SINK = Path(__file__).with_name("text_sink.py")


def install(folder: Path, entry: str = "text_file = text_sink:TextFile") -> Path:
    """What `pip install` would leave in `folder`, which goes on PYTHONPATH: the file, and its entry point."""
    info = folder / "text_sink-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: text-sink\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[ddpm.sinks]\n{entry}\n")
    shutil.copy(SINK, folder)
    return folder
