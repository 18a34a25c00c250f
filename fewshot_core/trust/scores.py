"""Score tables: CSV files that give a number to every architecture.

:func:`read_table` and :func:`write_table` handle finished tables; :class:`ScoreLog` is the
append-only file that a long scoring run writes and resumes from.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from fewshot_core.errors import DataError, nearest
from fewshot_core.runs.files import write_atomic
from fewshot_core.trust.csv_text import (
    SHOWN_CHARACTERS,
    cells_of,
    check_width,
    csv_text,
    decode_text,
    listing,
    read_content,
    records_of,
    writing,
)

ARCHITECTURE_COLUMNS = ("architecture", "arch")


def read_table(
    path: str | os.PathLike[str], column: str, *, architecture_column: str | None = None
) -> dict[str, float]:
    """Read one numeric column of a CSV file.

    Args:
        path: A comma-separated file whose first line names the columns.
        column: The numeric column to read.
        architecture_column: The column of genotypes; by default ``architecture``, else ``arch``.

    Returns:
        Genotype text -> value, in the order of the file.

    Raises:
        DataError: The file is missing or no CSV, a column is missing, a value is not a finite
            number, or an architecture comes twice.
    """
    names = (architecture_column,) if architecture_column is not None else ARCHITECTURE_COLUMNS
    return read_keyed(path, column, names)[1]


def read_keyed(
    path: str | os.PathLike[str], column: str, names: Sequence[str]
) -> tuple[str, dict[str, float]]:
    """Read a column of a CSV file whose rows are known by the first of some columns that it has.

    Args:
        path: As of :func:`read_table`, which says what is raised.
        column: The numeric column to read.
        names: The columns, the preferred one first.

    Returns:
        The name of the column of keys, and the values by key.
    """
    path = Path(path)
    records = records_of(decode_text(path, read_content(path)), path)
    _, header = next(records, (0, []))
    if not header:
        raise DataError(
            f"score table {path} is empty", allowed="a CSV file with a header and one row or more"
        )
    header = [name.strip() for name in header]
    architecture_at = _position(path, header, names)
    value_at = _position(path, header, (column,))

    table: dict[str, float] = {}
    first_line: dict[str, int] = {}
    for line, record in records:
        check_width(path, line, record, header)
        architecture = _architecture(path, line, record[architecture_at], first_line)
        table[architecture] = _number(path, line, column, record[value_at])
    if not table:
        raise DataError(
            f"score table {path} holds no rows", found="a header only", allowed="one row or more"
        )
    return header[architecture_at], table


def write_table(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> None:
    """Write a CSV file in one step: readers see the old file or the whole new one.

    Args:
        path: Where to write; missing folders are made.
        rows: One mapping per row with exactly the keys ``columns``. A further key is an error,
            because a misspelt column would otherwise vanish without a word.
        columns: The header, in order.

    Raises:
        DataError: A row has other keys than ``columns``, or the file cannot be written.
    """
    path = Path(path)

    def fill(beside: Path) -> None:
        with beside.open("w", encoding="utf-8", newline="") as stream:
            stream.write(csv_text([columns]))
            for row in rows:
                stream.write(csv_text([cells_of(path, row, columns)]))

    with writing(path):
        write_atomic(path, fill)


class ScoreLog:
    """An append-only CSV file that outlives a kill and resumes a long scoring run.

    Opening repairs the one damage a kill can do, a truncated last line: it is dropped, and the
    file is cut back to the last whole line. One process writes a log at a time.

    Args:
        path: The file; made with its folders and its header when missing.
        columns: The header; an existing file must have the same, in the same order.

    Attributes:
        path: The file.
        columns: The header.
        rows: The rows found on opening, as text. Later rows are not added to it.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self.path = Path(path)
        self.columns = tuple(columns)
        self.rows: list[dict[str, str]] = []
        header = csv_text([self.columns]).encode()
        content = read_content(self.path) if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole:
            self.rows = self._parse(decode_text(self.path, whole))
        elif not header.startswith(content):
            # Not the beginning of our own header: somebody else's file, which we must not cut.
            raise self._other_columns(decode_text(self.path, content)[:SHOWN_CHARACTERS])
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: after append() returns, the lines survive the death of this process.
            self._stream = self.path.open("ab", buffering=0)
            self._stream.truncate(len(whole))
        if not whole:
            self._write(header)

    def append(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Write whole lines, all of them or none.

        Raises:
            DataError: A row has other keys than the columns, a value holds a line break, or the
                file cannot be written.
        """
        records = [cells_of(self.path, row, self.columns) for row in rows]
        for record in records:
            for column, cell in zip(self.columns, record, strict=True):
                if "\n" in (text := str(cell)) or "\r" in text:
                    # A line must be a row, or a truncated row could not be told from a whole one.
                    raise DataError(
                        f"a value for column {column!r} of score log {self.path} has a line break",
                        found=repr(text[:SHOWN_CHARACTERS]),
                    )
        self._write(csv_text(records).encode())

    def close(self) -> None:
        """Close the file; further appends are an error."""
        self._stream.close()

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        with writing(self.path):
            size = os.fstat(self._stream.fileno()).st_size
            try:
                view = memoryview(data)
                while view:
                    view = view[self._stream.write(view) :]
            except OSError:  # a full disk must not leave half a line for the next append to join
                self._stream.truncate(size)
                raise

    def _parse(self, text: str) -> list[dict[str, str]]:
        records = records_of(text, self.path)
        _, header = next(records, (0, []))
        if tuple(header) != self.columns:
            raise self._other_columns(listing(header))
        rows = []
        for line, record in records:
            check_width(self.path, line, record, header)
            rows.append(dict(zip(header, record, strict=True)))
        return rows

    def _other_columns(self, found: str) -> DataError:
        return DataError(
            f"score log {self.path} has other columns",
            found=found,
            allowed=", ".join(self.columns),
            fix="move the file away, or name another one",
        )


def _position(path: Path, header: Sequence[str], names: Sequence[str]) -> int:
    """The index of the first of ``names`` that the header has."""
    for name in names:
        if header.count(name) > 1:
            raise DataError(
                f"score table {path} has the column {name!r} {header.count(name)} times"
            )
        if name in header:
            return header.index(name)
    # A single column can never do; it is most often a semicolon or tab file.
    hint = "separate the columns by commas" if len(header) == 1 else nearest(names[0], header)
    raise DataError(
        f"score table {path} has no column {' or '.join(repr(name) for name in names)}",
        found=listing(header),
        fix=hint or "name one of the columns found",
    )


def _architecture(path: Path, line: int, text: str, first_line: dict[str, int]) -> str:
    architecture = text.strip()
    if not architecture:
        raise DataError(f"line {line} of score table {path} names no architecture")
    earlier = first_line.setdefault(architecture, line)
    if earlier != line:
        raise DataError(
            f"score table {path} has an architecture twice",
            found=f"{architecture} on lines {earlier} and {line}",
            fix="keep one of the two lines",
        )
    return architecture


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        # Python reads 1_000 as a number; in somebody's table it is more likely a slip.
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"line {line} of score table {path}, column {column!r}, is not a finite number",
            found=repr(text[:SHOWN_CHARACTERS]),
            allowed="a finite decimal number",
        )
    return value
