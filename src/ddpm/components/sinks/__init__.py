"""The sinks that ddpm brings: a module each, with all that ddpm knows of it. `registry` lists them.

What a sink writes, and what its engine gets, comes of its fields alone. Only methods that provision or probe touch
the outside, and import what they need when they are called.
"""
