"""The rows that matter most, for README: what was measured beside what, as a picture and as Markdown."""

import statistics
from xml.sax.saxutils import escape

from figures import median_ratio, number

# Panel of a row (figures.py): what it shows, and in the picture.
PANELS = {
    "ingest, blocks": "Lines into a log, in blocks of 64 KiB (lines/s, more is better)",
    "ingest, lines": "Lines into a log, one write a line (lines/s, more is better)",
    "cpu, blocks": "The logger's CPU, in blocks of 64 KiB (s/GB, less is better)",
    "cpu, lines": "The logger's CPU, one write a line (s/GB, less is better)",
    "writer": "A write of 100 B by a traced process (ns, less is better)",
    "bystander": "CPU of processes that nobody traces (ms, less is better)",
    "reading, all": "Reading a whole log (s, less is better)",
    "reading, --tail 100": "Reading the last 100 lines (s, less is better)",
    "loss": "Lines kept when the remote end is dead (%, more is better)",
}

WIDTH, NAMES, BAR, LINE = 860, 340, 330, 22
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.base { fill: #9aa4af }
.other { fill: #9aa4af }
.ours { fill: #2f81f7 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .base, .other { fill: #6e7681 } }
"""


def rows_of(figures, panel):
    return [row for row in figures.rows if row.get("panel") == panel and row["ours_samples"]]


def bars(rows):
    """(what, median, whether it is twinlog's) of all that a panel shows, each once."""
    shown = {}
    # Where a panel has more than one subject each bar says which.
    several = len({row["what"] for row in rows}) > 1
    for row in rows:
        subject = row["what"].removesuffix(": kept").removesuffix(", CPU").rpartition(" B, ")[2]
        for side in ("base", "ours"):
            if row[side + "_samples"]:
                name = f"{subject}: {row[side]}" if several else row[side]
                shown.setdefault(name, (statistics.median(row[side + "_samples"]), "twinlog" in row[side]))
    return [(name, *value) for name, value in shown.items()]


def picture(figures):
    """An SVG of bars; it has the colours of its reader's surroundings."""
    parts, y = [], 10
    for panel, title in PANELS.items():
        shown = bars(rows_of(figures, panel))
        if not shown:
            continue
        y += 16
        parts.append(f'<text class="title" x="10" y="{y}">{escape(title)}</text>')
        y += 8
        largest = max(value for _, value, _ in shown) or 1
        for name, value, ours in shown:
            length = max(1, round(BAR * value / largest))
            parts.append(f'<text x="{NAMES}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
                         f'<rect class="{"ours" if ours else "other"}" x="{NAMES + 10}" y="{y + 3}" '
                         f'width="{length}" height="{LINE - 6}" rx="2"/>'
                         f'<text x="{NAMES + 18 + length}" y="{y + 15}">{number(value)}</text>')
            y += LINE
        y += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
            f'role="img"><title>twinlog beside others</title><style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n")


def markdown(figures, about):
    """One table of medians, and where they come from."""
    lines = ["| | unit | beside | | measured | | ratio |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for panel in PANELS:
        for row in rows_of(figures, panel):
            ratio = median_ratio(row)
            lines.append("| " + " | ".join((
                row["what"], row["unit"], row["base"], number(statistics.median(row["base_samples"])), row["ours"],
                number(statistics.median(row["ours_samples"])), "" if ratio is None else f"{ratio:.2f}")) + " |")
    lines += ["", f"Medians of {len_of(figures)} turns; Linux {about['kernel']}, {about['processors']} processors, "
              f"{about['dockerd'].partition(',')[0]}, {about['commit']}."]
    lines += [line[0].upper() + line[1:] + "." for line in figures.reasons()]
    return "\n".join(lines) + "\n"


def len_of(figures):
    """How often the rows were measured, at most."""
    return max((len(row["ours_samples"]) for panel in PANELS for row in rows_of(figures, panel)), default=0)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
