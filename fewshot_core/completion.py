"""Words that a shell offers while a command is typed. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fewshot_core.commands.command import command_names, find_command
from fewshot_core.errors import RecipeError
from fewshot_core.plugins import KINDS, plugins
from fewshot_core.recipe.declare import choices_of, fields_below
from fewshot_core.recipe.find import find_recipe, list_recipes, read_chain
from fewshot_core.recipe.loose import loose_type
from fewshot_core.runs.places import RUNS
from fewshot_core.tasks import load_description, task_names

SCRIPTS = {
    # Bash breaks words at `=`; what it is offered begins after the last one.
    "bash": """\
_fewshot() {
    local line=${COMP_LINE:0:COMP_POINT} words current
    read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    local IFS=$'\\n'
    COMPREPLY=($(fewshot --completion -- "${words[@]:1}" 2> /dev/null))
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*=}"}"}")
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
}
complete -o nosort -F _fewshot fewshot
""",
    "zsh": """\
#compdef fewshot
_fewshot() {
    local -a found
    found=("${(@f)$(fewshot --completion -- "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    local -a open=(${(M)found:#*[=/]}) whole=(${found:#*[=/]})
    (( $#open )) && compadd -Q -S '' -- $open
    (( $#whole )) && compadd -Q -- $whole
}
compdef _fewshot fewshot
""",
}
"""What a shell runs once to complete words of ``fewshot``."""

CHOICES = {
    "strategy": "strategy",
    "evaluator": "evaluator",
    "split": "splitter",
    "supernet.paths": "paths",
    "regions.paths": "paths",
}
"""Sections that take the name of a plug-in, and of which kind."""

PATHS = ("run", "from", "sweep", "out", "scores", "truth", "images", "to")
"""Words that take a path, which is completed from the folders."""


def script(shell: str) -> str:
    """What completes words in that shell, once it has run it.

    Raises:
        RecipeError: It is none that is known.
    """
    if shell not in SCRIPTS:
        raise RecipeError(
            "which shell?" if not shell else f"no completion for {shell}",
            allowed=", ".join(SCRIPTS),
            fix='eval "$(fewshot --completion bash)"',
        )
    return SCRIPTS[shell]


def complete(words: Sequence[str]) -> list[str]:
    """What the last word may become.

    Args:
        words: Those after ``fewshot``; the last is the one that is being typed, and may be empty.

    Returns:
        Whole words; one that ends with ``=`` or ``/`` goes on.
    """
    *before, current = words or [""]
    if not before:
        return _beginning(current, [*command_names(), "--help", "--version", "--completion"])
    try:
        keys = find_command(before[0]).keys
    except KeyError:
        return []
    key, equals, value = current.partition("=")
    if equals:
        return [f"{key}={found}" for found in _values(key, value)]
    known = _setting_keys(before[1:]) if keys is None else list(keys)
    given = {word.partition("=")[0] for word in before[1:]}
    return _beginning(current, [f"{name}=" for name in known if name not in given])


def _beginning(current: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(current)]


def _setting_keys(words: Sequence[str]) -> list[str]:
    """The keys of every recipe, and those of the task that the words choose."""
    keys = [key for key, _, _ in fields_below(loose_type(_sections(words))())]
    return ["recipe", "run", "from", *CHOICES, *keys]


def _sections(words: Sequence[str]) -> Mapping[str, type]:
    """The sections of the task that a recipe or a word names; none where that is not known yet."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        task = given.get("task")
        if task is None and "recipe" in given:
            chain = read_chain(find_recipe(given["recipe"]))
            task = next((f.content["task"] for f in reversed(chain) if "task" in f.content), None)
        # Anything but a name is code that the user has not asked to be run yet.
        return load_description(task).sections if task in task_names() else {}
    except RecipeError:
        return {}


def _values(key: str, typed: str) -> list[str]:
    if key == "recipe":
        return _beginning(typed, [name for name, _ in list_recipes()])
    if key == "task":
        return _beginning(typed, task_names())
    section = key.removesuffix(f".{KINDS[CHOICES[key]].choice}") if key in CHOICES else key
    for place, kind in CHOICES.items():
        if section in (place, f"{place}.{KINDS[kind].choice}"):
            return _beginning(typed, plugins(kind))
    if key == "run" and not typed:
        known = sorted(path.parent.as_posix() for path in RUNS.glob("*/recipe.yaml"))
        if known:
            return known
    if key in PATHS or key.endswith("root"):
        return _paths(typed)
    return _choices(key, typed)


def _choices(key: str, typed: str) -> list[str]:
    for name, field, section in fields_below(loose_type({})()):
        if name == key:
            choices = choices_of(field)
            if isinstance(getattr(section, field.name), bool):
                choices = ("true", "false")
            return _beginning(typed, map(str, choices))
    return []


def _paths(typed: str) -> list[str]:
    folder = Path(typed if typed.endswith("/") or not typed else Path(typed).parent)
    head = typed[: len(typed) - len(typed.rpartition("/")[2])]
    try:
        found = [f"{head}{p.name}{'/' if p.is_dir() else ''}" for p in sorted(folder.iterdir())]
    except OSError:
        return []
    return _beginning(typed, [path for path in found if not Path(path).name.startswith(".")])
