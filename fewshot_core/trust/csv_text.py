"""CSV text in and out, with errors that name the file and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fewshot_core.errors import DataError
from fewshot_core.runs.files import WriteError

SHOWN_COLUMNS = 20
SHOWN_CHARACTERS = 40


def read_content(path: Path) -> bytes:
    """The bytes of the file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"score table {path} does not exist", fix="check the path, or write the table first"
        ) from None
    except OSError as error:
        raise DataError(f"score table {path} cannot be read", found=error.strerror) from error


def decode_text(path: Path, content: bytes) -> str:
    """The content as text; binary data is refused."""
    try:
        text = content.decode("utf-8-sig")  # spreadsheets put a byte-order mark in front
    except UnicodeDecodeError as error:
        raise _not_csv(path, f"no UTF-8 text at byte {error.start}") from None
    if "\0" in text:
        raise _not_csv(path, "binary data")
    return text


def _not_csv(path: Path, found: str) -> DataError:
    return DataError(f"score table {path} is not a CSV file", found=found, allowed="UTF-8 CSV text")


def records_of(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the record's first line, its fields), leaving blank lines out."""
    # Strict: an unclosed quote would otherwise swallow the rest of the file as one value.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise _not_csv(path, f"line {line}: {error}") from None


def listing(header: Sequence[str]) -> str:
    """The column names for an error line, kept short."""
    shown = [name[:SHOWN_CHARACTERS] for name in header[:SHOWN_COLUMNS]]
    more = len(header) - len(shown)
    return "columns " + ", ".join(shown) + (f" and {more} more" if more else "")


def check_width(path: Path, line: int, record: Sequence[str], header: Sequence[str]) -> None:
    """Refuse a record with more or fewer values than the header."""
    if len(record) != len(header):
        raise DataError(
            f"line {line} of score table {path} does not fit the header",
            found=f"{len(record)} values",
            allowed=f"{len(header)} values",
            fix="quote values that contain commas" if len(record) > len(header) else None,
        )


def cells_of(path: Path, row: Mapping[str, object], columns: Sequence[str]) -> list[object]:
    """The values of a row in column order; other keys are refused."""
    if row.keys() != set(columns):
        raise DataError(
            f"a row for {path} does not fit its columns",
            found=", ".join(map(str, row)),
            allowed=", ".join(columns),
        )
    return [row[column] for column in columns]


def csv_text(records: Iterable[Iterable[object]]) -> str:
    """Records as CSV lines; floats keep every digit."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(records)
    return buffer.getvalue()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write ``path`` into a :class:`DataError`."""
    try:
        yield
    except (OSError, WriteError) as error:
        raise DataError(
            f"{path} cannot be written",
            found=error.reason if isinstance(error, WriteError) else error.strerror,
            fix="name a writable place with free space",
        ) from error
