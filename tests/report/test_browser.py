"""The page in Chromium: pointed at, clicked, and steered by keys, at three widths.

A page beside the report holds it in a frame, acts on it as a user would, and writes down what it
sees; Chromium prints that page. No driver is needed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.pipeline import serve
from fewshot_core.pipeline.report import write_live_report, write_report
from fewshot_core.pipeline.run import Run
from fewshot_core.report.page import Doing

from .conftest import MakeRun
from .test_by_class import keep_predictions
from .test_moments import moments_of

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (375, 768, 1440)

pytestmark = pytest.mark.process

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
async function open(width, hash) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `border:0;width:${width}px;height:800px`;
  const loaded = new Promise((done) => frame.addEventListener("load", done));
  frame.src = "report.html" + hash;
  document.body.append(frame);
  await loaded;
  return frame.contentWindow;
}
function key(view, name) {
  const event = new view.KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true});
  view.document.activeElement.dispatchEvent(event);
}
(async () => {
  let said;
  try { said = await (async () => { %s })(); } catch (error) { said = {error: String(error)}; }
  const out = document.createElement("pre");
  out.id = "said";
  out.textContent = JSON.stringify(said);
  document.body.replaceChildren(out);
})();
</script>"""


def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    return found


def dump(address: str, folder: Path) -> str:
    """What Chromium makes of a page, its scripts run."""
    done = subprocess.run(
        [
            browser(),
            *("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"),
            *("--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def act(run: Run, script: str) -> Any:
    """What a script says of the report of a run."""
    folder = run.folder.path
    page = folder / "harness.html"
    page.write_text(HARNESS % script)
    text = dump(page.as_uri(), folder)
    found = re.search(r'<pre id="said">(.*?)</pre>', text, re.DOTALL)
    assert found is not None, text
    return json.loads(unescape(found[1]))


def test_a_trial_is_pointed_at_and_selected(make_run: MakeRun) -> None:
    run = make_run()
    write_report(run)
    said = act(
        run,
        """
        const view = await open(1440, ""), page = view.document;
        const find = (id) => page.getElementById(id);
        const before = find("panel").hidden;
        const mark = find("trial-4");
        mark.dispatchEvent(new view.PointerEvent("pointerenter"));
        const tip = [find("tip").hidden, find("tip").textContent];
        mark.dispatchEvent(new view.PointerEvent("pointerleave"));
        const left = find("tip").hidden;
        mark.dispatchEvent(new view.MouseEvent("click", {bubbles: true}));
        return {
          before, tip, left, panel: find("panel").textContent, hash: view.location.hash,
          drawn: find("panel").querySelectorAll("svg").length,
          pressed: [...page.querySelectorAll("[aria-pressed=true]")].map((one) => one.id),
          label: mark.getAttribute("aria-label"), titles: page.querySelectorAll(".m title").length,
        };
        """,
    )
    command = f"fewshot retrain run={run.folder.path} trial=4"
    assert said["before"] is said["left"] is True
    assert said["tip"][0] is False
    assert "trial 4" in said["tip"][1]
    assert "nor_conv" in said["tip"][1] or "~0" in said["tip"][1]
    assert command in said["panel"]
    assert said["drawn"] == 1
    assert said["hash"] == "#trial-4"
    assert said["pressed"] == ["trial-4", "time-4"]  # in both charts
    assert re.fullmatch(r"trial 4: score \d+, [\d,]+ parameters, [\d,]+ FLOPs", said["label"])
    assert said["titles"] == 0


def test_keys_go_from_mark_to_mark_and_select(make_run: MakeRun) -> None:
    run = make_run()
    write_report(run)
    said = act(
        run,
        """
        const view = await open(1440, ""), page = view.document, seen = [];
        view.focus();
        const chart = page.getElementById("time-0").ownerSVGElement;
        const inTabOrder = () => chart.querySelectorAll(".m[tabindex='0']").length;
        const first = inTabOrder();
        chart.querySelector(".m[tabindex='0']").focus();
        for (const name of ["Home", "ArrowLeft", "ArrowRight", "ArrowRight", "End", "ArrowRight"]) {
          key(view, name);
          seen.push(page.activeElement.dataset.n);
        }
        key(view, "Enter");
        const selected = view.location.hash;
        key(view, "ArrowLeft");
        key(view, " ");
        return {seen, selected, again: view.location.hash, first, last: inTabOrder()};
        """,
    )
    assert said["seen"] == ["0", "0", "1", "2", "23", "23"]
    assert (said["selected"], said["again"]) == ("#trial-23", "#trial-22")
    assert said["first"] == said["last"] == 1


def test_an_address_selects_and_no_page_is_wider_than_its_screen(make_run: MakeRun) -> None:
    run = make_run()
    keep_predictions(run, [(3, 5, 2), (9, 0, 12)], 10)
    write_report(run)
    said = act(
        run,
        f"""
        const found = [];
        for (const width of {list(WIDTHS)}) {{
          const view = await open(width, "#trial-7"), page = view.document;
          for (const one of page.querySelectorAll("details")) one.open = true;
          found.push([
            width, page.documentElement.scrollWidth, page.getElementById("panel").textContent,
          ]);
        }}
        return found;
        """,
    )
    assert [one[0] for one in said] == list(WIDTHS)
    for width, wide, panel in said:
        assert wide <= width
        assert "trial=7" in panel


def test_a_slider_goes_through_the_moments_of_a_training(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(["retrain"])
    moments = moments_of(run.folder.file("samples"), 3, 8)
    monkeypatch.setattr(type(run.task), "moments", lambda self, context: moments)
    write_report(run)
    said = act(
        run,
        """
        const view = await open(375, ""), page = view.document, seen = [];
        const input = page.querySelector(".slides input");
        const shown = () => [...page.querySelectorAll(".frames figure")].filter(
          (one) => one.getBoundingClientRect().height > 0).map((one) => one.dataset.label);
        const wide = page.documentElement.scrollWidth;
        seen.push(shown());
        input.focus();
        const focused = page.activeElement === input;
        input.value = "1";
        input.dispatchEvent(new view.Event("input"));
        seen.push(shown());
        const labelled = input.labels[0].textContent;
        return {seen, wide, focused, labelled, value: input.getAttribute("aria-valuetext")};
        """,
    )
    assert said["seen"] == [["step 2"], ["step 1"]]
    assert said["value"] == "step 1: FID <1>"
    assert said["wide"] <= 375
    assert said["focused"]
    assert said["labelled"].strip() == "Moment of the training"


def test_a_page_loads_itself_anew_only_while_the_run_goes_on(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(["supernets", "search"])
    path = write_live_report(run, Doing("search", 3, 9, "now"), [])
    asked: list[str] = []

    class Handler(serve.ReportHandler):
        def do_HEAD(self) -> None:
            super().do_HEAD()
            asked.append(self.path)
            if len(asked) == 1:  # the run ends
                write_report(run)

    monkeypatch.setattr(serve, "ReportHandler", Handler)
    with serve.open_server(path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            first = dump(address, run.folder.path)
            assert "data-state" not in first.partition(">")[0]
            assert "Written while the run went on" not in first
            often = len(asked)
            assert often >= 2
            dump(address, run.folder.path)  # the finished page, which asks for nothing
            assert len(asked) == often
        finally:
            server.shutdown()
            thread.join()
