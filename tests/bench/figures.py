"""Figures of a benchmark: samples of two things that were measured side by side, what one is of the
other, and how that is shown."""

import json
import statistics


class Figures:
    def __init__(self):
        self.rows = []

    def compare(self, section, what, unit, base, ours, higher_is_better=False):
        """base and ours: (name, samples), samples in the order in which they were taken in turns."""
        self.rows.append({"section": section, "what": what, "unit": unit,
                          "higher_is_better": higher_is_better,
                          "base": base[0], "base_samples": list(base[1]),
                          "ours": ours[0], "ours_samples": list(ours[1])})

    def fact(self, section, what, unit, name, samples, higher_is_better=False):
        """A figure that has nothing beside it."""
        self.rows.append({"section": section, "what": what, "unit": unit,
                          "higher_is_better": higher_is_better,
                          "base": None, "base_samples": [], "ours": name,
                          "ours_samples": list(samples)})

    def table(self):
        head = ["", "", "unit", "beside", "best", "median", "measured", "best", "median",
                "ratio of best", "median ratio"]
        lines = [head]
        section = None
        for row in self.rows:
            lines.append(["" if row["section"] == section else row["section"], row["what"],
                          row["unit"], *_side(row, "base"), *_side(row, "ours"), *_ratios(row)])
            section = row["section"]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text_columns = (0, 1, 2, 3, 6)
        return "\n".join(
            "  ".join(cell.ljust(width) if i in text_columns else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines)

    def save(self, path, about):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"about": about, "figures": self.rows}, file, indent=1)


def _best(row, side):
    choose = max if row["higher_is_better"] else min
    return choose(row[side + "_samples"])


def _side(row, side):
    if not row[side]:
        return ["", "", ""]
    if not row[side + "_samples"]:
        return [row[side], "none", "none"]
    return [row[side], number(_best(row, side)), number(statistics.median(row[side + "_samples"]))]


def _ratios(row):
    base, ours = row["base_samples"], row["ours_samples"]
    if not base or not ours or not all(base):
        return ["", ""]
    pairs = [mine / other for mine, other in zip(ours, base)]
    return [f"{_best(row, 'ours') / _best(row, 'base'):.3f}", f"{statistics.median(pairs):.3f}"]


def number(value):
    """Three digits or more, so that a glance is enough."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
