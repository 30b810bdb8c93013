"""Measurements; timings never pass or fail, but a table that holds something else than it should does.

`make bench` runs all of them (`python -m benchmarks` with `tests` on PYTHONPATH); `--help` says how to choose.

peers/        who carries the same records: a file each, ddpm among them
programs/     what runs as a process of its own: the Python consumer, the COPY of a file, a parser function
readers.py    how a record becomes rows, in Python
records.py    the records of every workload, and what a table must hold afterwards
rig.py        servers, the clock, and the contents of a table
throughput.py all peers in one interleaved session
workloads.py  ddpm with other formats, sizes, partitions, with a mapping, with poison
recovery.py   the time to the first row, and from a killed engine to rows again
reload.py     how long rows stay away while a configuration changes
operation.py  what an idle ddpm costs, many pipelines, answers of the API
compare.py    two checkouts in one interleaved session
report.py     docs/benchmarks.md; charts.py its pictures
"""
