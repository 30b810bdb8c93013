"""What a pipeline can be made of: sources, parsers, processors and sinks, each turned into engine components.

Pure: a configuration goes in, plain engine components come out; no I/O of any kind.
"""
