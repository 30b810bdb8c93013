"""The engine: finding or building its binary, launching it, asking it how it is; decides nothing."""
