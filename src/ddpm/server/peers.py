"""Which user of this machine a connection over loopback belongs to, as the kernel of Linux says: nobody can pretend."""

import ipaddress
from pathlib import Path

from ddpm.observability.audit_log import user_named

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
_LOCAL, _UID = 1, 7


def local_user(address: str, port: int) -> str | None:
    """The name of the user, or else `uid N`; None for another machine, and where the kernel does not say.

    Args:
        address: The client's end of the connection.
        port: Its port.

    """
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
        found = getattr(given, "ipv4_mapped", None) or given
        uid = _uid(_written(found, port), _TABLES[found.version]) if found.is_loopback else None
    except (OSError, ValueError, IndexError):
        return None
    return None if uid is None else user_named(uid)


def _written(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    """An address as the kernel's table has it: words of four bytes in the order of the machine, here little-endian."""
    packed = address.packed
    words = (packed[at : at + 4][::-1].hex() for at in range(0, len(packed), 4))
    return f"{''.join(words).upper()}:{port:04X}"


def _uid(written: str, table: Path) -> int | None:
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[_LOCAL] == written:
            return int(fields[_UID])
    return None
