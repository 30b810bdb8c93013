"""Parsers of one's own in Python: what a plugin may import, and what ddpm does with it.

`Meta` and `Poison` are for plugins. The rest is ddpm's: `loading` imports a plugin, `worker` runs its function beside
the engine, `inspecting` asks in a process of its own what a plugin is, `scaffold` writes a new one. What a worker
needs imports the standard library only: every worker pays for it in memory and time.
"""

from ddpm.plugins.record import Meta, Poison

__all__ = ["Meta", "Poison"]
