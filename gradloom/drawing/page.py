"""Pictures as one page that needs nothing else: each graph a column, its parts opened by a click.

The page works without its script: then all pictures stand below each other, and links lead from one to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.drawing.picture import Picture
from gradloom.drawing.svg import STYLE, clean, to_svg

_PAGE_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
article { min-width: 0; max-width: 100%; flex: 0 1 auto; }
h2, nav { font-size: 1rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
nav a { color: var(--mark); }
.scroll { overflow-x: auto; border: 1px solid var(--edge); border-radius: 8px; background: var(--paper); }
.scroll svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
pre { overflow-x: auto; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
section { scroll-margin-top: 4rem; }
section[hidden] { display: none; }
"""

_SCRIPT = """
for (const article of document.querySelectorAll("article")) {
  const pictures = new Map([...article.querySelectorAll("section")].map(s => [s.id, s]));
  const nav = article.querySelector("nav");
  for (const title of article.querySelectorAll("h2")) title.hidden = true;
  function show(id) {
    const path = [];
    for (let s = pictures.get(id); s; s = pictures.get(s.dataset.parent)) path.unshift(s);
    for (const [name, s] of pictures) s.hidden = name !== id;
    nav.replaceChildren(...path.flatMap((s, i) => {
      const step = document.createElement(i < path.length - 1 ? "a" : "span");
      step.textContent = s.dataset.title;
      if (i < path.length - 1) step.href = "#" + s.id;
      return i ? [" \\u203a ", step] : [step];
    }));
    article.dataset.shown = id;
  }
  const follow = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    if (pictures.has(wanted)) show(wanted);
  };
  show(pictures.keys().next().value);
  follow();
  addEventListener("hashchange", follow);
}
"""


def to_page(title: str, columns: Sequence[Sequence[Picture]], note: str = "") -> str:
    """Graphs side by side (below each other where the window is narrow).

    Args:
        title: of the page.
        columns: for every graph its pictures, the whole first; those of its parts name it as their parent.
        note: text that stands above them.
    """
    articles = "\n".join(map(_article, columns))
    return f"""<!DOCTYPE html>
<html lang="en" class="gl">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{clean(title)}</title>
<style>{STYLE}{_PAGE_STYLE}</style>
</head>
<body>
{f"<pre>{clean(note)}</pre>" if note else ""}
<main>
{articles}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def to_fragment(picture: Picture, note: str) -> str:
    """A picture with text below it, for showing inside another page."""
    return f'<div style="overflow-x:auto">{to_svg(picture)}<pre>{clean(note)}</pre></div>'


def _article(pictures: Sequence[Picture]) -> str:
    sections = "\n".join(
        f'<section id="{clean(p.name)}" data-parent="{clean(p.parent)}" data-title="{clean(p.title)}">'
        f'<h2>{clean(p.title)}</h2><div class="scroll">{to_svg(p, style=False)}</div></section>'
        for p in pictures
    )
    return f"<article><nav></nav>{sections}</article>"
