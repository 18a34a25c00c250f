// The script of a report. It needs nothing from elsewhere, and the page reads without it: every
// mark has a title, every figure a table. It adds pointing, the keyboard, and the page of a run
// that goes on loads itself anew when it was written anew.
(() => {
  "use strict";
  const find = (id) => document.getElementById(id);
  const marks = [...document.querySelectorAll(".chart .m")];
  const source = find("trials");
  if (source && marks.length) explore(JSON.parse(source.textContent));
  document.querySelectorAll(".slides").forEach(slide);
  if (document.documentElement.dataset.state === "running" && location.protocol.startsWith("http")) {
    follow();
  }

  function explore(data) {
    const panel = find("panel");
    const tip = find("tip");
    const shown = new Map(data.trials.map((row) => [row[0], row]));
    document.documentElement.classList.add("scripted");

    for (const mark of marks) {
      // A title would be shown over the box that shows more; its words become the mark's name.
      const title = mark.querySelector("title");
      mark.setAttribute("aria-label", title.textContent);
      mark.setAttribute("aria-pressed", "false");
      title.remove();
      mark.addEventListener("pointerenter", () => point(mark));
      mark.addEventListener("pointerleave", leave);
      mark.addEventListener("focus", () => point(mark));
      mark.addEventListener("blur", leave);
      mark.addEventListener("click", () => select(number(mark), true));
      mark.addEventListener("keydown", (event) => steer(event, mark));
    }
    addEventListener("hashchange", restore);
    restore();

    function number(mark) {
      return Number(mark.dataset.n);
    }

    function line(tag, text, kind) {
      const element = document.createElement(tag);
      element.textContent = text;
      if (kind) element.className = kind;
      return element;
    }

    function describe(trial) {
      const row = shown.get(trial);
      const found = trial === data.found ? " (the found one)" : "";
      const parts = [line("strong", `trial ${trial}${found}`)];
      const words = `score ${row[3]} · ${row[4].toLocaleString("en")} parameters · ` +
        `${row[5].toLocaleString("en")} FLOPs`;
      parts.push(line("p", words));
      if (row[2]) parts.push(line("p", `region ${row[2]}`, "soft"));
      const drawn = find(`drawing-${trial}`);
      if (drawn) parts.push(drawn.content.cloneNode(true));
      parts.push(line("code", row[1], "genotype"));
      return parts;
    }

    function point(mark) {
      tip.replaceChildren(...describe(number(mark)));
      tip.hidden = false;
      const at = mark.getBoundingClientRect();
      const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
      const above = at.top - tip.offsetHeight - 10;
      tip.style.left = `${scrollX + Math.max(8, Math.min(room, at.left - tip.offsetWidth / 2))}px`;
      tip.style.top = `${scrollY + (above > 0 ? above : at.bottom + 10)}px`;
    }

    function leave() {
      tip.hidden = true;
    }

    function select(trial, asked) {
      if (!shown.has(trial)) return;
      for (const mark of marks) {
        mark.setAttribute("aria-pressed", String(number(mark) === trial));
      }
      const command = `${data.command} trial=${trial}`;
      const copy = line("button", "Copy");
      copy.type = "button";
      copy.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(command);
          copy.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(code); // pages from a file may not write there
          copy.textContent = "Selected";
        }
      });
      const code = line("code", command, "command");
      const row = line("div", "", "run");
      row.append(code, copy);
      panel.replaceChildren(...describe(trial), line("p", "To train it from scratch:"), row);
      panel.hidden = false;
      if (asked) history.replaceState(null, "", `#trial-${trial}`);
    }

    function restore() {
      const named = location.hash.match(/^#(?:trial|time)-(\d+)$/);
      if (named) select(Number(named[1]), false);
    }

    // Arrows go from mark to mark from left to right, so that Tab passes a chart in one step.
    function steer(event, mark) {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        select(number(mark), true);
        return;
      }
      if (event.key === "Escape") leave();
      const row = marks.filter((other) => other.ownerSVGElement === mark.ownerSVGElement);
      const across = (other) => other.getBoundingClientRect().left;
      row.sort((a, b) => across(a) - across(b) || number(a) - number(b));
      const place = row.indexOf(mark);
      const places = {
        ArrowRight: place + 1, ArrowUp: place + 1, ArrowLeft: place - 1, ArrowDown: place - 1,
        Home: 0, End: row.length - 1,
      };
      if (!(event.key in places)) return;
      event.preventDefault();
      const next = row[Math.max(0, Math.min(row.length - 1, places[event.key]))];
      mark.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    }
  }

  // One of several figures is shown, the one that a slider says; a page that is printed has it too.
  function slide(slides) {
    const frames = [...slides.querySelectorAll(".frames figure")];
    const input = slides.querySelector("input");
    const show = () => {
      const at = Number(input.value);
      frames.forEach((frame, place) => { frame.hidden = place !== at; });
      input.setAttribute("aria-valuetext", frames[at].querySelector("figcaption").textContent);
    };
    slides.classList.add("sliding");
    input.addEventListener("input", show);
    show();
  }

  // While the run goes on: ask whether the page was written anew, and load it then.
  function follow() {
    let first = null;
    const loaded = Date.parse(document.lastModified);
    const look = async () => {
      try {
        const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
        const tag = answer.headers.get("ETag");
        const written = Date.parse(answer.headers.get("Last-Modified"));
        if (answer.ok && tag && ((first && tag !== first) || written > loaded)) {
          location.reload();
          return;
        }
        first = first || tag;
      } catch {
        // The server has ended; it may come back.
      }
      setTimeout(look, 3000);
    };
    look();
  }
})();
