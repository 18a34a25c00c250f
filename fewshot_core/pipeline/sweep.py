"""Sweeps: the runs of a sweep one after the other, with supernets that are trained once.

Each member is a run as any other. Members whose supernets are the same ones - they differ in the
strategy, the constraint or what comes after - share checkpoints, so only the first of them trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast_object_list

from fewshot_core.errors import FewshotError, RunFolderError
from fewshot_core.pipeline.faults import LostProcessError
from fewshot_core.pipeline.opening import prepare
from fewshot_core.pipeline.processes import do_once, make_accelerator
from fewshot_core.pipeline.retrain import retrain
from fewshot_core.pipeline.search import search_one
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import identity, load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.sweep import PlannedSweep
from fewshot_core.runs.console import Console, FittedTable
from fewshot_core.runs.farewell import is_main_process
from fewshot_core.runs.files import WriteError, read_json
from fewshot_core.runs.folder import RunFolder, take_lock
from fewshot_core.runs.launch import works_apart, world_size
from fewshot_core.runs.origin import origin
from fewshot_core.runs.reuse import share_checkpoints, sharer_of
from fewshot_core.runs.sweeps import DONE, FAILED, SWEEP, Member, Sweep
from fewshot_core.training.loop import DivergedError


class FailedMembersError(FewshotError):
    """Members of a sweep have failed; the others are done."""


def search_sweep(planned: PlannedSweep) -> None:
    """Search every member of a sweep that is not done, or go on with one.

    All of them are tried before the first trains. One that fails by itself, as by a training that
    diverges, is left, and named at the end.

    Raises:
        FailedMembersError: Members have failed.
        FewshotError: Something is wrong with the data, a member or the folder.
    """
    sweep, writes, console = planned.sweep, is_main_process(), Console(is_main_process())
    _agree(planned)
    _check(planned)
    lock = _begin(sweep, writes)
    try:
        console.print(f"sweep: {sweep.folder}, {len(sweep.members)} runs")
        owners = find_owners(planned.recipes)
        for place, (member, recipe) in enumerate(zip(sweep.members, planned.recipes, strict=True)):
            head = f"run {place + 1} of {len(sweep.members)}: {member.name}"
            if member.state == DONE:
                console.print(f"{head}: done before")
                continue
            console.print(head)
            if owners[place] is not None:
                _share(sweep, member, sweep.members[owners[place] or 0], console, writes)
            words = [*member.words, f"run={sweep.run_of(member)}"]
            _work(sweep, member, writes, console, partial(search_one, words))
            _leave_settings(recipe)
    finally:
        if lock is not None:
            lock.close()
    if world_size() > 1:
        PartialState().destroy_process_group()
    _tell(sweep, console)
    console.print(f"next: fewshot retrain run={sweep.folder}, fewshot compare {sweep.folder}")
    _raise_failed(sweep, sweep.members)


def retrain_sweep(sweep: Sweep, options: Sequence[tuple[Member, Mapping[str, Any]]]) -> None:
    """Retrain members of a sweep, those that are not.

    Args:
        sweep: The sweep.
        options: Members whose search is done, and the words that each is retrained with.

    Raises:
        FailedMembersError: Members have failed.
        FewshotError: Something is wrong with the data, a member or the folder.
    """
    writes, console = is_main_process(), Console(is_main_process())
    lock = _begin(sweep, writes)
    failed = []
    try:
        for place, (member, words) in enumerate(options):
            head = f"retraining {place + 1} of {len(options)}: {member.name}"
            # Another network or other settings are another training, which the run knows.
            usual = not words.get("settings") and words.get("front") is None
            known = (sweep.run_of(member) / "retrain.json").exists()
            if usual and member.retrained and known:
                console.print(f"{head}: done before")
                continue
            console.print(head)
            if not _work(sweep, member, writes, console, partial(retrain, words), "re"):
                failed.append(member)
    finally:
        if lock is not None:
            lock.close()
    left = [member.name for member in sweep.members if member.state != DONE]
    if left:
        console.print(f"left out, for their search has not ended: {', '.join(left)}")
    console.print(f"next: fewshot compare {sweep.folder}")
    _raise_failed(sweep, failed)


def find_owners(recipes: Sequence[Recipe]) -> list[int | None]:
    """For each recipe the first one before it that trains the same supernets; None: no other does.

    Precision and images are those of the launch, so that settings decide. The run asks again.
    """
    seen: dict[str, int] = {}
    found: list[int | None] = []
    for place, recipe in enumerate(recipes):
        trains = plugin_of("evaluator", recipe.evaluator).inherits
        if not (trains or plugin_of("strategy", recipe.strategy).differentiable):
            found.append(None)
            continue
        key = repr(sorted(origin(recipe, str(recipe.precision), "").items()))
        found.append(seen.get(key))
        seen.setdefault(key, place)
    return found


def _agree(planned: PlannedSweep) -> None:
    """Let all processes of the launch have the states that the main one has read."""
    if world_size() == 1:
        return
    sweep = planned.sweep
    make_accelerator(planned.recipes[0], sweep.run_of(sweep.members[0]))
    sweep.members[:] = broadcast_object_list([sweep.members])[0]


def _check(planned: PlannedSweep) -> None:
    """Try all members that have not begun; of those that differ in the seed, one.

    Raises:
        FewshotError: One cannot be run. Nothing has been written.
    """
    sweep, tried = planned.sweep, set()
    for member, recipe in zip(sweep.members, planned.recipes, strict=True):
        path = sweep.run_of(member)
        RunFolder(path, writes=False).examine(recipe)
        kind = identity(with_values(recipe, {"seed": 0}))
        if kind in tried or (path / "recipe.yaml").exists():
            continue
        tried.add(kind)
        try:
            prepare(load_recipe([*member.words, f"run={path}"]))
        except FewshotError as error:
            raise type(error)(f"{member.name}: {error}") from None
        _leave_settings(recipe)


def _begin(sweep: Sweep, writes: bool) -> IO[str] | None:
    """Lock the folder and say in it what the sweep is; the lock, on the process that has it."""
    held: list[IO[str]] = []

    def begin() -> None:
        folder = sweep.folder
        if folder.is_dir() and not (folder / SWEEP).exists():
            foreign = [one.name for one in folder.iterdir() if not one.name.startswith(".")]
            if foreign and not {member.name for member in sweep.members}.issuperset(foreign):
                raise RunFolderError(
                    f"{folder} is not the folder of a sweep",
                    found=", ".join(sorted(foreign)[:4]),
                    fix="choose an empty or new run=DIR",
                )
        held.append(take_lock(folder))
        sweep.save()

    _once(writes, begin)
    return held[0] if held else None


def _share(sweep: Sweep, member: Member, owner: Member, console: Console, writes: bool) -> None:
    """Give a member the supernets of another one, unless it has begun."""

    def share() -> None:
        run = sweep.run_of(member)
        share_checkpoints(sweep.run_of(owner), run)
        if sharer_of(run) is not None:  # since now, or since a launch that was killed
            member.supernets = owner.name
            sweep.save()

    _once(writes, share)
    if member.supernets:
        console.print(f"  with the supernets of {member.supernets}")


def _once(writes: bool, work: Callable[[], None]) -> None:
    """:func:`do_once`, also where this process is alone and knows no accelerator yet."""
    if world_size() == 1:
        work()
    else:
        do_once(writes, work)


def _work(
    sweep: Sweep,
    member: Member,
    writes: bool,
    console: Console,
    work: Callable[[], object],
    prefix: str = "",
) -> bool:
    """Do the work of a member and note how it ended; whether it ended well."""
    try:
        work()
    except FewshotError as error:
        if not _is_its_own(error):
            raise
        console.print(f"{member.name}: {error}")
        member.why = error.what
        if not prefix:
            member.state = FAILED
        well = False
    else:
        member.why, well = "", True
        if prefix:
            member.retrained = True
        else:
            member.state = DONE
    if writes:
        sweep.save()
    return well


def _is_its_own(error: FewshotError) -> bool:
    """Whether the other members may well end better.

    Of several processes all see a training diverge; of other errors that is not known, and those
    that do not see one would wait for ever.
    """
    if isinstance(error, DivergedError):
        return True
    return world_size() == 1 and not isinstance(error, WriteError | LostProcessError)


def _leave_settings(recipe: Recipe) -> None:
    """Let the next member have a precision of its own."""
    if not works_apart(recipe.processes):
        AcceleratorState._reset_state()


def _tell(sweep: Sweep, console: Console) -> None:
    """A table of the members and what each has found."""
    rows = []
    for member in sweep.members:
        found = _found(sweep.run_of(member))
        score = found.get("score")
        flops = found.get("costs", {}).get("connected_flops")
        rows.append(
            [
                member.name,
                member.state if not member.why else f"{member.state}: {member.why}",
                "" if score is None else f"{score:.4g}",
                "" if flops is None else f"{flops:,.0f}",
                f"of {member.supernets}" if member.supernets else "",
            ]
        )
    header = ("run", "search", "score", "FLOPs", "supernets")
    console.print(FittedTable(f"sweep in {sweep.folder}", header, rows))


def _found(run: Path) -> dict[str, Any]:
    path = run / "found.json"
    found = read_json(path) if path.exists() else {}
    return found if isinstance(found, dict) else {}


def _raise_failed(sweep: Sweep, members: Sequence[Member]) -> None:
    failed = [member for member in members if member.why]
    if failed:
        raise FailedMembersError(
            f"{len(failed)} of {len(sweep.members)} runs of the sweep have failed",
            found="; ".join(f"{member.name}: {member.why}" for member in failed),
            fix="the others are done; change the values that these do not bear, in another sweep",
        )
