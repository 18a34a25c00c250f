"""Score tables and the resumable log: round trips, and one clear line for every bad file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot_core.errors import DataError
from fewshot_core.trust.scores import ScoreLog, read_table, write_table

COLUMNS = ("architecture", "score")
ROWS = [{"architecture": "a", "score": 0.1}, {"architecture": "b", "score": 1 / 3}]


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def test_values_come_back_in_file_order(tmp_path: Path) -> None:
    path = table(tmp_path, "rank,architecture,score\n1,|none~0|,2.5\n2,b,-1e3\n3,a,0\n")
    assert list(read_table(path, "score").items()) == [("|none~0|", 2.5), ("b", -1000.0), ("a", 0)]
    assert read_table(path, "rank") == {"|none~0|": 1, "b": 2, "a": 3}


@pytest.mark.parametrize(
    ("header", "keyword"),
    [("architecture", None), ("arch", None), ("architecture", "architecture"), ("net", "net")],
)
def test_architecture_column(tmp_path: Path, header: str, keyword: str | None) -> None:
    path = table(tmp_path, f"{header},score\nx,1\n")
    assert read_table(path, "score", architecture_column=keyword) == {"x": 1.0}


def test_spreadsheet_dialect_is_read(tmp_path: Path) -> None:
    """Byte-order mark, carriage returns, blank lines, blanks after commas, quoted commas."""
    path = table(tmp_path, '\ufeffarch, score\r\n\r\n"[1, 2]", 3\r\n')
    assert read_table(path, "score") == {"[1, 2]": 3.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("\n\n", ["empty"]),
        ("architecture,score\n", ["no rows"]),
        ("architecture,scores\na,1\n", ["'score'", "architecture, scores", "mean 'scores'"]),
        ("genotype,score\na,1\n", ["'architecture' or 'arch'", "columns genotype, score"]),
        ("arch;score\na;1\n", ["separate the columns by commas"]),
        ("arch,score,score\na,1,2\n", ["'score' 2 times"]),
        ("arch,score\na,1\nb,high\n", ["line 3", "'score'", "'high'"]),
        ("arch,score\na,nan\n", ["line 2", "'nan'", "finite"]),
        ("arch,score\na,1\n\nb,-inf\n", ["line 4", "'-inf'", "finite"]),
        ('arch,score\n"a\nb",1\nc,high\n', ["line 4", "'high'"]),
        ("arch,score\na,\n", ["line 2", "''", "finite"]),
        ("arch,score\na,1_000\n", ["line 2", "'1_000'"]),
        ("arch,score\na,1\nb,2\n a,3\n", ["twice", "a on lines 2 and 4"]),
        ("arch,score\n,1\n", ["line 2", "no architecture"]),
        ("arch,score\n[1, 2],1\n", ["line 2", "3 values", "2 values", "quote"]),
        ("arch,score\na,1\nb\n", ["line 3", "1 values", "2 values"]),
        ('arch,score\na,1\n"b,2\nc,3\n', ["not a CSV", "line 3"]),
        ("\0\0\0\n", ["not a CSV", "binary"]),
    ],
)
def test_bad_table_gives_one_clear_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = table(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_table(path, "score")
    line = str(caught.value)
    assert "\n" not in line
    assert [word for word in [str(path), *words] if word not in line] == []


def test_missing_binary_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_table(tmp_path / "none.csv", "score")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path, "score")
    (tmp_path / "weights").write_bytes(b"\x80\x02\xff")
    with pytest.raises(DataError, match="not a CSV file"):
        read_table(tmp_path / "weights", "score")


def test_written_table_reads_back_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    write_table(path, ROWS, COLUMNS)
    assert read_table(path, "score") == {"a": 0.1, "b": 1 / 3}
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]


def test_failed_write_leaves_the_old_table_and_no_scraps(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ROWS, COLUMNS)
    before = path.read_bytes()
    for bad in ({"architecture": "c"}, {"architecture": "c", "score": 1, "scroe": 2}):
        with pytest.raises(DataError, match="does not fit its columns"):
            write_table(path, [ROWS[0], bad], COLUMNS)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_write_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_table(tmp_path / "file" / "table.csv", ROWS, COLUMNS)


def test_log_resumes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.csv"
    with ScoreLog(path, COLUMNS) as log:
        assert log.rows == []
        log.append(ROWS[:1])
    with ScoreLog(path, COLUMNS) as log:
        assert log.rows == [{"architecture": "a", "score": "0.1"}]
        log.append(ROWS[1:])
        log.append([])
    assert read_table(path, "score") == {"a": 0.1, "b": 1 / 3}


WHOLE = b'architecture,score\na,1\n"b,\xc3\xa9",2\n'


@pytest.mark.parametrize("size", range(len(WHOLE) + 1))
def test_log_cut_anywhere_recovers_its_whole_lines(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(WHOLE[:size])
    kept = max(WHOLE[:size].count(b"\n") - 1, 0)
    with ScoreLog(path, COLUMNS) as log:
        assert [row["architecture"] for row in log.rows] == ["a", "b,é"][:kept]
        log.append([{"architecture": "c", "score": 3}])
    lines = WHOLE.splitlines(keepends=True)
    assert path.read_bytes() == b"".join(lines[: kept + 1]) + b"c,3\n"


def test_appended_rows_survive_sudden_death(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    code = (
        "import os, sys\n"
        "from fewshot_core.trust.scores import ScoreLog\n"
        "log = ScoreLog(sys.argv[1], ['architecture', 'score'])\n"
        "log.append([{'architecture': 'a', 'score': 1}])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, os.fspath(path)], timeout=60, check=False)
    assert done.returncode == -9
    assert read_table(path, "score") == {"a": 1.0}


@pytest.mark.parametrize(
    "content",
    [
        b"architecture,tau\na,1\n",
        b"score,architecture\n",
        b"architecture,score,more\n",
        b"precious notes without a line break",
        b"architecture,tau\na,1\nhalf a li",
    ],
)
def test_log_refuses_other_columns_and_keeps_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"other columns .*allowed: architecture, score"):
        ScoreLog(path, COLUMNS)
    assert path.read_bytes() == content


def test_log_names_a_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("architecture,score\na,1\nb\nc,3\n")
    with pytest.raises(DataError, match="line 3"):
        ScoreLog(path, COLUMNS)


def test_append_writes_all_rows_or_none(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with ScoreLog(path, COLUMNS) as log:
        with pytest.raises(DataError, match="does not fit"):
            log.append([*ROWS, {"architecture": "c"}])
        with pytest.raises(DataError, match="line break"):
            log.append([*ROWS, {"architecture": "c\nd", "score": 1}])
    assert path.read_text() == "architecture,score\n"
