"""Seeds for everything random in a run, derived from the run's one seed."""

from __future__ import annotations

from hashlib import blake2b


def derive_seed(*parts: int | str) -> int:
    """A seed that depends on every part, the same on every machine and Python version.

    Parts name the purpose and the position, as in ``derive_seed(seed, "augment", step)``, so that
    no two uses share a stream of random numbers and none depends on how often another one drew.
    The type counts (``1`` and ``"1"`` differ), and so does the border between parts.

    Args:
        parts: Integers of any size and texts; at least one.

    Returns:
        An integer in ``[0, 2**63)``, which ``random``, NumPy and torch all accept.
    """
    if not parts:
        raise ValueError("derive_seed needs at least one part")
    text = "\0".join(_encode(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _encode(part: int | str) -> str:
    if isinstance(part, str):
        return f"s{len(part)}:{part}"
    return f"i{int(part)}"
