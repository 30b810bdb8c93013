"""What a pipeline needs is made, and kept: topics, tables, the numbers of sources, where its group begins."""
