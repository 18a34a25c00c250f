"""The folder of a sweep: a run folder for each member, and a file that says what each of them is.

``sweep.json`` has the words of the sweep and, for each member, its folder, its words and how far it
has come. The members are ordinary runs, and every command takes them as such. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import read_json, write_json

SWEEP = "sweep.json"

WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass
class Member:
    """A run of a sweep.

    Attributes:
        name: The name of its folder in the folder of the sweep.
        words: The words that it is searched with, but for ``run=``.
        chosen: Those of them that tell it from the other members.
        state: Whether its search waits, is done or has failed.
        retrained: Whether its retraining is done.
        supernets: The member whose supernets it has; empty: its own, or none.
        why: What went wrong.
    """

    name: str
    words: list[str]
    chosen: list[str]
    state: str = WAITING
    retrained: bool = False
    supernets: str = ""
    why: str = ""


@dataclass
class Sweep:
    """A sweep, as its folder keeps it.

    Attributes:
        folder: Where it is.
        words: The words that it was asked for with, but for ``run=``.
        members: Its runs, in the order in which they are made.
    """

    folder: Path
    words: list[str]
    members: list[Member] = field(default_factory=list)

    def run_of(self, member: Member) -> Path:
        """The run folder of a member."""
        return self.folder / member.name

    def save(self) -> None:
        """Write the file anew."""
        value = {"words": self.words, "members": [asdict(member) for member in self.members]}
        write_json(self.folder / SWEEP, value)


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / SWEEP).is_file()


def read_sweep(folder: Path) -> Sweep:
    """The sweep of a folder.

    Raises:
        RunFolderError: There is none, or its file is damaged.
    """
    path = folder / SWEEP
    if not path.is_file():
        raise RunFolderError(
            f"{folder} is no folder of a sweep: it has no {SWEEP}",
            fix="run fewshot search with commas first: seed=0,1,2",
        )
    found = read_json(path)
    try:
        members = [_member(value) for value in found["members"]]
        sweep = Sweep(folder, _texts(found["words"]), members)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{path} is damaged",
            found=repr(error)[:120],
            fix="delete it and give the words of the sweep again: runs that are done are kept",
        ) from None
    return sweep


def _member(value: Any) -> Member:
    member = Member(**value)
    texts = (member.name, member.state, member.supernets, member.why)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a value of the wrong kind")
    if not member.name or Path(member.name).name != member.name:
        raise ValueError(f"the member {member.name!r} lies elsewhere")
    if member.state not in (WAITING, DONE, FAILED):
        raise ValueError(f"the state {member.state!r}")
    _texts(member.words)
    _texts(member.chosen)
    return member


def _texts(value: Sequence[Any]) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("no list of words")
    return value
