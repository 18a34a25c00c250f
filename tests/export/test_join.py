"""Several Python files become one."""

from __future__ import annotations

from pathlib import Path

from fewshot_core.export.package import join_sources


def test_what_files_import_from_one_another_is_above(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text('"""One."""\nfrom __future__ import annotations\n\nBASE = 20\n')
    second.write_text(
        '"""Two."""\nfrom __future__ import annotations\n\nimport math\n\n'
        "from some.package.first import (\n    BASE,\n)\n\nTOTAL = math.ceil(BASE + 1.5)\n"
    )
    text = join_sources([first, second])
    assert text.count("__future__") == 1
    assert "some.package" not in text
    names: dict[str, int] = {}
    exec(compile(text, "joined", "exec"), names)
    assert names["TOTAL"] == 22


def test_a_single_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "only.py"
    path.write_text("from __future__ import annotations\n\nfrom os import path  # kept\n")
    assert join_sources([path]) == path.read_text()
